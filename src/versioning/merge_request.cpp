// Strategies and resolvers: f(relation, key jsonb, column text, base jsonb, ours jsonb, theirs
// jsonb) returns jsonb, where the relation is regclass or text. Type datahike.resolver is
// regprocedure with an input that finds the function by its name alone.
#include "versioning/merge_request.h"

extern "C" {
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "utils/regproc.h"
#include "utils/varlena.h"
}

using namespace datahike;
using namespace datahike::versioning;

namespace {

constexpr int kArguments = 6;
constexpr const char* kSignature =
    "A resolver is f(relation text or regclass, key jsonb, column text, base jsonb, ours jsonb, "
    "theirs jsonb) returns jsonb.";

bool are_resolver_arguments(const Oid* types) {
  return (types[0] == TEXTOID || types[0] == REGCLASSOID) && types[1] == JSONBOID &&
         types[2] == TEXTOID && types[3] == JSONBOID && types[4] == JSONBOID &&
         types[5] == JSONBOID;
}

// The function of that name that has a resolver's arguments, on the search path or in the schema
// that is named; InvalidOid: there is none.
Oid find_resolver(const char* name) {
  List* names = stringToQualifiedNameList(name);
  Oid found = InvalidOid;
  FuncCandidateList candidate =
      FuncnameGetCandidates(names, kArguments, NIL, false, false, false, true);
  for (; candidate; candidate = candidate->next) {
    if (!are_resolver_arguments(candidate->args)) continue;
    if (OidIsValid(found))
      ereport(ERROR,
              (errcode(ERRCODE_AMBIGUOUS_FUNCTION),
               errmsg("there are two resolvers \"%s\", for text and for regclass", name),
               errhint("Give the types of its arguments: '%s(text,jsonb,text,jsonb,jsonb,jsonb)'.",
                       name)));
    found = candidate->oid;
  }
  return found;
}

void set_resolver(MergeRequest* request, Oid function) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("there is no such resolver")));
  auto* proc = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  bool fits = proc->pronargs == kArguments && are_resolver_arguments(proc->proargtypes.values) &&
              proc->prorettype == JSONBOID && !proc->proretset && proc->prokind == PROKIND_FUNCTION;
  if (!fits)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("function %s cannot resolve conflicts", format_procedure(function)),
                    errhint("%s", kSignature)));
  request->resolver_takes_text = proc->proargtypes.values[0] == TEXTOID;
  ReleaseSysCache(tuple);
  if (pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
  request->strategy = MergeStrategy::Resolver;
  request->resolver = function;
}

// The name of a strategy, or of a resolver.
void set_strategy(MergeRequest* request, char* name) {
  static constexpr struct {
    const char* name;
    MergeStrategy strategy;
  } known[] = {{"fail", MergeStrategy::Fail},
               {"ours", MergeStrategy::Ours},
               {"theirs", MergeStrategy::Theirs},
               {"union", MergeStrategy::Union}};
  for (const auto& k : known) {
    if (std::strcmp(name, k.name) != 0) continue;
    request->strategy = k.strategy;
    return;
  }
  List* parts;
  char* copy = pstrdup(name);
  Oid function =
      SplitIdentifierString(copy, '.', &parts) && parts != NIL ? find_resolver(name) : InvalidOid;
  if (!OidIsValid(function))
    ereport(
        ERROR,
        (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown merge strategy \"%s\"", name),
         errdetail("It is none of fail, ours, theirs and union, and no resolver function."),
         errhint("%s", kSignature)));
  set_resolver(request, function);
}

}  // namespace

namespace datahike::versioning {

MergeRequest merge_request(FunctionCallInfo fcinfo) {
  MergeRequest request{};
  request.strategy = MergeStrategy::Fail;
  if (!PG_ARGISNULL(1)) set_strategy(&request, text_to_cstring(PG_GETARG_TEXT_PP(1)));
  if (PG_ARGISNULL(2)) return request;
  if (request.strategy != MergeStrategy::Fail)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("a resolver takes the place of a strategy: name one of the two")));
  set_resolver(&request, PG_GETARG_OID(2));
  return request;
}

}  // namespace datahike::versioning

extern "C" {
PG_FUNCTION_INFO_V1(datahike_resolver_in);
PGDLLEXPORT Datum datahike_resolver_in(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(datahike_resolver_out);
PGDLLEXPORT Datum datahike_resolver_out(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(datahike_resolver_recv);
PGDLLEXPORT Datum datahike_resolver_recv(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(datahike_resolver_send);
PGDLLEXPORT Datum datahike_resolver_send(PG_FUNCTION_ARGS);
}

// With argument types, or as a number, as regprocedure has it.
Datum datahike_resolver_in(PG_FUNCTION_ARGS) {
  char* name = PG_GETARG_CSTRING(0);
  bool is_number = *name && std::strspn(name, "0123456789") == std::strlen(name);
  if (is_number || std::strchr(name, '(') || std::strcmp(name, "-") == 0)
    return DirectFunctionCall1(regprocedurein, CStringGetDatum(name));
  Oid function = find_resolver(name);
  if (!OidIsValid(function))
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_FUNCTION),
             errmsg("there is no resolver function \"%s\"", name), errhint("%s", kSignature)));
  PG_RETURN_OID(function);
}

Datum datahike_resolver_out(PG_FUNCTION_ARGS) { return regprocedureout(fcinfo); }

Datum datahike_resolver_recv(PG_FUNCTION_ARGS) { return regprocedurerecv(fcinfo); }

Datum datahike_resolver_send(PG_FUNCTION_ARGS) { return regproceduresend(fcinfo); }
