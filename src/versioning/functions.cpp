// The SQL functions that show commits and the store.
#include "am/pending.h"
#include "am/relation.h"
#include "am/rowid_blocks.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/incarnation.h"
#include "pg/reflog.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "pg/worker.h"
#include "versioning/collected.h"
#include "versioning/reset.h"
#include "versioning/revision.h"
#include "versioning/table_names.h"
#include "versioning/sql_values.h"

using namespace datahike;
using namespace datahike::versioning;

namespace {

void append_json_string(std::string& out, const std::string& text) {
  out += '"';
  for (char c : text) {
    if (static_cast<unsigned char>(c) < ' ') {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

// Names of the tables met so far; empty for those that the caller may not see.
using TableNames = std::map<uint64_t, std::string>;

std::string changes_json(const store::Commit& commit, TableNames& names) {
  std::string json = "{";
  for (const store::TableDelta& table : commit.delta.tables) {
    auto name = names.find(table.table);
    if (name == names.end())
      name = names
                 .emplace(table.table,
                          may_see(table.table) ? table_name(table.table, commit.root) : "")
                 .first;
    if (name->second.empty()) continue;
    store::ChangeCounts n = store::count_changes(table);
    if (json.size() > 1) json += ", ";
    append_json_string(json, name->second);
    json += ": {\"inserted\": " + std::to_string(n.inserted) +
            ", \"updated\": " + std::to_string(n.updated) +
            ", \"deleted\": " + std::to_string(n.deleted) +
            (table.cleared ? ", \"truncated\": true}" : "}");
  }
  return json + "}";
}

std::string quoted_name(Oid relation) {
  char* name = pg::call([=] { return get_rel_name(relation); });
  return name ? std::string("\"") + name + "\"" : std::to_string(relation);
}

void put_log_row(ReturnSetInfo* result, const store::Commit& commit, TableNames& names) {
  std::string json = changes_json(commit, names);
  Datum values[7] = {pg::call([&] { return uuid_datum(commit.id); }),
                     uuid_array(commit.parents),
                     Int64GetDatum(static_cast<int64_t>(commit.tx)),
                     TimestampTzGetDatum(commit.time),
                     commit.author.empty() ? 0 : text_datum(commit.author),
                     commit.message.empty() ? 0 : text_datum(commit.message),
                     0};
  bool nulls[7] = {false, false, false, false, commit.author.empty(), commit.message.empty(),
                   false};
  const char* text = json.c_str();
  Datum* v = values;
  bool* n = nulls;
  pg::call([=] {
    v[6] = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
    tuplestore_putvalues(result->setResult, result->setDesc, v, n);
    CHECK_FOR_INTERRUPTS();
  });
}

// The table's segments in the store.
struct Segments {
  int64_t count = 0, bytes = 0;
};
Segments segments_of(Oid relid) {
  uint64_t table = pg::call([=] { return pg::find_table_id(relid); });
  if (table == 0)
    throw pg::SqlError(ERRCODE_WRONG_OBJECT_TYPE,
                       "relation " + quoted_name(relid) + " is not a datahike table");
  store::Environment& env = store_for_reading();
  Segments segments;
  for (uint64_t from = 0;;) {
    std::optional<store::SegmentReader> segment = env.segment_at_or_after(table, from);
    if (!segment) return segments;
    ++segments.count;
    segments.bytes += static_cast<int64_t>(segment->raw().size());
    from = segment->last_rowid() + 1;
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
  }
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_check_preloaded);
PG_FUNCTION_INFO_V1(datahike_initialize);
PG_FUNCTION_INFO_V1(datahike_current_branch);
PG_FUNCTION_INFO_V1(datahike_commit_id);
PG_FUNCTION_INFO_V1(datahike_parent_commits);
PG_FUNCTION_INFO_V1(datahike_log);
PG_FUNCTION_INFO_V1(datahike_stats);
PG_FUNCTION_INFO_V1(datahike_relation_size);
PG_FUNCTION_INFO_V1(datahike_relation_segments);
PGDLLEXPORT Datum datahike_check_preloaded(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_initialize(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_current_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_commit_id(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_parent_commits(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_log(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_stats(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_relation_size(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_relation_segments(PG_FUNCTION_ARGS);
}

Datum datahike_check_preloaded(PG_FUNCTION_ARGS) {
  pg::require_preloaded();
  PG_RETURN_VOID();
}

Datum datahike_initialize(PG_FUNCTION_ARGS) {
  pg::guard([] {
    pg::call([] { pg::continue_ids(); });
    int32_t branch = pg::call([] { return pg::insert_branch(pg::kDefaultBranch); });
    store::Commit root = store::root_commit(GetCurrentTimestamp());
    root.keyframe = true;
    pg::Head head = head_at(branch, root);
    head.next_tx = std::max(root.tx + 1, pg::next_tx_of_any_store());
    pg::write_head(head);
    pg::RefMove made;
    made.branch = branch;
    made.operation = "create";
    made.to = root.id;
    made.to_tx = root.tx;
    pg::write_ref_move(made);
  });
  PG_RETURN_VOID();
}

Datum datahike_current_branch(PG_FUNCTION_ARGS) {
  pg::guard([] { session_view(); });
  PG_RETURN_TEXT_P(cstring_to_text(pg::setting_branch));
}

Datum datahike_commit_id(PG_FUNCTION_ARGS) {
  return pg::guard([] {
    store::Uuid id = current_commit(GetActiveSnapshot());
    return uuid_datum(id);
  });
}

Datum datahike_parent_commits(PG_FUNCTION_ARGS) {
  char* revision = optional_text(fcinfo, 0);
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] {
    store::Uuid id = resolve_revision_or_current(revision);
    std::optional<store::Commit> commit = store::load_commit(store_for_reading(), id);
    if (!commit)
      throw CorruptError("commit " + store::format_uuid(id) + " is missing in the store");
    for (const store::Uuid& parent : commit->parents) {
      const store::Uuid* p = &parent;
      pg::call([=] {
        Datum value = uuid_datum(*p);
        bool isnull = false;
        tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
      });
    }
  });
  return 0;
}

Datum datahike_log(PG_FUNCTION_ARGS) {
  char* revision = optional_text(fcinfo, 0);
  int32 max = PG_ARGISNULL(1) ? PG_INT32_MAX : PG_GETARG_INT32(1);
  if (max < 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max must not be negative")));
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] {
    store::Uuid head = resolve_revision_or_current(revision);
    TableNames names;
    int32 left = max;
    if (left == 0) return;
    store::walk_log(store_for_reading(), head, [&](const store::Commit& commit) {
      put_log_row(result, commit, names);
      return --left > 0;
    });
  });
  return 0;
}

Datum datahike_stats(PG_FUNCTION_ARGS) {
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
    ereport(ERROR, (errmsg("stats() must return a row")));
  return pg::guard([=] {
    // Where no worker can be started there may be no store yet.
    store::Statistics s;
    if (pg::try_store() || pg::start_worker()) s = store_for_reading().statistics();
    pg::WorkerStatus worker = pg::worker_status();
    if (worker.pid == 0 && worker.unstartable) {
      worker.sqlstate = ERRCODE_INSUFFICIENT_RESOURCES;
      strlcpy(worker.error, "no worker could be started: max_worker_processes are taken",
              sizeof worker.error);
    }
    Datum values[15] = {Int64GetDatum(static_cast<int64_t>(s.commits)),
                        Int64GetDatum(pg::call([] { return pg::count_branches(); })),
                        Int64GetDatum(static_cast<int64_t>(s.segments)),
                        Int64GetDatum(static_cast<int64_t>(s.nodes)),
                        Int64GetDatum(static_cast<int64_t>(pg::count_log_rows())),
                        Int64GetDatum(static_cast<int64_t>(s.used_bytes)),
                        Int64GetDatum(static_cast<int64_t>(s.file_bytes)),
                        Int64GetDatum(static_cast<int64_t>(s.map_bytes)),
                        Int32GetDatum(static_cast<int32_t>(s.reader_slots)),
                        Int32GetDatum(static_cast<int32_t>(s.readers)),
                        Int32GetDatum(worker.pid),
                        0,
                        Int64GetDatum(static_cast<int64_t>(pg::gc_runs())),
                        TimestampTzGetDatum(pg::last_gc_at()),
                        Int64GetDatum(pg::call([] { return am::count_blocks(); }))};
    bool nulls[15] = {};
    nulls[11] = worker.sqlstate == 0;
    nulls[13] = pg::last_gc_at() == 0;
    Datum* v = values;
    bool* n = nulls;
    pg::WorkerStatus* w = &worker;
    return pg::call([=] {
      if (!n[11]) v[11] = CStringGetTextDatum(w->error);
      return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), v, n));
    });
  });
}

Datum datahike_relation_size(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a table must be named")));
  Oid relid = PG_GETARG_OID(0);
  return pg::guard([=] { return Int64GetDatum(segments_of(relid).bytes); });
}

Datum datahike_relation_segments(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a table must be named")));
  Oid relid = PG_GETARG_OID(0);
  return pg::guard([=] { return Int64GetDatum(segments_of(relid).count); });
}
