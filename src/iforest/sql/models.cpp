#include "iforest/sql/models.h"

#include "am/pending.h"
#include "am/relation.h"
#include "column/bytes.h"
#include "iforest/format.h"
#include "pg/bridge.h"
#include "versioning/collected.h"
#include "versioning/redacted.h"
#include "versioning/view.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "utils/inval.h"
#include "utils/plancache.h"
}

namespace datahike::anomaly {

namespace {

// Anything may have changed that no snapshot tells: a table dropped or renamed, a privilege.
uint64_t epoch = 1;

struct Place {
  Oid relation, file;
  uint64_t row;
  auto operator<=>(const Place&) const = default;
};
std::map<Place, std::shared_ptr<const LoadedModel>> loaded;
size_t loaded_bytes = 0;
constexpr size_t kMostLoaded = 64 << 20;

// What lists of models tell, for which every forest would have to be read. What is at a place never
// changes.
std::map<Place, std::shared_ptr<const DescribedModel>> described;
constexpr size_t kMostDescribed = 1000;

// Tables of models that this session has looked at. Queries in the short form have the features
// that a model had when they were analysed: where it has been replaced, they are analysed again.
std::set<Oid> known_tables;

constexpr const char* kDamagedHint =
    "create_model(..., replace => true) trains it anew, drop_model() drops it; other branches and "
    "older commits may have it undamaged.";

void relation_changed(Datum, Oid relid) {
  ++epoch;
  if (!OidIsValid(relid) || known_tables.contains(relid)) ResetPlanCache();
}
void catalog_changed(Datum, int, uint32) { ++epoch; }

void transaction_ends(XactEvent event, void*) {
  if (event == XACT_EVENT_ABORT) ++epoch;
}
void subtransaction_ends(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
  if (event == SUBXACT_EVENT_ABORT_SUB) ++epoch;
}

// What the view has of a model's table.
struct Row {
  bool found;
  Place where;
  uint64_t table;
  bool dated;
  TimestampTz trained_at;
  bytea* forest;  // palloc'd; nullptr if it was not asked for
};

enum class Forest : uint8_t { Needless, UnlessLoaded, UnlessDescribed };

struct Reading {
  const char* name;
  Forest forest;
  bool listed;     // what is no model, or not the user's, counts as not found
  bool versioned;  // the view has older versions, too
};

void read_columns(Relation relation, TupleTableSlot* slot, const Reading& reading, Row* row) {
  bool null;
  Datum trained_at = slot_getattr(slot, 2, &null);
  row->dated = !null;
  if (!null) row->trained_at = DatumGetTimestampTz(trained_at);
  if (reading.forest == Forest::Needless) return;
  if (reading.forest == Forest::UnlessLoaded && loaded.contains(row->where)) return;
  if (reading.forest == Forest::UnlessDescribed && described.contains(row->where)) return;
  Datum forest = slot_getattr(slot, 3, &null);
  row->found = row->dated && !null;
  if (row->found) row->forest = DatumGetByteaPCopy(forest);
  if (row->found || reading.listed) return;
  ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                  errmsg("model \"%s\" has no forest", RelationGetRelationName(relation)),
                  errhint("%s", kDamagedHint)));
}

void read_rows(Relation relation, const Reading& reading, Row* row) {
  TupleTableSlot* slot = table_slot_create(relation, nullptr);
  TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, nullptr);
  row->found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
  if (row->found) {
    const am::RelationInfo& info = am::relation_info(relation);
    row->table = info.table;
    row->where = {RelationGetRelid(relation), relation->rd_node.relNode,
                  am::to_rowid(info.tid_base, slot->tts_tid)};
    read_columns(relation, slot, reading, row);
    const bool several = table_scan_getnextslot(scan, ForwardScanDirection, slot);
    if (several && reading.listed && !reading.versioned) row->found = false;
    if (several && row->found)
      ereport(ERROR,
              (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
               errmsg("there are several versions of model \"%s\" in view",
                      RelationGetRelationName(relation)),
               errhint("Models cannot be used while datahike.history is on. Otherwise, keep one "
                       "row of %s.%s.",
                       kSchema, RelationGetRelationName(relation))));
  }
  table_endscan(scan);
  ExecDropSingleTupleTableSlot(slot);
}

// Owns no C++ object: PostgreSQL's errors may leave it.
void read_row(const Reading& reading, Row* row) {
  const Oid relid = lock_table_of_model(reading.name, AccessShareLock,
                                        reading.listed ? ACL_NO_RIGHTS : ACL_SELECT);
  if (!OidIsValid(relid)) return;
  Relation relation = relation_open(relid, NoLock);
  if (!reading.listed) require_model_table(relation);
  if (!reading.listed || (is_model_table(relation) &&
                          pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK))
    read_rows(relation, reading, row);
  relation_close(relation, AccessShareLock);
}

// A number for the view of the query that runs, another one for another.
uint64_t view_number() {
  static versioning::SessionView known;
  static uint64_t number = 0;
  const versioning::SessionView& view = versioning::session_view();
  const bool same = number > 0 && known.branch == view.branch && known.pinned == view.pinned &&
                    known.committed == view.committed && known.history == view.history &&
                    std::strcmp(known.commit_id, view.commit_id) == 0 &&
                    std::strcmp(known.as_of, view.as_of) == 0 &&
                    std::strcmp(known.since, view.since) == 0 &&
                    std::strcmp(known.without, view.without) == 0;
  if (!same) {
    known = view;
    ++number;
  }
  return number;
}

}  // namespace

void register_model_callbacks() {
  RegisterXactCallback(transaction_ends, nullptr);
  RegisterSubXactCallback(subtransaction_ends, nullptr);
  CacheRegisterRelcacheCallback(relation_changed, 0);
  CacheRegisterSyscacheCallback(RELOID, catalog_changed, 0);
  CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_changed, 0);
  CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, catalog_changed, 0);
  CacheRegisterSyscacheCallback(AUTHOID, catalog_changed, 0);
}

ModelKey current_key() {
  Snapshot s = GetActiveSnapshot();
  ModelKey key;
  key.epoch = epoch;
  key.xmin = s->xmin;
  key.xmax = s->xmax;
  key.own = GetTopTransactionIdIfAny();
  key.in_progress = s->xcnt;
  key.command = s->curcid;
  key.transaction = IsolationIsSerializable() ? MyProc->lxid : InvalidLocalTransactionId;
  key.user = GetUserId();
  key.view = view_number();
  key.known = s->snapshot_type == SNAPSHOT_MVCC && !s->takenDuringRecovery;
  return key;
}

bool is_current(const ModelKey& key) {
  Snapshot s = GetActiveSnapshot();
  return key.known && key.epoch == epoch && key.xmax == s->xmax && key.in_progress == s->xcnt &&
         key.xmin == s->xmin && key.command == s->curcid && !s->takenDuringRecovery &&
         s->snapshot_type == SNAPSHOT_MVCC && key.own == GetTopTransactionIdIfAny() &&
         key.user == GetUserId() && key.view == view_number() &&
         (!IsolationIsSerializable() || key.transaction == MyProc->lxid);
}

void check_name(const char* name) {
  if (*name == '\0' || std::strlen(name) >= NAMEDATALEN)
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
                    errmsg("a model's name must have 1 to %d bytes", NAMEDATALEN - 1)));
}

namespace {

// What the names meant when they were last looked up. Of another snapshot they mean the same if its
// view has the same rows of the model's table, which is told without opening that.
struct Recent {
  ModelKey key;
  std::shared_ptr<const LoadedModel> model;
  uint64_t table, row;
  versioning::TableState state;  // unknown where the transaction itself had changed the table
};
std::unordered_map<std::string, Recent> recent;
constexpr size_t kMostRecent = 64;

// Without a model where there is none.
Recent look_up(const char* name);

versioning::TableState state_of_table(uint64_t table) {
  // Who is SERIALIZABLE is to read the table, so that PostgreSQL knows.
  if (IsolationIsSerializable() || versioning::session_view().is_computed() ||
      am::has_pending_of(table))
    return {};
  const versioning::View view = versioning::view_for(GetActiveSnapshot());
  versioning::require_kept(view, table);
  return versioning::state_of(view, table);
}

// Whether the active snapshot sees the same model, of the same privileges, as then; then its key is
// that of the snapshot.
bool is_still_seen(Recent& r) {
  if (!r.state.known) return false;
  pg::call([] { AcceptInvalidationMessages(); });  // as who opens the table does
  ModelKey now = current_key();
  if (!now.known || now.epoch != r.key.epoch || now.user != r.key.user || now.view != r.key.view)
    return false;
  if (state_of_table(r.table) != r.state || versioning::is_redacted(r.row)) return false;
  r.key = now;
  return true;
}

std::shared_ptr<const LoadedModel> find_model(const char* name) {
  if (auto at = recent.find(name); at != recent.end())
    if (is_current(at->second.key) || is_still_seen(at->second)) return at->second.model;
  // What comes meanwhile may have come too late for what has been looked at.
  const uint64_t begun = epoch;
  Recent found = look_up(name);
  if (!found.model) return nullptr;
  found.key = current_key();
  found.key.epoch = begun;
  found.state = state_of_table(found.table);
  if (recent.size() >= kMostRecent) recent.clear();
  return recent.insert_or_assign(name, std::move(found)).first->second.model;
}

// The names become identifiers and texts: nothing else is to be in them.
void require_names(const iforest::Model& model) {
  for (const std::string& name : model.features)
    if (name.empty() || name.size() >= NAMEDATALEN || name.find('\0') != std::string::npos ||
        !pg_verify_mbstr(GetDatabaseEncoding(), name.data(), static_cast<int>(name.size()), true))
      throw CorruptError("isolation forest: name of a feature");
}

Row read(const char* name, Forest forest, bool listed) {
  Row row{};
  const bool versioned = versioning::session_view().history;
  pg::call([=, out = &row] { read_row({name, forest, listed, versioned}, out); });
  return row;
}

iforest::Model decode(const Row& row, const char* name) {
  try {
    return decode_forest(row.forest);
  } catch (const CorruptError& error) {
    throw pg::SqlError(ERRCODE_DATA_CORRUPTED,
                       std::string("model \"") + name + "\" cannot be read: " + error.what(),
                       kDamagedHint);
  }
}

Recent look_up(const char* name) {
  const Row row = read(name, Forest::UnlessLoaded, false);
  Recent found{{}, nullptr, row.table, row.where.row, {}};
  if (!row.found) return found;
  known_tables.insert(row.where.relation);
  if (auto at = loaded.find(row.where); at != loaded.end()) {
    found.model = at->second;
    return found;
  }
  auto model = std::make_shared<LoadedModel>(decode(row, name));
  model->trained_at = row.trained_at;
  const size_t size = VARSIZE(row.forest) + model->scorer.bytes();
  pg::call([&row] { pfree(row.forest); });
  // Whoever has a pointer to a model looks at the epoch before it uses it.
  if (loaded_bytes + size > kMostLoaded) {
    loaded.clear();
    loaded_bytes = 0;
    ++epoch;
  }
  loaded_bytes += size;
  loaded.emplace(row.where, model);
  found.model = std::move(model);
  return found;
}

}  // namespace

iforest::Model decode_forest(const bytea* forest) {
  iforest::Model model = iforest::decode(
      ByteView(reinterpret_cast<const uint8_t*>(VARDATA(forest)), VARSIZE(forest) - VARHDRSZ));
  require_names(model);
  return model;
}

std::optional<ModelVersion> find_version(const char* name) {
  const Row row = read(name, Forest::Needless, false);
  if (!row.found) return std::nullopt;
  return ModelVersion{row.dated, row.trained_at};
}

std::shared_ptr<const DescribedModel> describe_model(const char* name, bool listed) {
  const Row row = read(name, Forest::UnlessDescribed, listed);
  if (!row.found) return nullptr;
  if (auto at = described.find(row.where); at != described.end()) return at->second;
  iforest::Model model = listed ? decode_forest(row.forest) : decode(row, name);
  pg::call([&row] { pfree(row.forest); });
  const size_t trees = model.trees.size();
  model.trees = {};
  if (described.size() >= kMostDescribed) described.clear();
  auto made = std::make_shared<const DescribedModel>(
      DescribedModel{std::move(model), trees, row.trained_at});
  return described.emplace(row.where, std::move(made)).first->second;
}

void throw_not_found(const char* name) {
  throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, std::string("model not found: ") + name,
                     "Models belong to the branch or commit that they were made on: see "
                     "datahike.models.");
}

namespace {

// The settings count, not the view of a query that calls the function whose query is planned.
struct SettingsView {
  const versioning::SessionView* before = versioning::use_session_view(nullptr);
  ~SettingsView() { versioning::use_session_view(before); }
};

std::shared_ptr<const LoadedModel> find_in_latest(const char* name) {
  SettingsView settings;
  pg::call([] { PushActiveSnapshot(GetTransactionSnapshot()); });
  auto model = find_model(name);
  pg::call([] { PopActiveSnapshot(); });
  return model;
}

}  // namespace

std::shared_ptr<const LoadedModel> load_model(const char* name) {
  if (auto model = find_model(name)) return model;
  throw_not_found(name);
}

std::shared_ptr<const LoadedModel> model_for_planning(const char* name) {
  if (auto model = find_in_latest(name)) return model;
  // Another session may have been waited for, after that snapshot.
  if (!IsolationUsesXactSnapshot())
    if (auto model = find_in_latest(name)) return model;
  // A query within a STABLE function reads what the calling one does.
  if (!ActiveSnapshotSet()) throw_not_found(name);
  return load_model(name);
}

}  // namespace datahike::anomaly
