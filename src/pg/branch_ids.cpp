#include "pg/branch_ids.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/catalog_scan.h"

namespace datahike::pg {

std::vector<int32_t> named_branches() {
  List* ids = call([] {
    List* found = NIL;
    Relation rel = table_open(extension().branch, AccessShareLock);
    const CatalogScan scan = begin_catalog_scan(rel, InvalidOid, 0, nullptr);
    HeapTuple tuple;
    bool isnull;
    while (HeapTupleIsValid(tuple = next_in_catalog(scan)))
      found =
          lappend_int(found, DatumGetInt32(heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull)));
    end_catalog_scan(scan);
    table_close(rel, AccessShareLock);
    return found;
  });
  std::vector<int32_t> branches;
  ListCell* cell;
  foreach (cell, ids) branches.push_back(lfirst_int(cell));
  list_free(ids);
  return branches;
}

const char* branch_name(int32_t branch) {
  return call([=] {
    const char* name = "?";
    Relation rel = table_open(extension().branch, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(branch));
    const CatalogScan scan = begin_catalog_scan(rel, extension().branch_id_key, 1, &key);
    HeapTuple tuple = next_in_catalog(scan);
    bool isnull;
    if (HeapTupleIsValid(tuple))
      name = TextDatumGetCString(heap_getattr(tuple, 2, RelationGetDescr(rel), &isnull));
    end_catalog_scan(scan);
    table_close(rel, AccessShareLock);
    return name;
  });
}

bool is_named_branch(int32_t branch) {
  std::vector<int32_t> branches = named_branches();
  return std::find(branches.begin(), branches.end(), branch) != branches.end();
}

}  // namespace datahike::pg
