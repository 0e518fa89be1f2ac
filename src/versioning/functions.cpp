// The SQL functions of REFERENCE section 3: branches and commits.
#include "am/pending.h"
#include "am/relation.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/incarnation.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "pg/worker.h"
#include "versioning/collected.h"
#include "versioning/revision.h"
#include "versioning/sql_values.h"

using namespace datahike;
using namespace datahike::versioning;

namespace {

// Branch names are free but for what revisions need: no ~ or @, and no look of a commit id.
void check_branch_name(const std::string& name) {
  bool bad = name.empty() || name.size() > 255 || name.find_first_of("~@") != std::string::npos;
  for (char c : name) bad |= static_cast<unsigned char>(c) <= ' ' || c == 127;
  if (bad)
    throw pg::SqlError(ERRCODE_INVALID_NAME, "invalid branch name \"" + name + "\"",
                       "A name has 1 to 255 bytes, without white space, ~ and @.");
  bool hex =
      name.size() >= 8 && name.find_first_not_of("0123456789abcdefABCDEF-") == std::string::npos;
  if (hex)
    throw pg::SqlError(ERRCODE_INVALID_NAME, "branch name \"" + name + "\" looks like a commit id",
                       "Use at least one character that is not a hexadecimal digit.");
}

void refuse_uncommitted(const char* what) {
  if (!am::has_pending()) return;
  throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                     std::string("cannot ") + what + " from uncommitted changes",
                     "COMMIT first, or name a revision.");
}

// The head of a new branch. Every transaction that has not ended, this one included, may still
// write to it; its snapshot must not claim to contain them.
pg::Head first_head(int32_t branch, const store::Commit& commit) {
  pg::Head head;
  head.branch = branch;
  head.commit = commit.id;
  head.tx = commit.tx;
  head.next_tx = 0;  // says nothing about the store's counter
  head.time = commit.time;
  head.has_root = commit.keyframe;
  head.root = commit.root;
  head.fold = pg::widen_xid(pg::call([] { return GetTopTransactionId(); }));
  Snapshot s = pg::call([] { return pg::latest_snapshot(); });
  head.contained.xmax = pg::widen_xid(s->xmax);
  for (uint32_t i = 0; i < s->xcnt; ++i) head.contained.xip.push_back(pg::widen_xid(s->xip[i]));
  if (head.fold < head.contained.xmax) head.contained.xip.push_back(head.fold);
  std::sort(head.contained.xip.begin(), head.contained.xip.end());
  return head;
}

store::Commit commit_for_branch(const char* from) {
  if (!from) refuse_uncommitted("create a branch");
  store::Uuid id = resolve_revision_or_current(from);
  if (!pg::try_store()) wait_for_fold();
  store::Environment& env = pg::open_store();
  std::optional<store::Commit> commit = store::load_commit(env, id);
  if (!commit) {
    env.refresh();
    commit = store::load_commit(env, id);
  }
  if (!commit) throw CorruptError("commit " + store::format_uuid(id) + " is missing in the store");
  return *commit;
}

// Branches belong to the database, as schemas do.
void require_may_create() {
  bool may = pg::call(
      [] { return pg_database_aclcheck(MyDatabaseId, GetUserId(), ACL_CREATE) == ACLCHECK_OK; });
  if (!may)
    throw pg::SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE, "permission denied to create a branch",
                       "It takes the privilege CREATE on the database.");
}

void require_may_delete(const char* name) {
  bool may = pg::call([=] {
    Oid creator = pg::find_branch_creator(name);
    return (OidIsValid(creator) && has_privs_of_role(GetUserId(), creator)) ||
           pg_database_ownercheck(MyDatabaseId, GetUserId());
  });
  if (!may)
    throw pg::SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE,
                       std::string("permission denied to delete branch \"") + name + "\"",
                       "The role that made it and the database's owner may.");
}

// Two sessions that make a branch of the same name at once meet at the unique index.
int32_t insert_new_branch(const char* name) {
  try {
    return pg::call([=] { return pg::insert_branch(name); });
  } catch (const pg::PgError& e) {
    if (e.data->sqlerrcode != ERRCODE_UNIQUE_VIOLATION) throw;
    throw pg::SqlError(ERRCODE_DUPLICATE_OBJECT,
                       std::string("branch \"") + name + "\" already exists");
  }
}

void create_branch(const char* name, const char* from) {
  require_may_create();
  check_branch_name(name);
  if (pg::call([=] { return pg::find_branch(name); }) >= 0)
    throw pg::SqlError(ERRCODE_DUPLICATE_OBJECT,
                       std::string("branch \"") + name + "\" already exists");
  store::Commit commit = commit_for_branch(from);
  require_all_kept(commit);
  int32_t branch = insert_new_branch(name);
  pg::write_head(first_head(branch, commit));
  pg::call([] { CommandCounterIncrement(); });
}

void delete_branch(const char* name) {
  int64_t branch = pg::call([=] { return pg::find_branch(name); });
  if (branch < 0)
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                       std::string("branch \"") + name + "\" does not exist");
  if (std::strcmp(name, pg::kDefaultBranch) == 0)
    throw pg::SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       "the default branch cannot be deleted");
  require_may_delete(name);
  if (am::has_pending_on(static_cast<int32_t>(branch)) ||
      !pg::call([=] { return pg::try_lock_branch_exclusively(static_cast<int32_t>(branch)); }))
    throw pg::SqlError(ERRCODE_OBJECT_IN_USE,
                       std::string("branch \"") + name + "\" is being written",
                       "Try again when its writers have ended.");
  pg::call([=] { pg::delete_branch_row(name); });
}

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

// Name of a table in messages: as it is now, else as a commit recorded it.
std::string table_name(uint64_t table, const tree::NodeRef& root) {
  char* name = pg::call([=]() -> char* {
    Oid relation = pg::find_relation(table);
    if (!OidIsValid(relation) || !get_rel_name(relation)) return nullptr;
    char* space = get_namespace_name(get_rel_namespace(relation));
    return space && std::strcmp(space, "public") != 0
               ? psprintf("%s.%s", space, get_rel_name(relation))
               : get_rel_name(relation);
  });
  if (name) return name;
  if (!root.empty())
    if (auto schema = store::find_schema(pg::open_store(), root, table))
      return am::schema_name(*schema);
  return "table " + std::to_string(table);
}

// What a caller may not select from is not told about either; of a table that is gone, only to the
// database's owner.
bool may_see(uint64_t table) {
  return pg::call([=] {
    Oid relation = pg::find_relation(table);
    bool gone = !OidIsValid(relation);
    if (!gone && pg_class_aclcheck_ext(relation, GetUserId(), ACL_SELECT, &gone) == ACLCHECK_OK)
      return true;
    if (gone) return pg_database_ownercheck(MyDatabaseId, GetUserId());
    return pg_attribute_aclcheck_all(relation, GetUserId(), ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK;
  });
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

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_check_preloaded);
PG_FUNCTION_INFO_V1(datahike_initialize);
PG_FUNCTION_INFO_V1(datahike_current_branch);
PG_FUNCTION_INFO_V1(datahike_commit_id);
PG_FUNCTION_INFO_V1(datahike_parent_commits);
PG_FUNCTION_INFO_V1(datahike_create_branch);
PG_FUNCTION_INFO_V1(datahike_delete_branch);
PG_FUNCTION_INFO_V1(datahike_log);
PG_FUNCTION_INFO_V1(datahike_stats);
PG_FUNCTION_INFO_V1(datahike_relation_size);
PGDLLEXPORT Datum datahike_check_preloaded(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_initialize(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_current_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_commit_id(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_parent_commits(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_create_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_delete_branch(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_log(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_stats(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_relation_size(PG_FUNCTION_ARGS);
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
    pg::Head head = first_head(branch, root);
    head.next_tx = std::max(root.tx + 1, pg::next_tx_of_any_store());
    pg::write_head(head);
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

Datum datahike_create_branch(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("a branch needs a name")));
  char* name = optional_text(fcinfo, 0);
  char* from = optional_text(fcinfo, 1);
  PreventCommandIfReadOnly("create_branch()");
  pg::guard([=] { create_branch(name, from); });
  PG_RETURN_TEXT_P(cstring_to_text(name));
}

Datum datahike_delete_branch(PG_FUNCTION_ARGS) {
  char* name = optional_text(fcinfo, 0);
  PreventCommandIfReadOnly("delete_branch()");
  pg::guard([=] { delete_branch(name); });
  PG_RETURN_TEXT_P(cstring_to_text(name));
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
    store::Environment& env = store_for_reading();
    store::Statistics s = env.statistics();
    pg::WorkerStatus worker = pg::worker_status();
    Datum values[12] = {Int64GetDatum(static_cast<int64_t>(s.commits)),
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
                        0};
    bool nulls[12] = {};
    nulls[11] = worker.sqlstate == 0;
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
  Oid relid = PG_GETARG_OID(0);
  return pg::guard([=] {
    uint64_t table = pg::call([=] { return pg::find_table_id(relid); });
    if (table == 0)
      throw pg::SqlError(ERRCODE_WRONG_OBJECT_TYPE, "relation is not a datahike table");
    store::Environment& env = store_for_reading();
    uint64_t bytes = 0;
    for (uint64_t from = 0;;) {
      std::optional<store::SegmentReader> segment = env.segment_at_or_after(table, from);
      if (!segment) break;
      bytes += segment->raw().size();
      from = segment->last_rowid() + 1;
      pg::call([] { CHECK_FOR_INTERRUPTS(); });
    }
    return Int64GetDatum(static_cast<int64_t>(bytes));
  });
}
