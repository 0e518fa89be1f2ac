// The anomaly_* functions in their long form: a model's name and its features' values.
#include <algorithm>
#include <limits>

#include "iforest/sql/measures.h"
#include "pg/bridge.h"

extern "C" {
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "utils/array.h"

PG_FUNCTION_INFO_V1(datahike_anomaly_score);
PG_FUNCTION_INFO_V1(datahike_anomaly_predict);
PG_FUNCTION_INFO_V1(datahike_anomaly_proba);
PG_FUNCTION_INFO_V1(datahike_anomaly_confidence);
PG_FUNCTION_INFO_V1(datahike_anomaly_score_weighted);
PG_FUNCTION_INFO_V1(datahike_anomaly_short);
PG_FUNCTION_INFO_V1(datahike_anomaly_support);
PGDLLEXPORT Datum datahike_anomaly_score(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_anomaly_predict(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_anomaly_proba(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_anomaly_confidence(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_anomaly_score_weighted(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_anomaly_short(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_anomaly_support(PG_FUNCTION_ARGS);
}

namespace datahike::anomaly {

namespace {

// What an expression keeps from one row to the next. PostgreSQL's memory: owns nothing.
struct Call {
  const LoadedModel* model;  // valid while the key is current
  ModelKey key;
  char name[NAMEDATALEN];
  int first;     // argument that is a feature
  int features;  // as given; -1: as an array
  int wanted;    // features of the model
  // Where the call names its features:
  int names_argument;   // -1: it does not
  bool names_constant;  // as long as the expression lives
  ArrayType* names;     // as they were when the model was loaded
  int named;            // how many
  int* places;          // of the model's features among them; nullptr: they are all, in order
  Oid element;          // of an array of features
  int16 element_length;
  bool element_by_value;
  char element_align;
  double* values;
  Conversion* conversions;
};

[[noreturn]] void refuse_type(int feature, Oid type) {
  if (type == UNKNOWNOID)  // quotes alone give a literal no type
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("feature %d is a string literal, which is not numeric", feature),
                    errhint("Write a number without quotes, or cast it: '2'::float8.")));
  ereport(ERROR,
          (errcode(ERRCODE_DATATYPE_MISMATCH),
           errmsg("feature %d is of type %s, which is not numeric", feature, format_type_be(type)),
           errhint("Features are of integer, floating-point or numeric types: cast it.")));
  pg_unreachable();
}

// NULL as a literal has no type of its own.
Conversion conversion_of_argument(Node* argument, Oid type, int feature) {
  Conversion conversion = conversion_of(type);
  if (conversion != Conversion::None) return conversion;
  const bool null = argument && IsA(argument, Const) && castNode(Const, argument)->constisnull;
  if (!null) refuse_type(feature, type);
  return Conversion::Null;
}

Node* argument_node(FmgrInfo* function, int number) {
  Node* expression = function->fn_expr;
  if (!expression || !IsA(expression, FuncExpr)) return nullptr;
  List* arguments = castNode(FuncExpr, expression)->args;
  return number < list_length(arguments) ? static_cast<Node*>(list_nth(arguments, number))
                                         : nullptr;
}

Call* make_call(FunctionCallInfo fcinfo) {
  FmgrInfo* function = fcinfo->flinfo;
  auto* call = static_cast<Call*>(MemoryContextAllocZero(function->fn_mcxt, sizeof(Call)));
  const KnownFunction known = *known_function(function->fn_oid);
  const int first = call->first = known.first_feature;
  call->names_argument = known.names;
  if (known.names >= 0) {
    Node* names = argument_node(function, known.names);
    call->names_constant = names && IsA(names, Const);
  }
  if (get_fn_expr_variadic(function)) {
    call->features = -1;
    Oid array = get_base_element_type(get_fn_expr_argtype(function, first));
    if (!OidIsValid(array)) refuse_type(1, get_fn_expr_argtype(function, first));
    call->element = array;
    if (conversion_of(array) == Conversion::None) refuse_type(1, array);
    get_typlenbyvalalign(array, &call->element_length, &call->element_by_value,
                         &call->element_align);
  } else {
    call->features = PG_NARGS() - first;
    call->conversions = static_cast<Conversion*>(
        MemoryContextAlloc(function->fn_mcxt, sizeof(Conversion) * (call->features + 1)));
    for (int i = 0; i < call->features; ++i) {
      Oid type = get_fn_expr_argtype(function, first + i);
      call->conversions[i] =
          conversion_of_argument(argument_node(function, first + i), type, i + 1);
    }
  }
  function->fn_extra = call;
  return call;
}

// What the call names its features, kept; the strings are of the current context.
GivenNames keep_names(FunctionCallInfo fcinfo, Call* call) {
  if (call->names_argument < 0) return {};
  if (call->names) pfree(call->names);
  if (call->places) pfree(call->places);
  call->names = nullptr;
  call->places = nullptr;
  MemoryContext before = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
  call->names = DatumGetArrayTypePCopy(PG_GETARG_DATUM(call->names_argument));
  MemoryContextSwitchTo(before);
  const GivenNames given = given_names(PointerGetDatum(call->names));
  call->named = given.count;
  call->places = static_cast<int*>(
      MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(int) * (given.count + 1)));
  return given;
}

void refresh(FunctionCallInfo fcinfo, Call* call, Measure measure, double decay, const char* name) {
  call->model = nullptr;
  const GivenNames given = keep_names(fcinfo, call);
  pg::guard([=, &given] {
    call->key = current_key();  // before: what changes meanwhile is looked up again
    auto model = load_model(name);
    if (call->names) {
      if (call->features >= 0)
        require_values(name, given.span().size(), static_cast<size_t>(call->features));
      // No more than there are names.
      std::ranges::copy(places_of(name, *model, given.span()), call->places);
    } else if (call->features >= 0) {
      require_features(name, *model, static_cast<size_t>(call->features));
    }
    require_measurable(name, *model, measure, decay);
    call->model = model.get();  // which stays as long as the epoch
  });
  strlcpy(call->name, name, sizeof call->name);
  call->wanted = static_cast<int>(call->model->model.features.size());
  if (call->values) pfree(call->values);
  call->values = nullptr;
  call->values = static_cast<double*>(
      MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(double) * call->wanted));
}

// Whether the call still names the features that it did.
bool has_names(FunctionCallInfo fcinfo, const Call* call) {
  if (call->names_argument < 0 || call->names_constant) return true;
  ArrayType* now = PG_GETARG_ARRAYTYPE_P(call->names_argument);
  return VARSIZE(now) == VARSIZE(call->names) && std::memcmp(now, call->names, VARSIZE(now)) == 0;
}

bool is_named(const Call* call, const text* name) {
  const size_t length = VARSIZE_ANY_EXHDR(name);
  return std::strlen(call->name) == length &&
         std::memcmp(call->name, VARDATA_ANY(name), length) == 0;
}

// False if all are NULL.
bool read_arguments(FunctionCallInfo fcinfo, const Call* call) {
  bool any = false;
  for (int i = 0; i < call->wanted; ++i) {
    const int place = call->places ? call->places[i] : i;
    const NullableDatum& argument = fcinfo->args[call->first + place];
    any |= !argument.isnull;
    call->values[i] = argument.isnull ? std::numeric_limits<double>::quiet_NaN()
                                      : to_double(argument.value, call->conversions[place]);
  }
  return any;
}

bool read_array(FunctionCallInfo fcinfo, const Call* call) {
  Datum* values;
  bool* nulls;
  int count = 0;
  if (!PG_ARGISNULL(call->first))
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(call->first), call->element, call->element_length,
                      call->element_by_value, call->element_align, &values, &nulls, &count);
  else
    return false;
  pg::guard([=] {
    const auto given = static_cast<size_t>(count);
    if (call->names)
      require_values(call->name, static_cast<size_t>(call->named), given);
    else
      require_features(call->name, *call->model, given);
  });
  const Conversion conversion = conversion_of(call->element);
  bool any = false;
  for (int i = 0; i < call->wanted; ++i) {
    const int place = call->places ? call->places[i] : i;
    any |= !nulls[place];
    call->values[i] = nulls[place] ? std::numeric_limits<double>::quiet_NaN()
                                   : to_double(values[place], conversion);
  }
  return any;
}

Datum measure(FunctionCallInfo fcinfo, Measure measure) {
  const bool weighted = measure == Measure::Weighted;
  if (PG_ARGISNULL(0) || (weighted && PG_ARGISNULL(1))) PG_RETURN_NULL();
  const double decay = weighted ? PG_GETARG_FLOAT8(1) : 1;
  auto* call = static_cast<Call*>(fcinfo->flinfo->fn_extra);
  if (!call) call = make_call(fcinfo);
  if (call->names_argument >= 0 && PG_ARGISNULL(call->names_argument)) PG_RETURN_NULL();
  text* name = PG_GETARG_TEXT_PP(0);
  if (!call->model || !pg::guard([call] { return is_current(call->key); }) ||
      !is_named(call, name) || !has_names(fcinfo, call))
    refresh(fcinfo, call, measure, decay, text_to_cstring(name));
  else if (weighted && !(decay > 0 && decay <= 1))
    pg::guard([=] { require_measurable(call->name, *call->model, measure, decay); });
  const bool any = call->features >= 0 ? read_arguments(fcinfo, call) : read_array(fcinfo, call);
  if (!any) PG_RETURN_NULL();
  const double result =
      pg::guard([=] { return measure_row(*call->model, measure, decay, call->values); });
  if (measure == Measure::Predict) PG_RETURN_BOOL(result != 0);
  PG_RETURN_FLOAT8(result);
}

std::unordered_map<Oid, std::optional<KnownFunction>> known_functions;

std::optional<KnownFunction> look_up(Oid function) {
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return std::nullopt;
  std::optional<KnownFunction> known;
  auto* proc = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  if (proc->prolang == ClanguageId) {
    bool null;
    Datum source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &null);
    const char* symbol = null ? "" : TextDatumGetCString(source);
    const bool is_short = std::strcmp(symbol, "datahike_anomaly_short") == 0;
    for (Measure m : {Measure::Score, Measure::Predict, Measure::Probability, Measure::Confidence,
                      Measure::Weighted}) {
      const bool same = is_short ? std::strcmp(NameStr(proc->proname), name_of(m)) == 0
                                 : std::strncmp(symbol, "datahike_", 9) == 0 &&
                                       std::strcmp(symbol + 9, name_of(m)) == 0;
      if (!same) continue;
      known = KnownFunction{m, is_short, -1, m == Measure::Weighted ? 1 : -1, 0};
      const int next = known->first_feature = m == Measure::Weighted ? 2 : 1;
      if (next < proc->proargtypes.dim1 && proc->proargtypes.values[next] == TEXTARRAYOID)
        known->names = known->first_feature++;
    }
  }
  ReleaseSysCache(tuple);
  return known;
}

void functions_changed(Datum, int, uint32) { known_functions.clear(); }

}  // namespace

std::optional<KnownFunction> known_function(Oid function) {
  if (function < FirstNormalObjectId) return std::nullopt;
  static bool watching = false;
  if (!watching) {
    CacheRegisterSyscacheCallback(PROCOID, functions_changed, 0);
    watching = true;
  }
  if (auto at = known_functions.find(function); at != known_functions.end()) return at->second;
  std::optional<KnownFunction> known = look_up(function);
  pg::guard([&] { known_functions.emplace(function, known); });
  return known;
}

namespace {

// Errors of a call of which the planner knows the model, before the query reads anything.
void check_call(const FuncExpr* call) {
  const std::optional<KnownFunction> known = known_function(call->funcid);
  auto* name = static_cast<Node*>(linitial(call->args));
  if (!known || known->short_form || !IsA(name, Const) || !IsTransactionState()) return;
  auto* constant = castNode(Const, name);
  if (constant->constisnull) return;
  const int first = known->first_feature;
  GivenNames names{};
  if (known->names >= 0) {
    auto* argument = static_cast<Node*>(list_nth(call->args, known->names));
    if (!IsA(argument, Const) || castNode(Const, argument)->constisnull) return;
    names = given_names(castNode(Const, argument)->constvalue);
  }
  if (!call->funcvariadic)
    for (int i = first; i < list_length(call->args); ++i) {
      auto* argument = static_cast<Node*>(list_nth(call->args, i));
      conversion_of_argument(argument, exprType(argument), i - first + 1);
    }
  double decay = 1;
  if (known->decay >= 0) {
    auto* given = static_cast<Node*>(list_nth(call->args, known->decay));
    if (IsA(given, Const) && !castNode(Const, given)->constisnull)
      decay = DatumGetFloat8(castNode(Const, given)->constvalue);
  }
  const char* model_name = TextDatumGetCString(constant->constvalue);
  const int given = call->funcvariadic ? -1 : list_length(call->args) - first;
  const Measure measure = known->measure;
  pg::guard([=] {
    auto model = model_for_planning(model_name);
    if (names.names) {
      if (given >= 0) require_values(model_name, names.span().size(), static_cast<size_t>(given));
      places_of(model_name, *model, names.span());
    } else if (given >= 0) {
      require_features(model_name, *model, static_cast<size_t>(given));
    }
    require_measurable(model_name, *model, measure, decay);
  });
}

}  // namespace

}  // namespace datahike::anomaly

using datahike::anomaly::Measure;

Datum datahike_anomaly_score(PG_FUNCTION_ARGS) {
  return datahike::anomaly::measure(fcinfo, Measure::Score);
}
Datum datahike_anomaly_predict(PG_FUNCTION_ARGS) {
  return datahike::anomaly::measure(fcinfo, Measure::Predict);
}
Datum datahike_anomaly_proba(PG_FUNCTION_ARGS) {
  return datahike::anomaly::measure(fcinfo, Measure::Probability);
}
Datum datahike_anomaly_confidence(PG_FUNCTION_ARGS) {
  return datahike::anomaly::measure(fcinfo, Measure::Confidence);
}
Datum datahike_anomaly_score_weighted(PG_FUNCTION_ARGS) {
  return datahike::anomaly::measure(fcinfo, Measure::Weighted);
}

// A short form that has not become a long one (short_form.cpp).
Datum datahike_anomaly_short(PG_FUNCTION_ARGS) {
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("a model's features cannot be found by name here"),
                  errhint("Name them: anomaly_score('model', feature1, feature2, ...).")));
  PG_RETURN_NULL();
}

Datum datahike_anomaly_support(PG_FUNCTION_ARGS) {
  auto* request = reinterpret_cast<Node*>(PG_GETARG_POINTER(0));
  if (IsA(request, SupportRequestSimplify))
    datahike::anomaly::check_call(reinterpret_cast<SupportRequestSimplify*>(request)->fcall);
  PG_RETURN_POINTER(nullptr);
}
