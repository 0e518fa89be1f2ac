#include "pg/published_refs.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/log.h"

namespace datahike::pg {

namespace {

struct NamedBranch {
  int32_t id;
  char name[256];
};

// Branches with their names, as a snapshot sees them.
std::vector<NamedBranch> named_branches(Snapshot snapshot) {
  List* found = call([=] {
    List* branches = NIL;
    Relation rel = table_open(extension().branch, AccessShareLock);
    TableScanDesc scan = table_beginscan(rel, snapshot, 0, nullptr);
    HeapTuple tuple;
    while ((tuple = heap_getnext(scan, ForwardScanDirection)) != nullptr) {
      bool isnull;
      auto* branch = static_cast<NamedBranch*>(palloc0(sizeof(NamedBranch)));
      branch->id = DatumGetInt32(heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull));
      Datum name = heap_getattr(tuple, 2, RelationGetDescr(rel), &isnull);
      strlcpy(branch->name, TextDatumGetCString(name), sizeof branch->name);
      branches = lappend(branches, branch);
    }
    table_endscan(scan);
    table_close(rel, AccessShareLock);
    return branches;
  });
  std::vector<NamedBranch> branches;
  ListCell* cell;
  foreach (cell, found) branches.push_back(*static_cast<NamedBranch*>(lfirst(cell)));
  return branches;
}

}  // namespace

std::vector<store::PublishedRef> present_refs(Snapshot snapshot) {
  std::vector<store::PublishedRef> refs;
  for (const NamedBranch& branch : named_branches(snapshot))
    if (std::optional<Head> head = read_head(branch.id, snapshot))
      refs.push_back({'b', branch.name, head->commit});
  return refs;
}

}  // namespace datahike::pg
