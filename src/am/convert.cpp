#include "am/convert.h"

#include "am/rewrite.h"
#include "pg/bridge.h"
#include "versioning/view.h"

extern "C" {
#include "nodes/primnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
}

namespace datahike::am {

namespace {

// Lives to the end of the transaction, as casts may be redefined after it.
struct Cast {
  Cast* next;
  Oid from, to;
  int32_t from_typmod, to_typmod;
  ExprState* state;
  ExprContext* context;
  bool in_use;  // the cast's function reads old rows itself, or has raised an error
};
Cast* casts = nullptr;

struct Place {
  Oid relation;
  const FormData_pg_attribute* column;
  Oid type;
};

// Where the row was read: a commit, a time, or a branch.
char* where_read() {
  const versioning::SessionView* query = versioning::view_of_running_query();
  const char* as_of = query ? query->as_of : pg::setting_as_of;
  const char* commit = query ? query->commit_id : pg::setting_commit_id;
  if (const char* branch = branch_in_errors()) return psprintf("on branch \"%s\"", branch);
  if (as_of && *as_of) return psprintf("as of %s", as_of);
  if (commit && *commit) return psprintf("in commit %s", commit);
  return psprintf("on branch \"%s\"", pg::setting_branch);
}

void describe_place(void* arg) {
  auto* place = static_cast<Place*>(arg);
  char* type = format_type_extended(place->type, -1, FORMAT_TYPE_ALLOW_INVALID);
  char* name = get_rel_name(place->relation);
  errcontext(
      "column \"%s\" of table \"%s\", which was of type %s when the row was written, read %s",
      NameStr(place->column->attname), name ? name : "?", type, where_read());
}

// Assignment first: where it exists it refuses what an explicit cast would cut off.
Node* coerce(Node* value, Oid from, Oid to, int32_t typmod) {
  Node* cast = coerce_to_target_type(nullptr, value, from, to, typmod, COERCION_ASSIGNMENT,
                                     COERCE_IMPLICIT_CAST, -1);
  if (cast) return cast;
  cast = coerce_to_target_type(nullptr, value, from, to, -1, COERCION_EXPLICIT,
                               COERCE_EXPLICIT_CAST, -1);
  if (!cast) return nullptr;
  return coerce_to_target_type(nullptr, cast, to, to, typmod, COERCION_ASSIGNMENT,
                               COERCE_IMPLICIT_CAST, -1);
}

Cast* make_cast(Oid from, int32_t from_typmod, Oid to, int32_t to_typmod) {
  if (!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(from)))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                    errmsg("the type with OID %u, which the column had when the row was written, "
                           "has been dropped",
                           from),
                    errhint("Of such rows the columns before it can be read.")));
  MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
  auto* value = makeNode(CaseTestExpr);
  value->typeId = from;
  value->typeMod = from_typmod;
  value->collation = get_typcollation(from);
  Node* cast = coerce(reinterpret_cast<Node*>(value), from, to, to_typmod);
  if (!cast)
    ereport(ERROR, (errcode(ERRCODE_CANNOT_COERCE),
                    errmsg("cannot cast type %s, which the column had when the row was written, "
                           "to %s",
                           format_type_be(from), format_type_be(to)),
                    errhint("Of such rows the columns before it can be read.")));
  assign_expr_collations(nullptr, cast);
  Expr* planned = expression_planner(reinterpret_cast<Expr*>(cast));
  auto* c = static_cast<Cast*>(palloc0(sizeof(Cast)));
  *c = {casts,
        from,
        to,
        from_typmod,
        to_typmod,
        ExecInitExpr(planned, nullptr),
        CreateStandaloneExprContext(),
        false};
  casts = c;
  MemoryContextSwitchTo(old);
  return c;
}

Cast* find_cast(Oid from, int32_t from_typmod, Oid to, int32_t to_typmod) {
  for (Cast* c = casts; c; c = c->next)
    if (c->from == from && c->to == to && c->from_typmod == from_typmod &&
        c->to_typmod == to_typmod && !c->in_use)
      return c;
  return make_cast(from, from_typmod, to, to_typmod);
}

Datum evaluate(Datum value, Oid type, int32_t typmod, const FormData_pg_attribute& to,
               bool* isnull) {
  Cast* c = find_cast(type, typmod, to.atttypid, to.atttypmod);
  c->in_use = true;
  ResetExprContext(c->context);
  c->context->caseValue_datum = value;
  c->context->caseValue_isNull = false;
  Datum result = ExecEvalExprSwitchContext(c->state, c->context, isnull);
  c->in_use = false;
  return result;
}

Oid owner_of(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for relation %u", relation);
  Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
  ReleaseSysCache(tuple);
  return owner;
}

// Casts and domain constraints that users made are functions of theirs, and who reads a table does
// not expect to run such: they run as the table's owner, as in maintenance commands. An error
// leaves what is set here to the (sub)transaction's end.
Datum evaluate_as_owner(Datum value, Oid type, int32_t typmod, const FormData_pg_attribute& to,
                        Oid relation, bool* isnull) {
  Oid user;
  int context;
  GetUserIdAndSecContext(&user, &context);
  SetUserIdAndSecContext(owner_of(relation), context | SECURITY_RESTRICTED_OPERATION);
  int level = NewGUCNestLevel();
  Datum result = evaluate(value, type, typmod, to, isnull);
  AtEOXact_GUC(false, level);
  SetUserIdAndSecContext(user, context);
  return result;
}

}  // namespace

Datum convert_value(Datum value, Oid type, int32_t typmod, const FormData_pg_attribute& to,
                    Oid relation, bool* isnull) {
  Place place{relation, &to, type};
  ErrorContextCallback context{error_context_stack, describe_place, &place};
  error_context_stack = &context;
  bool by_owner = type >= FirstNormalObjectId || to.atttypid >= FirstNormalObjectId;
  Datum result = by_owner ? evaluate_as_owner(value, type, typmod, to, relation, isnull)
                          : evaluate(value, type, typmod, to, isnull);
  error_context_stack = context.previous;
  return result;
}

void forget_casts() { casts = nullptr; }

}  // namespace datahike::am
