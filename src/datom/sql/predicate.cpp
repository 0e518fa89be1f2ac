#include "datom/sql/predicate.h"

#include "datom/json.h"
#include "datom/sql/pg_values.h"

extern "C" {
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "parser/parse_func.h"
#include "utils/regproc.h"
}

namespace datahike::facts {

namespace {

Oid calling_user = InvalidOid;

struct Predicate {
  Oid function = InvalidOid;
  Oid argument = InvalidOid;
  Oid owner = InvalidOid;
};

Predicate find(const char* schema, const char* name, Oid type) {
  List* names = list_make2(makeString(pstrdup(schema)), makeString(pstrdup(name)));
  for (Oid argument : {type, static_cast<Oid>(JSONBOID)}) {
    Oid function = LookupFuncName(names, 1, &argument, true);
    if (OidIsValid(function)) return {function, argument, InvalidOid};
  }
  ereport(
      ERROR,
      (errcode(ERRCODE_UNDEFINED_FUNCTION),
       errmsg("predicate function %s.%s(%s) does not exist", schema, name, format_type_be(type)),
       errhint("A symbol s/f names function f of schema s, f alone one of schema public.")));
}

// Returns the function's owner.
Oid check(Oid function, Oid user) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", function);
  auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  const bool good = form->prorettype == BOOLOID && !form->proretset &&
                    form->provolatile == PROVOLATILE_IMMUTABLE && form->prokind == PROKIND_FUNCTION;
  const Oid owner = form->proowner;
  ReleaseSysCache(tuple);
  if (!good)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("function %s is no predicate", format_procedure(function)),
                    errhint("A predicate is IMMUTABLE and returns boolean.")));
  if (pg_proc_aclcheck(function, user, ACL_EXECUTE) != ACLCHECK_OK)
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
  return owner;
}

// With its owner's rights, as an index's functions run: whoever defines an attribute chooses the
// function, and must not get the rights of those who transact it.
bool call_as_owner(Oid owner, Oid function, Datum argument) {
  LOCAL_FCINFO(call, 1);
  FmgrInfo info;
  fmgr_info(function, &info);
  InitFunctionCallInfoData(*call, &info, 1, DEFAULT_COLLATION_OID, nullptr, nullptr);
  call->args[0] = {argument, false};
  Oid before;
  int context;
  GetUserIdAndSecContext(&before, &context);
  const int level = NewGUCNestLevel();
  SetUserIdAndSecContext(owner, context | SECURITY_RESTRICTED_OPERATION);
  volatile bool holds = false;
  PG_TRY();
  {
    Datum result = FunctionCallInvoke(call);
    holds = !call->isnull && DatumGetBool(result);
  }
  PG_FINALLY();
  {
    SetUserIdAndSecContext(before, context);
    AtEOXact_GUC(false, level);
  }
  PG_END_TRY();
  return holds;
}

}  // namespace

unsigned int exchange_calling_user(unsigned int user) { return std::exchange(calling_user, user); }

bool call_predicate(const std::string& symbol, const datom::Value& v) {
  auto [space, name] = datom::split_name(symbol);
  const std::string schema(space.empty() ? "public" : space), function_name(name);
  const char *s = schema.c_str(), *n = function_name.c_str();
  const Oid user = OidIsValid(calling_user) ? calling_user : GetUserId();
  const Oid type = sql_type(v.type);
  Predicate predicate = pg::call([=] {
    Predicate p = find(s, n, type);
    p.owner = check(p.function, user);
    return p;
  });
  Datum argument;
  if (predicate.argument == type) {
    argument = to_datum(v);
  } else {
    std::string json;
    datom::write_json(v, json);
    argument = jsonb_datum(json);
  }
  return pg::call([=] { return call_as_owner(predicate.owner, predicate.function, argument); });
}

}  // namespace datahike::facts
