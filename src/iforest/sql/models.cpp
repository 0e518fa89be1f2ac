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
#include "commands/defrem.h"
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

// Tables of models that this session has looked at. Queries in the short form have the features
// that a model had when they were analysed: where it has been replaced, they are analysed again.
std::set<Oid> known_tables;

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

bool has_model_columns(Relation relation) {
  TupleDesc desc = RelationGetDescr(relation);
  if (relation->rd_rel->relkind != RELKIND_RELATION || desc->natts != 3) return false;
  constexpr Oid kTypes[] = {TEXTOID, TIMESTAMPTZOID, BYTEAOID};
  constexpr const char* kNames[] = {"name", "trained_at", "forest"};
  for (int i = 0; i < 3; ++i) {
    const FormData_pg_attribute* column = TupleDescAttr(desc, i);
    if (column->atttypid != kTypes[i] || column->attisdropped ||
        std::strcmp(NameStr(column->attname), kNames[i]) != 0)
      return false;
  }
  const char* method = get_am_name(relation->rd_rel->relam);
  return method && std::strcmp(method, "datahike") == 0;
}

// Whether using the table evaluates anything that its owner has defined.
bool runs_code(Relation relation) {
  const TupleConstr* constraints = RelationGetDescr(relation)->constr;
  if (constraints && (constraints->num_defval > 0 || constraints->num_check > 0)) return true;
  if (relation->rd_rules || relation->trigdesc || relation->rd_rel->relrowsecurity ||
      relation->rd_rel->relhassubclass || relation->rd_rel->relispartition)
    return true;
  List* indexes = RelationGetIndexList(relation);
  ListCell* cell;
  foreach (cell, indexes)
    if (lfirst_oid(cell) != relation->rd_pkindex) return true;
  list_free(indexes);
  return false;
}

bool is_model_table(Relation relation) {
  return has_model_columns(relation) && !runs_code(relation);
}

// What the view has of a model's table.
struct Row {
  bool found;
  ItemPointerData place;
  TimestampTz trained_at;
  bytea* forest;  // palloc'd; nullptr if it was not asked for
  Place where;
  uint64_t table;
  bool lenient;  // what is no model counts as not found
};

// Owns no C++ object: PostgreSQL's errors may leave it.
void read_row(Oid relid, bool versioned, Row* row) {
  Relation relation = relation_open(relid, AccessShareLock);
  if (row->lenient && !is_model_table(relation)) {
    relation_close(relation, AccessShareLock);
    return;
  }
  require_model_table(relation);
  TupleTableSlot* slot = table_slot_create(relation, nullptr);
  TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, nullptr);
  row->found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
  if (row->found) {
    const am::RelationInfo& info = am::relation_info(relation);
    row->table = info.table;
    row->where = {relid, relation->rd_node.relNode, am::to_rowid(info.tid_base, slot->tts_tid)};
    if (!loaded.contains(row->where)) {
      bool null[2];
      row->trained_at = DatumGetTimestampTz(slot_getattr(slot, 2, &null[0]));
      Datum forest = slot_getattr(slot, 3, &null[1]);
      if ((null[0] || null[1]) && !row->lenient)
        ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                        errmsg("model \"%s\" has no forest", RelationGetRelationName(relation))));
      row->found = !null[0] && !null[1];
      if (row->found) row->forest = DatumGetByteaPCopy(forest);
    }
    const bool several = table_scan_getnextslot(scan, ForwardScanDirection, slot);
    if (several && row->lenient && !versioned) row->found = false;
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
  relation_close(relation, AccessShareLock);
}

void require_usable(Oid relid, const char* name) {
  if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("permission denied for model \"%s\"", name),
                  errhint("GRANT SELECT ON %s.%s lets a role use the model.", kSchema,
                          quote_identifier(name))));
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

void require_model_table(Relation relation) {
  if (is_model_table(relation)) return;
  ereport(ERROR,
          (errcode(ERRCODE_WRONG_OBJECT_TYPE),
           errmsg("table \"%s\" in schema %s is not a model", RelationGetRelationName(relation),
                  kSchema),
           errhint("Models are made by datahike.create_model(); their tables have no triggers, "
                   "rules, policies, defaults, checks, children or further indexes.")));
}

void check_name(const char* name) {
  if (*name == '\0' || std::strlen(name) >= NAMEDATALEN)
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
                    errmsg("a model's name must have 1 to %d bytes", NAMEDATALEN - 1)));
}

Oid table_of_model(const char* name) {
  if (std::strlen(name) >= NAMEDATALEN) return InvalidOid;
  Oid schema = get_namespace_oid(kSchema, true);
  return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
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
Recent look_up(const char* name, bool lenient);

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

std::shared_ptr<const LoadedModel> find(const char* name, bool lenient) {
  if (auto at = recent.find(name); at != recent.end())
    if (is_current(at->second.key) || is_still_seen(at->second)) return at->second.model;
  // What comes meanwhile may have come too late for what has been looked at.
  const uint64_t begun = epoch;
  Recent found = look_up(name, lenient);
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

Recent look_up(const char* name, bool lenient) {
  Row row{};
  row.lenient = lenient;
  const bool versioned = versioning::session_view().history;
  pg::call([name, versioned, out = &row] {
    Oid relid = table_of_model(name);
    if (!OidIsValid(relid)) return;
    require_usable(relid, name);
    read_row(relid, versioned, out);
  });
  Recent found{{}, nullptr, row.table, row.where.row, {}};
  if (!row.found) return found;
  known_tables.insert(row.where.relation);
  if (auto at = loaded.find(row.where); at != loaded.end()) {
    found.model = at->second;
    return found;
  }
  const ByteView bytes(reinterpret_cast<const uint8_t*>(VARDATA(row.forest)),
                       VARSIZE(row.forest) - VARHDRSZ);
  iforest::Model decoded = iforest::decode(bytes);
  require_names(decoded);
  auto model = std::make_shared<LoadedModel>(std::move(decoded));
  model->trained_at = row.trained_at;
  pg::call([&row] { pfree(row.forest); });
  // Whoever has a pointer to a model looks at the epoch before it uses it.
  const size_t size = bytes.size() + model->scorer.bytes();
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

std::shared_ptr<const LoadedModel> find_model(const char* name) { return find(name, false); }

std::shared_ptr<const LoadedModel> find_readable_model(const char* name) {
  return find(name, true);
}

namespace {

[[noreturn]] void throw_not_found(const char* name) {
  throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, std::string("model not found: ") + name,
                     "Models belong to the branch or commit that they were made on: see "
                     "datahike.models.");
}

// The settings count, not the view of a query that calls the function whose query is planned.
struct SettingsView {
  const versioning::SessionView* before = versioning::use_session_view(nullptr);
  ~SettingsView() { versioning::use_session_view(before); }
};

}  // namespace

bool is_model_table(Oid relid) {
  Relation relation = table_open(relid, AccessShareLock);
  const bool is = is_model_table(relation);
  table_close(relation, AccessShareLock);
  return is;
}

std::shared_ptr<const LoadedModel> load_model(const char* name) {
  if (auto model = find_model(name)) return model;
  throw_not_found(name);
}

std::shared_ptr<const LoadedModel> model_for_planning(const char* name) {
  {
    SettingsView settings;
    pg::call([] { PushActiveSnapshot(GetTransactionSnapshot()); });
    auto model = find_model(name);
    pg::call([] { PopActiveSnapshot(); });
    if (model) return model;
  }
  // A query within a STABLE function reads what the calling one does.
  if (!ActiveSnapshotSet()) throw_not_found(name);
  return load_model(name);
}

}  // namespace datahike::anomaly
