#include "pg/tags.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/catalog_scan.h"

namespace datahike::pg {

namespace {

enum Column { kName = 1, kCommit, kTx, kCreatedAt, kOwner };
constexpr int kColumns = 5;

struct RawTag {
  char* name;
  store::Uuid commit;
  uint64_t tx;
  int64_t created_at;
  Oid owner;
};

// A list of RawTag*: the tag of that name, or all of them in order.
List* read(const char* name) {
  List* rows = NIL;
  Relation rel = table_open(extension().tag, AccessShareLock);
  Relation index = index_open(extension().tag_key, AccessShareLock);
  ScanKeyData key;
  if (name) ScanKeyInit(&key, kName, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(name));
  const CatalogScan scan = begin_ordered_catalog_scan(rel, index, name ? 1 : 0, &key);
  HeapTuple tuple;
  while (HeapTupleIsValid(tuple = next_in_order(scan, ForwardScanDirection))) {
    Datum v[kColumns];
    bool n[kColumns];
    heap_deform_tuple(tuple, RelationGetDescr(rel), v, n);
    auto* raw = static_cast<RawTag*>(palloc0(sizeof(RawTag)));
    raw->name = TextDatumGetCString(v[kName - 1]);
    std::memcpy(raw->commit.data(), DatumGetUUIDP(v[kCommit - 1])->data, UUID_LEN);
    raw->tx = static_cast<uint64_t>(DatumGetInt64(v[kTx - 1]));
    raw->created_at = DatumGetTimestampTz(v[kCreatedAt - 1]);
    raw->owner = DatumGetObjectId(v[kOwner - 1]);
    rows = lappend(rows, raw);
  }
  end_ordered_catalog_scan(scan);
  index_close(index, AccessShareLock);
  table_close(rel, AccessShareLock);
  return rows;
}

std::vector<Tag> tags(const char* name) {
  std::vector<Tag> found;
  List* rows = call([=] { return read(name); });
  ListCell* cell;
  foreach (cell, rows) {
    auto* raw = static_cast<RawTag*>(lfirst(cell));
    found.push_back({raw->name, raw->commit, raw->tx, raw->created_at, raw->owner});
  }
  return found;
}

}  // namespace

std::optional<Tag> find_tag(const char* name) {
  std::vector<Tag> found = tags(name);
  if (found.empty()) return std::nullopt;
  return found.front();
}

std::vector<Tag> all_tags() { return tags(nullptr); }

void insert_tag(const Tag& tag) {
  const Tag* t = &tag;
  call([t] {
    Datum values[kColumns] = {CStringGetTextDatum(t->name.c_str()),
                              PointerGetDatum(const_cast<uint8_t*>(t->commit.data())),
                              Int64GetDatum(static_cast<int64_t>(t->tx)),
                              TimestampTzGetDatum(t->created_at), ObjectIdGetDatum(t->owner)};
    bool nulls[kColumns] = {};
    Relation rel = table_open(extension().tag, RowExclusiveLock);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
    CatalogTupleInsert(rel, tuple);
    heap_freetuple(tuple);
    table_close(rel, NoLock);
    CommandCounterIncrement();
  });
}

void delete_tag(const char* name) {
  call([=] {
    Relation rel = table_open(extension().tag, RowExclusiveLock);
    ScanKeyData key;
    ScanKeyInit(&key, kName, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(name));
    const CatalogScan scan = begin_catalog_scan(rel, extension().tag_key, 1, &key);
    HeapTuple tuple = next_in_catalog(scan);
    if (HeapTupleIsValid(tuple)) CatalogTupleDelete(rel, &tuple->t_self);
    end_catalog_scan(scan);
    table_close(rel, NoLock);
    CommandCounterIncrement();
  });
}

}  // namespace datahike::pg
