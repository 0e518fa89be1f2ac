// SQL functions that make, change and describe models.
#include "iforest/sql/training.h"
#include "iforest/format.h"
#include "pg/bridge.h"
#include "versioning/view.h"

extern "C" {
#include "catalog/pg_namespace.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/array.h"

PG_FUNCTION_INFO_V1(datahike_create_model);
PG_FUNCTION_INFO_V1(datahike_rotate_model);
PG_FUNCTION_INFO_V1(datahike_drop_model);
PG_FUNCTION_INFO_V1(datahike_model_details);
PG_FUNCTION_INFO_V1(datahike_detect_anomalies);
PGDLLEXPORT Datum datahike_create_model(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_rotate_model(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_drop_model(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_model_details(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_detect_anomalies(PG_FUNCTION_ARGS);
}

namespace datahike::anomaly {

namespace {

// Arguments of a function call; palloc'd texts.
const char* text_argument(FunctionCallInfo fcinfo, int number, const char* what) {
  if (PG_ARGISNULL(number))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must be given", what)));
  return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

uint32_t count_argument(FunctionCallInfo fcinfo, int number, const char* what, uint32_t most) {
  const int32 value = PG_ARGISNULL(number) ? 0 : PG_GETARG_INT32(number);
  if (value < 1 || static_cast<uint32_t>(value) > most)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("%s must be from 1 to %u", what, most)));
  return static_cast<uint32_t>(value);
}

// NaN where there is none.
double contamination_argument(FunctionCallInfo fcinfo, int number) {
  if (PG_ARGISNULL(number)) return std::numeric_limits<double>::quiet_NaN();
  const double value = PG_GETARG_FLOAT8(number);
  if (!(value > 0 && value <= 0.5))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("contamination must be greater than 0 and at most 0.5")));
  return value;
}

struct PlainOptions {
  uint32_t trees, sample_size;
  uint64_t seed;
  double contamination;
  iforest::Options options() const {
    iforest::Options o{trees, sample_size, seed, std::nullopt};
    if (contamination == contamination) o.contamination = contamination;
    return o;
  }
};

PlainOptions options_from(FunctionCallInfo fcinfo, int trees, int sample, int seed,
                          int contamination) {
  PlainOptions o;
  o.trees = count_argument(fcinfo, trees, "n_trees", iforest::kMostTrees);
  o.sample_size = count_argument(fcinfo, sample, "sample_size", iforest::kMostSample);
  o.seed = PG_ARGISNULL(seed) ? 42 : static_cast<uint64_t>(PG_GETARG_INT64(seed));
  o.contamination = contamination_argument(fcinfo, contamination);
  return o;
}

void poll() {
  pg::call([] { CHECK_FOR_INTERRUPTS(); });
}

void require_writable_view(const char* what) {
  PreventCommandIfReadOnly(what);
  pg::guard([what] { versioning::require_writable(versioning::session_view(), what); });
}

// The name, quoted and qualified; palloc'd.
const char* table_name(const char* model) { return quote_qualified_identifier(kSchema, model); }

// Waits for who drops the table; holds no lock afterwards.
void await_table(const char* name) {
  const Oid relid = lock_table_of_model(name, AccessShareLock, ACL_SELECT);
  if (OidIsValid(relid)) UnlockRelationOid(relid, AccessShareLock);
}

// For the rest of the transaction; so two sessions that make the same model do it one by one, and
// none drops its table, or that of the model that it is made from. What the other one has done is
// to be seen, so the caller pops the snapshot that this one pushes.
//
// Who has dropped the table may go on to make the model again: it is not waited for with the name
// locked.
void lock_name(const char* name, const char* from) {
  Oid schema = get_namespace_oid(kSchema, false);
  const uint32 hash = DatumGetUInt32(
      hash_any(reinterpret_cast<const unsigned char*>(name), static_cast<int>(std::strlen(name))));
  const auto number = static_cast<uint16>(hash | 1);
  for (;;) {
    LockDatabaseObject(NamespaceRelationId, schema, number, ExclusiveLock);
    if (try_lock_table_of_model(name, AccessShareLock, ACL_SELECT) &&
        try_lock_table_of_model(from, AccessShareLock, ACL_SELECT))
      break;
    UnlockDatabaseObject(NamespaceRelationId, schema, number, ExclusiveLock);
    await_table(name);
    await_table(from);
  }
  PushActiveSnapshot(IsolationUsesXactSnapshot() ? GetActiveSnapshot() : GetLatestSnapshot());
}

// Locked, so that nothing that runs with a write can be added to it; false: there is no table yet.
bool lock_for_writing(const char* name, AclMode privilege) {
  const Oid relid = lock_table_of_model(name, RowExclusiveLock, privilege);
  if (!OidIsValid(relid)) return false;
  Relation relation = relation_open(relid, NoLock);
  require_model_table(relation);
  relation_close(relation, NoLock);
  return true;
}

void execute(const char* command, int arguments, Oid* types, Datum* values, int expected,
             uint64 rows) {
  const int result = SPI_execute_with_args(command, arguments, types, values, nullptr, false, 0);
  if (result != expected || (rows > 0 && SPI_processed != rows))
    ereport(ERROR,
            (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
             errmsg("the model has been changed by another transaction"), errhint("Try again.")));
}

// Before anything is trained in vain. `replaced`: there is such a model.
void require_writing(const char* name, bool replaced) {
  const Oid relid = table_of_model(name);
  if (OidIsValid(relid)) require_privilege(relid, name, replaced ? ACL_UPDATE : ACL_INSERT);
}

// As the caller, whose privileges on the model's table count. `replaced`: the model that the new
// one takes the place of.
void write(const char* name, bytea* forest, const ModelVersion* replaced) {
  Oid types[] = {TEXTOID, BYTEAOID, TIMESTAMPTZOID};
  Datum values[] = {CStringGetTextDatum(name), PointerGetDatum(forest),
                    TimestampTzGetDatum(replaced ? replaced->trained_at : 0)};
  const char* table = table_name(name);
  SPI_connect();
  if (!lock_for_writing(name, replaced ? ACL_UPDATE : ACL_INSERT))
    execute(psprintf("CREATE TABLE %s (name pg_catalog.text PRIMARY KEY, trained_at "
                     "pg_catalog.timestamptz NOT NULL, forest pg_catalog.bytea NOT NULL) "
                     "USING datahike",
                     table),
            0, nullptr, nullptr, SPI_OK_UTILITY, 0);
  if (replaced)
    execute(
        psprintf("UPDATE %s SET name = $1, trained_at = pg_catalog.clock_timestamp(), "
                 "forest = $2 WHERE %s",
                 table,
                 replaced->dated ? "trained_at OPERATOR(pg_catalog.=) $3" : "trained_at IS NULL"),
        replaced->dated ? 3 : 2, types, values, SPI_OK_UPDATE, 1);
  else
    execute(psprintf("INSERT INTO %s VALUES ($1, pg_catalog.clock_timestamp(), $2)", table), 2,
            types, values, SPI_OK_INSERT, 1);
  SPI_finish();
  CacheInvalidateRelcacheByRelid(table_of_model(name));  // models.cpp
}

void write_model(const char* name, const iforest::Model& model,
                 const std::optional<ModelVersion>& replaced) {
  const Bytes bytes = iforest::encode(model);
  const ModelVersion* version = replaced ? &*replaced : nullptr;
  pg::call([&bytes, name, version] {
    auto* forest = static_cast<bytea*>(palloc(bytes.size() + VARHDRSZ));
    SET_VARSIZE(forest, bytes.size() + VARHDRSZ);
    std::memcpy(VARDATA(forest), bytes.data(), bytes.size());
    write(name, forest, version);
  });
}

[[noreturn]] void throw_exists(const char* name, const char* hint) {
  throw pg::SqlError(ERRCODE_DUPLICATE_OBJECT, std::string("model already exists: ") + name, hint);
}

void create(const char* name, const char* query, const PlainOptions& plain, bool replace) {
  const std::optional<ModelVersion> old = find_version(name);
  if (old && !replace) throw_exists(name, "Give replace => true to train it anew.");
  pg::call([&old, name] { require_writing(name, old.has_value()); });
  const iforest::Options options = plain.options();
  TrainingRows rows;
  gather(query, options, rows);
  write_model(name,
              iforest::train(std::move(rows.names), {rows.values, rows.rows().features}, rows.total,
                             options, poll),
              old);
}

void rotate(const char* name, const char* query, int32 wanted, const char* new_name) {
  auto old = load_model(name);
  const auto trees = static_cast<int32>(old->model.trees.size());
  const int32 replaced = wanted == 0 ? std::max(1, trees / 10) : wanted;
  if (replaced < 1 || replaced > trees)
    throw pg::SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                       "k must be from 1 to the model's number of trees, " + std::to_string(trees));
  const bool same = std::strcmp(name, new_name) == 0;
  if (!same && find_version(new_name))
    throw_exists(new_name, "Give another new_name, or drop that model first.");
  pg::call([=] { require_writing(new_name, same); });
  // A sample of its own, which no earlier one of the same seed is like.
  iforest::Options options{static_cast<uint32_t>(replaced), old->model.sample_size,
                           old->model.seed + old->model.grown, std::nullopt};
  TrainingRows rows;
  gather(query, options, rows, [&](const std::vector<std::string>& names) {
    if (names == old->model.features) return;
    require_features(name, *old, names.size());
    throw pg::SqlError(
        ERRCODE_UNDEFINED_COLUMN,
        std::string("the columns of the query are not the features of model \"") + name + "\"",
        "Select the same columns, by the same names, in the same order.");
  });
  write_model(
      new_name,
      iforest::rotate(old->model, rows.rows(), rows.total, static_cast<uint32_t>(replaced), poll),
      same ? std::optional(ModelVersion{true, old->trained_at}) : std::nullopt);
}

// Columns of model_details(), NULLs where there is nothing to tell.
void fill_details(const DescribedModel& described, Datum* values, bool* nulls) {
  const iforest::Model& m = described.model;
  values[0] = CStringGetTextDatum("isolation forest");
  values[1] = Int32GetDatum(static_cast<int32>(described.trees));
  values[2] = Int32GetDatum(static_cast<int32>(m.sample_size));
  values[3] = Int32GetDatum(static_cast<int32>(m.features.size()));
  auto* names = static_cast<Datum*>(palloc(sizeof(Datum) * m.features.size()));
  for (size_t i = 0; i < m.features.size(); ++i)
    names[i] = CStringGetTextDatum(m.features[i].c_str());
  values[4] = PointerGetDatum(construct_array(names, static_cast<int>(m.features.size()), TEXTOID,
                                              -1, false, TYPALIGN_INT));
  nulls[5] = nulls[6] = !m.contamination.has_value();
  values[5] = Float8GetDatum(m.contamination.value_or(0));
  values[6] = Float8GetDatum(m.threshold);
  values[7] = Int64GetDatum(static_cast<int64>(m.seed));
  values[8] = Int64GetDatum(static_cast<int64>(m.training_rows));
  values[9] = Float8GetDatum(m.least);
  values[10] = Float8GetDatum(m.greatest);
  values[11] = Int32GetDatum(static_cast<int32>(m.generation));
  values[12] = TimestampTzGetDatum(described.trained_at);
}

constexpr int kDetails = 13;

// What detect_anomalies() returns the rows to.
struct Detection {
  const iforest::Scorer* scorer;
  const std::vector<std::string>* names;  // of the columns that it was trained with
  double threshold;
  ReturnSetInfo* result;
  int64 row = 0;
  int columns = 0;
};

// The query is analysed once more, which may give it other columns if it changes settings itself.
void check_columns(void* context, const QueryShape& shape) {
  const std::vector<std::string>& names = *static_cast<Detection*>(context)->names;
  bool same = static_cast<size_t>(shape.columns) == names.size();
  for (int i = 0; same && i < shape.columns; ++i)
    same = std::strcmp(names[static_cast<size_t>(i)].c_str(), shape.names[i]) == 0;
  if (!same)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the query has other columns when it is run again"),
                    errhint("Functions in it are not to change settings such as search_path.")));
}

void detect_row(void* context, const double* values, const bool* missing) {
  auto* d = static_cast<Detection*>(context);
  const double score = pg::guard([d, values] { return d->scorer->score(values); });
  ++d->row;
  Datum out[4] = {Int64GetDatum(d->row), 0, 0, 0};
  bool nulls[4] = {};
  bool any = false;
  auto* features = static_cast<Datum*>(palloc(sizeof(Datum) * d->columns));
  for (int i = 0; i < d->columns; ++i) {
    features[i] = Float8GetDatum(values[i]);
    any |= !missing[i];
  }
  nulls[1] = nulls[2] = !any;
  out[1] = Float8GetDatum(score);
  out[2] = BoolGetDatum(score > d->threshold);
  int dimension = d->columns, lower = 1;
  ArrayType* array = construct_md_array(features, const_cast<bool*>(missing), 1, &dimension, &lower,
                                        FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
  out[3] = PointerGetDatum(array);
  tuplestore_putvalues(d->result->setResult, d->result->setDesc, out, nulls);
  pfree(array);
  pfree(features);
}

void detect(const char* query, const PlainOptions& plain, ReturnSetInfo* result) {
  const iforest::Options options = plain.options();
  TrainingRows rows;
  gather(query, options, rows);
  const uint32_t columns = rows.rows().features;
  const iforest::Model model = iforest::train(rows.names, rows.rows(), rows.total, options, poll);
  const iforest::Scorer scorer(model);
  Detection detection{&scorer, &rows.names, model.threshold, result, 0, static_cast<int>(columns)};
  QueryShape shape{};
  pg::call([&] { visit_rows(query, &shape, check_columns, detect_row, &detection); });
}

}  // namespace

}  // namespace datahike::anomaly

using namespace datahike;
using namespace datahike::anomaly;

// Own no C++ object: PostgreSQL's errors may leave them.
Datum datahike_create_model(PG_FUNCTION_ARGS) {
  const char* name = text_argument(fcinfo, 0, "a model's name");
  check_name(name);
  const char* query = text_argument(fcinfo, 1, "a training query");
  const PlainOptions options = options_from(fcinfo, 2, 3, 4, 5);
  const bool replace = !PG_ARGISNULL(6) && PG_GETARG_BOOL(6);
  require_writable_view("create_model()");
  lock_name(name, name);
  pg::guard([&] { create(name, query, options, replace); });
  PopActiveSnapshot();
  PG_RETURN_TEXT_P(cstring_to_text(name));
}

Datum datahike_rotate_model(PG_FUNCTION_ARGS) {
  const char* name = text_argument(fcinfo, 0, "a model's name");
  const char* query = text_argument(fcinfo, 1, "a training query");
  int32 replaced = 0;
  if (!PG_ARGISNULL(2)) {
    replaced = PG_GETARG_INT32(2);
    if (replaced == 0) replaced = -1;
  }
  const char* new_name = PG_ARGISNULL(3) ? name : text_to_cstring(PG_GETARG_TEXT_PP(3));
  check_name(new_name);
  require_writable_view("rotate_model()");
  lock_name(new_name, name);
  pg::guard([&] { rotate(name, query, replaced, new_name); });
  PopActiveSnapshot();
  PG_RETURN_TEXT_P(cstring_to_text(new_name));
}

Datum datahike_drop_model(PG_FUNCTION_ARGS) {
  const char* name = text_argument(fcinfo, 0, "a model's name");
  const bool if_exists = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
  require_writable_view("drop_model()");
  lock_name(name, name);
  const bool exists = pg::guard([=] {
    const bool found = find_version(name).has_value();
    if (!found && !if_exists) throw_not_found(name);
    return found;
  });
  if (exists) {
    SPI_connect();
    lock_for_writing(name, ACL_DELETE);
    execute(psprintf("DELETE FROM %s", table_name(name)), 0, nullptr, nullptr, SPI_OK_DELETE, 1);
    SPI_finish();
  }
  PopActiveSnapshot();
  PG_RETURN_BOOL(exists);
}

// NULL where the view has no such model, or the user may not see it.
Datum datahike_model_details(PG_FUNCTION_ARGS) {
  const char* name = text_argument(fcinfo, 0, "a model's name");
  const bool missing_ok = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  desc = BlessTupleDesc(desc);
  Datum values[kDetails] = {};
  bool nulls[kDetails] = {};
  // In a list of all models one that is damaged, or no model at all, must not hide the others.
  const bool found = pg::guard([&] {
    try {
      const auto model = describe_model(name, missing_ok);
      if (!model && !missing_ok) throw_not_found(name);
      if (model) pg::call([&] { fill_details(*model, values, nulls); });
      return model != nullptr;
    } catch (const CorruptError&) {
      if (!missing_ok) throw;
    }
    pg::call([&] { values[0] = CStringGetTextDatum("damaged"); });
    std::fill(nulls + 1, nulls + kDetails, true);
    return true;
  });
  if (!found) PG_RETURN_NULL();
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

Datum datahike_detect_anomalies(PG_FUNCTION_ARGS) {
  const char* query = text_argument(fcinfo, 0, "a query");
  const PlainOptions options = options_from(fcinfo, 2, 3, 4, 1);
  if (options.contamination != options.contamination)
    ereport(ERROR,
            (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a contamination must be given")));
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([&] { detect(query, options, result); });
  PG_RETURN_NULL();
}
