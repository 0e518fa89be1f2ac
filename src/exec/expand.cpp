// Replaces calls of at(), blame(), versions(), diff() and commit_changes() in FROM clauses, and
// foreign tables (foreign.cpp), by the queries of the table that they stand for, before the planner
// sees them. So privileges, row
// security, indexes, partitions, joins and aggregates are PostgreSQL's own. What is not replaced
// calls the function itself (view_function.cpp), which runs a query that is.
#include "exec/compositions.h"
#include "exec/view_call.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/hooks.h"
#include "versioning/row_security.h"

extern "C" {
#include "catalog/pg_collation.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteHandler.h"
#include "utils/plancache.h"
#include "utils/typcache.h"
}

namespace datahike::exec {

namespace {

planner_hook_type previous_planner = nullptr;

// Tables whose columns cached plans of this session rely on. A call of a function names its
// columns' types like a query of the table, but PostgreSQL does not know that they depend on it.
std::unordered_set<Oid>* expanded_tables = nullptr;

// PostgreSQL 15 declares walkers without parameters.
using Walker = bool (*)();
template <class Context>
Walker as_walker(bool (*walker)(Node*, Context*)) {
  return reinterpret_cast<Walker>(reinterpret_cast<void*>(walker));
}

enum class Function { Other, At, Blame, Versions, Diff, CommitChanges, CommitChangesOnly };

Function function_of(Oid oid) {
  if (oid < FirstNormalObjectId) return Function::Other;
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
  if (!HeapTupleIsValid(tuple)) return Function::Other;
  auto* proc = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  const char* name = NameStr(proc->proname);
  static constexpr std::pair<const char*, Function> kNames[] = {
      {"at", Function::At},
      {"blame", Function::Blame},
      {"versions", Function::Versions},
      {"diff", Function::Diff},
      {"commit_changes", Function::CommitChanges},
      {"commit_changes_only", Function::CommitChangesOnly}};
  Function function = Function::Other;
  for (const auto& [known, meaning] : kNames)
    if (std::strcmp(name, known) == 0) function = meaning;
  bool ours =
      proc->prolang == ClanguageId && proc->pronamespace == get_namespace_oid("datahike", true);
  ReleaseSysCache(tuple);
  return ours ? function : Function::Other;
}

int next_number() {
  static int calls = 0;
  return ++calls;
}

// Which columns of one range table entry a query uses.
struct UsedColumns {
  Query* query;
  int entry;
  int level;  // of the query around the node at hand
  Bitmapset* numbers = nullptr;
  TupleDesc row;
};

void use_column(UsedColumns* used, const Var* var) {
  if (var->varattno <= 0) {  // the whole row
    for (int i = 0; i < used->row->natts; ++i)
      if (!TupleDescAttr(used->row, i)->attisdropped)
        used->numbers = bms_add_member(used->numbers, i + 1);
    return;
  }
  // The query may have been analysed before the table was altered.
  FormData_pg_attribute* att =
      var->varattno <= used->row->natts ? TupleDescAttr(used->row, var->varattno - 1) : nullptr;
  if (!att || att->attisdropped)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                    errmsg("attribute %d of type %s has been dropped", var->varattno,
                           format_type_be(used->row->tdtypeid))));
  if (att->atttypid != var->vartype)
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("attribute %d of type %s has wrong type", var->varattno,
                           format_type_be(used->row->tdtypeid)),
                    errdetail("Table has type %s, but query expects %s.",
                              format_type_be(att->atttypid), format_type_be(var->vartype))));
  used->numbers = bms_add_member(used->numbers, var->varattno);
}

bool collect_used(Node* node, UsedColumns* used) {
  if (!node) return false;
  if (IsA(node, Var)) {
    auto* var = reinterpret_cast<Var*>(node);
    if (static_cast<int>(var->varlevelsup) != used->level) return false;
    if (var->varno == used->entry) {
      use_column(used, var);
      return false;
    }
    auto* other = static_cast<RangeTblEntry*>(list_nth(used->query->rtable, var->varno - 1));
    if (other->rtekind != RTE_JOIN) return false;
    int level = std::exchange(used->level, 0);
    if (var->varattno > 0)
      collect_used(static_cast<Node*>(list_nth(other->joinaliasvars, var->varattno - 1)), used);
    else
      collect_used(reinterpret_cast<Node*>(other->joinaliasvars), used);
    used->level = level;
    return false;
  }
  if (IsA(node, Query)) {
    ++used->level;
    query_tree_walker(reinterpret_cast<Query*>(node), as_walker(collect_used), used,
                      QTW_IGNORE_JOINALIASES);
    --used->level;
    return false;
  }
  return expression_tree_walker(node, as_walker(collect_used), used);
}

// SELECT of a table's columns, in their order: dropped ones, too, are columns of the function.
Query* query_of_table(Relation relation, Alias* alias, RangeTblEntry** entry) {
  ParseState* state = make_parsestate(nullptr);
  ParseNamespaceItem* item =
      addRangeTableEntryForRelation(state, relation, AccessShareLock, alias, true, true);
  *entry = item->p_rte;
  auto* query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->querySource = QSRC_ORIGINAL;
  query->canSetTag = true;
  query->rtable = state->p_rtable;
  auto* reference = makeNode(RangeTblRef);
  reference->rtindex = 1;
  query->jointree = makeFromExpr(list_make1(reference), nullptr);
  TupleDesc desc = RelationGetDescr(relation);
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    Expr* value = att->attisdropped
                      ? reinterpret_cast<Expr*>(makeNullConst(INT4OID, -1, InvalidOid))
                      : reinterpret_cast<Expr*>(makeVar(1, att->attnum, att->atttypid,
                                                        att->atttypmod, att->attcollation, 0));
    query->targetList =
        lappend(query->targetList, makeTargetEntry(value, static_cast<AttrNumber>(i + 1),
                                                   pstrdup(NameStr(att->attname)), false));
  }
  free_parsestate(state);
  return query;
}

bool refers_to_rows(Node* node, void* context) {
  if (!node) return false;
  if (IsA(node, Var) || IsA(node, SubLink) || IsA(node, CurrentOfExpr)) return true;
  return expression_tree_walker(node, as_walker(refers_to_rows), context);
}

// What a call needs to be replaced: all that will be done with the arguments is to evaluate them,
// for at() once for all scans, for others perhaps several times.
bool can_be_replaced(const RangeTblEntry* entry, Function function, List* args) {
  auto* node = reinterpret_cast<Node*>(args);
  return !entry->funcordinality && IsA(linitial(args), Const) && !refers_to_rows(node, nullptr) &&
         (function == Function::At || !contain_volatile_functions(node));
}

List* arguments_of(FuncExpr* call) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", call->funcid);
  List* args = expand_function_arguments(call->args, false, call->funcresulttype, tuple);
  ReleaseSysCache(tuple);
  return args;
}

// Puts the call's arguments in the place of $1 and $2.
Node* substitute(Node* node, List* args) {
  if (!node) return nullptr;
  if (IsA(node, Param))
    return static_cast<Node*>(
        copyObjectImpl(list_nth(args, reinterpret_cast<Param*>(node)->paramid)));
  auto* mutator = reinterpret_cast<Node* (*)()>(reinterpret_cast<void*>(substitute));
  if (IsA(node, Query))
    return reinterpret_cast<Node*>(
        query_tree_mutator(reinterpret_cast<Query*>(node), mutator, args, 0));
  return expression_tree_mutator(node, mutator, args);
}

// Whose row functions ask about rows that the query reads.
bool mark_calls(Node* node, void* context) {
  if (!node) return false;
  if (IsA(node, Query))
    return query_tree_walker(reinterpret_cast<Query*>(node), as_walker(mark_calls), context, 0);
  if (IsA(node, FuncExpr)) reinterpret_cast<FuncExpr*>(node)->location = versioning::kCallOfQuery;
  return expression_tree_walker(node, as_walker(mark_calls), context);
}

Query* query_of_text(const char* text, List* args) {
  Oid types[] = {TEXTOID, TEXTOID};
  auto* raw = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
  Query* query = parse_analyze_fixedparams(raw, text, types, 2, nullptr);
  mark_calls(reinterpret_cast<Node*>(query), nullptr);  // before the caller's arguments are in it
  return castNode(Query, substitute(reinterpret_cast<Node*>(query), args));
}

RangeTblEntry* find_alias(Query* query, const char* alias) {
  ListCell* cell;
  foreach (cell, query->rtable) {
    auto* entry = static_cast<RangeTblEntry*>(lfirst(cell));
    if (entry->rtekind == RTE_RELATION && entry->alias &&
        std::strcmp(entry->alias->aliasname, alias) == 0)
      return entry;
  }
  elog(ERROR, "a table is missing in a query of datahike's own");
}

// The query of a call of at(): privileges are needed for the columns that are used.
Query* query_of_at(Query* parent, int index, Relation relation, ViewCall call) {
  auto* entry = static_cast<RangeTblEntry*>(list_nth(parent->rtable, index - 1));
  UsedColumns used{parent, index, 0, nullptr, RelationGetDescr(relation)};
  query_tree_walker(parent, as_walker(collect_used), &used, QTW_IGNORE_JOINALIASES);
  RangeTblEntry* table;
  Alias* alias = entry->alias ? makeAlias(entry->alias->aliasname, NIL) : nullptr;
  Query* query = query_of_table(relation, alias, &table);
  int number = -1;
  while ((number = bms_next_member(used.numbers, number)) >= 0)
    table->selectedCols =
        bms_add_member(table->selectedCols, number - FirstLowInvalidHeapAttributeNumber);
  set_view_call(table, call);
  return query;
}

Query* query_of_blame(Relation relation, List* args, ViewCall call) {
  Query* query = query_of_text(blame_query(relation), args);
  call.kind = NamedKind::Commit;
  set_view_call(find_alias(query, kRowAlias), call);
  return query;
}

Query* query_of_versions(Relation relation, List* args, ViewCall call) {
  Query* query = query_of_text(versions_query(relation), args);
  call.kind = NamedKind::History;
  set_view_call(find_alias(query, kRowAlias), call);
  return query;
}

// `text`: of a query that has the call's second revision new and its first one old.
Query* query_of_diff(char* text, List* args, ViewCall call, NamedKind kind) {
  Query* query = query_of_text(text, args);
  call.kind = kind;
  set_view_call(find_alias(query, kOldAlias), call);
  std::swap(call.first, call.second);
  call.number = next_number();
  set_view_call(find_alias(query, kNewAlias), call);
  return query;
}

void replace_call(Query* query, int index, FuncExpr* call, Function function) {
  auto* entry = static_cast<RangeTblEntry*>(list_nth(query->rtable, index - 1));
  List* args = arguments_of(call);
  if (!can_be_replaced(entry, function, args)) return;
  Oid relid = table_of_type(exprType(static_cast<Node*>(linitial(args))));
  Relation relation = table_open(relid, AccessShareLock);
  require_datahike(relid);
  auto* first = static_cast<Node*>(lsecond(args));
  Node* second = list_length(args) > 2
                     ? static_cast<Node*>(lthird(args))
                     : reinterpret_cast<Node*>(makeNullConst(TEXTOID, -1, DEFAULT_COLLATION_OID));
  ViewCall view{next_number(), call->funcid, relid, NamedKind::Table, first, second};
  Query* replacement = nullptr;
  switch (function) {
    case Function::At:
      replacement = query_of_at(query, index, relation, view);
      break;
    case Function::Blame:
      replacement = query_of_blame(relation, args, view);
      break;
    case Function::Versions:
      replacement = query_of_versions(relation, args, view);
      break;
    case Function::Diff:
      replacement = query_of_diff(diff_query(relation), args, view, NamedKind::Difference);
      break;
    case Function::CommitChanges:
      replacement = query_of_diff(diff_query(relation), args, view, NamedKind::Step);
      break;
    case Function::CommitChangesOnly:
      replacement = query_of_diff(changes_query(relation), args, view, NamedKind::Step);
      break;
    case Function::Other:
      return;  // is not called
  }
  setRuleCheckAsUser(reinterpret_cast<Node*>(replacement), entry->checkAsUser);
  entry->rtekind = RTE_SUBQUERY;
  entry->subquery = linitial_node(Query, QueryRewrite(replacement));
  entry->functions = NIL;
  entry->lateral = false;
  table_close(relation, NoLock);
  pg::guard([=] { expanded_tables->insert(relid); });
}

struct Expansion {
  bool any;
};

bool expand(Node* node, Expansion* expansion) {
  if (!node) return false;
  if (!IsA(node, Query)) return expression_tree_walker(node, as_walker(expand), expansion);
  auto* query = reinterpret_cast<Query*>(node);
  for (int i = 1; i <= list_length(query->rtable); ++i) {
    auto* entry = static_cast<RangeTblEntry*>(list_nth(query->rtable, i - 1));
    if (Oid table = replace_foreign_table(query, i, next_number()); OidIsValid(table)) {
      expansion->any = true;
      pg::guard([=] { expanded_tables->insert(table); });
      continue;
    }
    if (entry->rtekind != RTE_FUNCTION || list_length(entry->functions) != 1) continue;
    auto* function = linitial_node(RangeTblFunction, entry->functions);
    if (!IsA(function->funcexpr, FuncExpr)) continue;
    auto* call = reinterpret_cast<FuncExpr*>(function->funcexpr);
    Function called = function_of(call->funcid);
    if (called == Function::Other) continue;
    replace_call(query, i, call, called);
    expansion->any |= entry->rtekind == RTE_SUBQUERY;
  }
  return query_tree_walker(query, as_walker(expand), expansion, 0);
}

PlannedStmt* plan_next(Query* parse, const char* text, int options, ParamListInfo params) {
  return previous_planner ? previous_planner(parse, text, options, params)
                          : standard_planner(parse, text, options, params);
}

PlannedStmt* plan(Query* parse, const char* text, int options, ParamListInfo params) {
  Expansion expansion{false};
  expand(reinterpret_cast<Node*>(parse), &expansion);
  if (!expansion.any) return plan_next(parse, text, options, params);
  // What holds now need not hold in the view. Workers have no part in views that the statement
  // names.
  pg::keep_grouping(parse);
  PlannedStmt* planned = pg::plan_without_constraints(plan_next, parse, text,
                                                      options & ~CURSOR_OPT_PARALLEL_OK, params);
  // Policies of the tables were chosen for the present role.
  planned->dependsOnRole = true;
  return planned;
}

// A role that a user mapping names has gone into plans.
void forget_all_plans(Datum, int, uint32) {
  if (expanded_tables && !expanded_tables->empty()) ResetPlanCache();
}

void forget_plans(Datum, Oid relid) {
  if (!expanded_tables || expanded_tables->empty()) return;
  if (OidIsValid(relid) && expanded_tables->count(relid) == 0) return;
  if (OidIsValid(relid))
    expanded_tables->erase(relid);
  else
    expanded_tables->clear();
  ResetPlanCache();
}

}  // namespace

void install_expansion() {
  pg::guard([] { expanded_tables = new std::unordered_set<Oid>; });
  previous_planner = planner_hook;
  planner_hook = plan;
  CacheRegisterRelcacheCallback(forget_plans, 0);
  CacheRegisterSyscacheCallback(USERMAPPINGUSERSERVER, forget_all_plans, 0);
}

}  // namespace datahike::exec
