#include "iforest/sql/verify_models.h"

#include "am/relation.h"
#include "iforest/sql/models.h"
#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/subtransaction.h"
#include "versioning/view.h"

extern "C" {
#include "utils/timestamp.h"
}

namespace datahike::anomaly {

namespace {

using Reporter = std::function<void(const std::string& detail)>;

// Of what is in the schema, whatever it is; palloc'd.
List* names_in_schema() {
  List* names = NIL;
  const Oid schema = get_namespace_oid(kSchema, true);
  if (!OidIsValid(schema)) return names;
  Relation catalog = table_open(RelationRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(schema));
  SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 1, &key);
  while (HeapTuple tuple = systable_getnext(scan)) {
    const auto* entry = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    if (entry->relkind == RELKIND_RELATION)
      names = lappend(names, pstrdup(NameStr(entry->relname)));
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return names;
}

struct Version {
  const char* time;  // palloc'd
  const bytea* forest;
};

// Visits what the view has of a model's table; rowids that `is_new` has seen are left out. Owns no
// C++ object: PostgreSQL's errors may leave it.
void visit_versions(const char* name, void* context, bool (*is_new)(void*, uint64_t),
                    void (*visit)(void*, const Version&)) {
  const Oid relid = lock_table_of_model(name, AccessShareLock, ACL_NO_RIGHTS);
  if (!OidIsValid(relid)) return;
  Relation relation = relation_open(relid, NoLock);
  if (is_model_table(relation)) {
    TupleTableSlot* slot = table_slot_create(relation, nullptr);
    TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
      CHECK_FOR_INTERRUPTS();
      if (!is_new(context, am::to_rowid(am::relation_info(relation).tid_base, slot->tts_tid)))
        continue;
      bool undated, empty;
      Datum time = slot_getattr(slot, 2, &undated);
      Datum forest = slot_getattr(slot, 3, &empty);
      Version version{"?", nullptr};
      if (!undated) version.time = timestamptz_to_str(DatumGetTimestampTz(time));
      if (!empty) version.forest = DatumGetByteaPCopy(forest);
      visit(context, version);
    }
    table_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
  }
  relation_close(relation, AccessShareLock);
}

struct Search {
  const Reporter* report;
  std::set<uint64_t> seen;  // rowids are unique within a database
  std::string place;        // model and branch
};

bool is_new(void* context, uint64_t rowid) {
  auto* search = static_cast<Search*>(context);
  return pg::guard([=] { return search->seen.insert(rowid).second; });
}

void check_version(void* context, const Version& version) {
  const auto* search = static_cast<Search*>(context);
  pg::guard([=, &version] {
    std::string damage;
    if (!version.forest) damage = "has no forest";
    try {
      if (version.forest) decode_forest(version.forest);
    } catch (const CorruptError& error) {
      damage = std::string("cannot be read: ") + error.what();
    }
    if (!damage.empty())
      (*search->report)(search->place + ", trained at " + version.time + ", " + damage);
  });
}

struct HistoryOf {
  versioning::SessionView view;
  const versioning::SessionView* before;
  explicit HistoryOf(int32_t branch) {
    view.branch = branch;
    view.committed = true;
    view.history = true;
    before = versioning::use_session_view(&view);
  }
  ~HistoryOf() { versioning::use_session_view(before); }
};

// Where the store itself is damaged, that is what is to be found, in every place where it is.
void check_model(Search& search, const char* name, int32_t branch) {
  search.place =
      std::string("model \"") + name + "\" on branch \"" + pg::branch_name(branch) + "\"";
  try {
    pg::in_subtransaction([&] {
      HistoryOf view(branch);
      pg::call([&search, name] { visit_versions(name, &search, is_new, check_version); });
    });
  } catch (const pg::PgError& error) {
    if (error.data->sqlerrcode != ERRCODE_DATA_CORRUPTED) throw;
    (*search.report)(search.place + ": " + error.data->message);
  }
}

}  // namespace

void find_damaged_models(const Reporter& report) {
  Search search{&report, {}, {}};
  List* names = pg::call([] { return names_in_schema(); });
  for (const int32_t branch : pg::named_branches())
    for (int i = 0; i < list_length(names); ++i)
      check_model(search, static_cast<const char*>(list_nth(names, i)), branch);
}

}  // namespace datahike::anomaly
