// tx_range(): the row changes of each commit on the way from one revision to another, one commit
// after the other. Which commits those are is store/descent.h; what a commit has changed in a table
// is commit_changes(), a query that is planned once for each table and run for each commit. So
// privileges, row security and the pairing of rows are those of diff().
#include "exec/view_call.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/pins.h"
#include "pg/store.h"
#include "store/descent.h"
#include "store/version.h"
#include "versioning/merge.h"
#include "versioning/sql_values.h"

extern "C" {
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "tcop/dest.h"
#include "utils/hsearch.h"

PG_FUNCTION_INFO_V1(datahike_tx_range);
PG_FUNCTION_INFO_V1(datahike_tx_range_of_table);
PGDLLEXPORT Datum datahike_tx_range(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_tx_range_of_table(PG_FUNCTION_ARGS);
}

namespace datahike::exec {

namespace {

using versioning::uuid_datum;

// Nothing here has a destructor: PostgreSQL's errors may pass.
struct Steps {
  store::Step* step = nullptr;  // newest first
  size_t count = 0, capacity = 0;
};

struct ChangedCommit {
  int64 tx;
  TimestampTz time;
  char *author, *message;
  uint64_t* tables;
  int table_count;
};

void add_step(Steps* steps, const store::Step* step) {
  CHECK_FOR_INTERRUPTS();
  if (steps->count == steps->capacity) {
    steps->capacity = steps->capacity ? steps->capacity * 2 : 64;
    size_t bytes = steps->capacity * sizeof(store::Step);
    steps->step =
        static_cast<store::Step*>(steps->step ? repalloc_huge(steps->step, bytes) : palloc(bytes));
  }
  steps->step[steps->count++] = *step;
}

void find_steps(const char* from, const char* to, Steps* steps) {
  pg::guard([=] {
    Snapshot snapshot = GetActiveSnapshot();
    versioning::SessionView session =
        to ? versioning::current_settings() : versioning::session_view();
    const store::Uuid newest = versioning::statement_commit(to, session, snapshot);
    std::optional<store::Uuid> oldest;
    if (from) oldest = versioning::statement_commit(from, session, snapshot);
    // Commits from what is pinned on are not collected.
    if (oldest)
      versioning::view_of_commit(*oldest);
    else
      pg::call([] { pg::pin_commit(1); });
    bool descends = store::visit_descent(
        versioning::store_for_reading(), oldest, newest,
        [steps](const store::Step& step) { pg::call([steps, s = &step] { add_step(steps, s); }); });
    if (!descends)
      throw pg::SqlError(
          ERRCODE_INVALID_PARAMETER_VALUE,
          "commit " + store::format_uuid(newest) + " does not descend from commit " +
              store::format_uuid(*oldest),
          "The branch has been set to another line of commits since. datahike.diff() says what "
          "differs; datahike.common_ancestor() names the commit that both descend from.");
  });
}

char* copy_text(const std::string& text) {
  return text.empty() ? nullptr : pg::call([t = text.c_str()] { return pstrdup(t); });
}

// Of a step to another than the first parent the commit's own delta does not speak.
void describe(const store::Step* step, ChangedCommit* out) {
  pg::guard([=] {
    store::Commit commit = store::load_known_commit(versioning::store_for_reading(), step->commit);
    std::set<uint64_t> tables;
    if (store::first_parent(commit) == step->parent)
      for (const store::TableDelta& table : commit.delta.tables) tables.insert(table.table);
    else
      tables = versioning::changed_tables(step->parent, step->commit);
    out->tx = static_cast<int64>(commit.tx);
    out->time = commit.time;
    out->author = copy_text(commit.author);
    out->message = copy_text(commit.message);
    size_t bytes = sizeof(uint64_t) * (tables.size() + 1);
    out->tables = pg::call([=] { return static_cast<uint64_t*>(palloc(bytes)); });
    out->table_count = static_cast<int>(tables.size());
    std::copy(tables.begin(), tables.end(), out->tables);
  });
}

// ---- The query of one table.

constexpr int kColumnsOfChange = 4;  // op, old, new, changed
constexpr int kMostColumns = 10;

// Puts the rows of a query behind the columns that say which commit they belong to.
struct ChangeReceiver {
  DestReceiver receiver;
  ReturnSetInfo* result;
  Datum values[kMostColumns];
  bool nulls[kMostColumns];
  int first;  // column of the query
};

bool receive(TupleTableSlot* slot, DestReceiver* self) {
  auto* out = reinterpret_cast<ChangeReceiver*>(self);
  slot_getallattrs(slot);
  for (int i = 0; i < kColumnsOfChange; ++i) {
    out->values[out->first + i] = slot->tts_values[i];
    out->nulls[out->first + i] = slot->tts_isnull[i];
  }
  tuplestore_putvalues(out->result->setResult, out->result->setDesc, out->values, out->nulls);
  CHECK_FOR_INTERRUPTS();
  return true;
}

void receive_nothing(DestReceiver*) {}
void begin_receiving(DestReceiver*, int, TupleDesc) {}

// Deletions come first: what they free may be inserted again.
SPIPlanPtr prepare(Oid relid, bool whole_database) {
  const char* table =
      quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
  const char* query = psprintf(
      "SELECT op, %s, %s, changed FROM datahike.%s(NULL::%s, $1, $2) ORDER BY "
      "pg_catalog.array_position(ARRAY['delete', 'update', 'insert']::pg_catalog.text[], op)",
      whole_database ? "pg_catalog.to_jsonb(old)" : "old",
      whole_database ? "pg_catalog.to_jsonb(new)" : "new",
      whole_database ? "commit_changes_only" : "commit_changes", table);
  Oid types[] = {UUIDOID, UUIDOID};
  SPIPlanPtr plan = SPI_prepare_cursor(query, 2, types, CURSOR_OPT_GENERIC_PLAN);
  if (!plan) elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
  return plan;
}

void run(SPIPlanPtr plan, const store::Step* step, ChangeReceiver* out) {
  ParamListInfo params = makeParamList(2);
  const store::Uuid* ids[] = {&step->parent, &step->commit};
  for (int i = 0; i < 2; ++i)
    params->params[i] = {uuid_datum(*ids[i]), false, PARAM_FLAG_CONST, UUIDOID};
  SPIExecuteOptions options = {};
  options.params = params;
  options.read_only = true;
  options.dest = &out->receiver;
  MemoryContext before = CurrentMemoryContext;
  int result = SPI_execute_plan_extended(plan, &options);
  MemoryContextSwitchTo(before);  // it leaves SPI's own
  if (result < 0) elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
}

// ---- Which tables.

struct KnownTable {
  uint64_t table;   // its id
  Oid relid;        // InvalidOid: it is left out
  SPIPlanPtr plan;  // nullptr: not made yet
};

HTAB* new_table_map() {
  HASHCTL control = {};
  control.keysize = sizeof(uint64_t);
  control.entrysize = sizeof(KnownTable);
  control.hcxt = CurrentMemoryContext;
  return hash_create("tables of tx_range", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

bool may_read_whole(Oid relid) {
  if (pg_namespace_aclcheck(get_rel_namespace(relid), GetUserId(), ACL_USAGE) != ACLCHECK_OK)
    return false;
  return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
         pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ALL) == ACLCHECK_OK;
}

// Dropped tables are left out, and what the caller may not read.
KnownTable* known_table(HTAB* tables, uint64_t id) {
  bool found;
  auto* known = static_cast<KnownTable*>(hash_search(tables, &id, HASH_ENTER, &found));
  if (found) return known;
  known->plan = nullptr;
  known->relid = InvalidOid;
  Oid relid = pg::find_relation(id);
  // Rights first: the other locks the table.
  if (OidIsValid(relid) && OidIsValid(get_rel_namespace(relid)) && may_read_whole(relid) &&
      versioning::has_rows_to_merge(relid))
    known->relid = relid;
  return known;
}

void put_changes_of_database(HTAB* tables, const store::Step* step, const ChangedCommit& commit,
                             ChangeReceiver* out) {
  for (int i = 0; i < commit.table_count; ++i) {
    KnownTable* known = known_table(tables, commit.tables[i]);
    if (!OidIsValid(known->relid)) continue;
    if (!known->plan) known->plan = prepare(known->relid, true);
    out->values[out->first - 1] = ObjectIdGetDatum(known->relid);
    out->nulls[out->first - 1] = false;
    run(known->plan, step, out);
  }
}

// The ids of a table and its children, of which a change is one of the table.
HTAB* ids_of_table(Oid relid) {
  HTAB* ids = new_table_map();
  ListCell* cell;
  foreach (cell, find_all_inheritors(relid, AccessShareLock, nullptr))
    if (uint64_t id = pg::find_table_id(lfirst_oid(cell)))
      hash_search(ids, &id, HASH_ENTER, nullptr);
  return ids;
}

bool changes_any(HTAB* ids, const ChangedCommit& commit) {
  for (int i = 0; i < commit.table_count; ++i)
    if (hash_search(ids, &commit.tables[i], HASH_FIND, nullptr)) return true;
  return false;
}

// ---- All of it. relid: InvalidOid for all tables.
void put_range(Oid relid, const char* from, const char* to, ReturnSetInfo* result) {
  Steps steps;
  find_steps(from, to, &steps);
  SPI_connect();
  HTAB* tables = OidIsValid(relid) ? ids_of_table(relid) : new_table_map();
  SPIPlanPtr plan = OidIsValid(relid) ? prepare(relid, false) : nullptr;
  ChangeReceiver out = {};
  out.receiver = {receive, begin_receiving, receive_nothing, receive_nothing, DestNone};
  out.result = result;
  out.first = OidIsValid(relid) ? 5 : 6;
  MemoryContext of_step =
      AllocSetContextCreate(CurrentMemoryContext, "tx_range", ALLOCSET_DEFAULT_SIZES);
  while (steps.count > 0) {
    const store::Step* step = &steps.step[--steps.count];
    MemoryContextReset(of_step);
    MemoryContext before = MemoryContextSwitchTo(of_step);
    ChangedCommit commit;
    describe(step, &commit);
    out.values[0] = uuid_datum(step->commit);
    out.values[1] = Int64GetDatum(commit.tx);
    out.values[2] = TimestampTzGetDatum(commit.time);
    out.nulls[3] = !commit.author;
    if (commit.author) out.values[3] = CStringGetTextDatum(commit.author);
    out.nulls[4] = !commit.message;
    if (commit.message) out.values[4] = CStringGetTextDatum(commit.message);
    if (!OidIsValid(relid))
      put_changes_of_database(tables, step, commit, &out);
    else if (changes_any(tables, commit))
      run(plan, step, &out);
    MemoryContextSwitchTo(before);
    CHECK_FOR_INTERRUPTS();
  }
  SPI_finish();
}

}  // namespace

}  // namespace datahike::exec

using namespace datahike;

Datum datahike_tx_range(PG_FUNCTION_ARGS) {
  char* from = versioning::optional_text(fcinfo, 0);
  char* to = versioning::optional_text(fcinfo, 1);
  InitMaterializedSRF(fcinfo, 0);
  exec::put_range(InvalidOid, from, to, reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  return 0;
}

Datum datahike_tx_range_of_table(PG_FUNCTION_ARGS) {
  Oid relid = exec::table_of_type(get_fn_expr_argtype(fcinfo->flinfo, 0));
  exec::require_datahike(relid);
  char* from = versioning::optional_text(fcinfo, 1);
  char* to = versioning::optional_text(fcinfo, 2);
  InitMaterializedSRF(fcinfo, 0);
  exec::put_range(relid, from, to, reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  return 0;
}
