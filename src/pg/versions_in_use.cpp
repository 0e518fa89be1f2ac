#include "pg/versions_in_use.h"

#include "pg/bridge.h"
#include "pg/catalog.h"

namespace datahike::pg {

TransactionId oldest_xmin() {
  return call([] {
    Relation rel = table_open(extension().heads, AccessShareLock);
    TransactionId xmin = GetOldestNonRemovableTransactionId(rel);
    table_close(rel, AccessShareLock);
    return xmin;
  });
}

uint64_t oldest_uncommitted_name(TransactionId xmin) {
  uint64_t oldest = UINT64_MAX;
  auto look = [&](Oid table, int tx_column) {
    for_each_version(table, xmin, [&](HeapTuple tuple, TupleDesc desc, HTSV_Result s) {
      if (s != HEAPTUPLE_INSERT_IN_PROGRESS) return;
      bool isnull;
      Datum tx = heap_getattr(tuple, tx_column, desc, &isnull);
      oldest = std::min(oldest, static_cast<uint64_t>(DatumGetInt64(tx)));
    });
  };
  call([&] {
    look(extension().heads, 4);
    look(extension().tag, 3);
  });
  return oldest;
}

std::vector<OtherName> other_names(TransactionId xmin) {
  std::vector<OtherName> names;
  List* found = call([=] {
    List* list = NIL;
    auto add = [&](HeapTuple tuple, TupleDesc desc, int commit, int tx, bool always) {
      bool isnull;
      Datum id = heap_getattr(tuple, commit, desc, &isnull);
      if (isnull) return;
      auto* name = static_cast<OtherName*>(palloc(sizeof(OtherName)));
      std::memcpy(name->commit.data(), DatumGetUUIDP(id)->data, UUID_LEN);
      name->tx = static_cast<uint64_t>(DatumGetInt64(heap_getattr(tuple, tx, desc, &isnull)));
      name->always = always;
      list = lappend(list, name);
    };
    for_each_version(extension().tag, xmin, [&](HeapTuple tuple, TupleDesc desc, HTSV_Result) {
      add(tuple, desc, 2, 3, true);
    });
    for_each_version(extension().reflog, xmin, [&](HeapTuple tuple, TupleDesc desc, HTSV_Result) {
      bool seen_by_all = TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple->t_data), xmin);
      add(tuple, desc, 8, 9, !seen_by_all);
    });
    return list;
  });
  ListCell* cell;
  foreach (cell, found) names.push_back(*static_cast<OtherName*>(lfirst(cell)));
  return names;
}

std::vector<int32_t> branches_named_to_anyone(TransactionId xmin) {
  List* ids = call([=] {
    List* found = NIL;
    for_each_version(extension().branch, xmin, [&](HeapTuple tuple, TupleDesc desc, HTSV_Result) {
      bool isnull;
      found = lappend_int(found, DatumGetInt32(heap_getattr(tuple, 1, desc, &isnull)));
    });
    return found;
  });
  std::vector<int32_t> branches;
  ListCell* cell;
  foreach (cell, ids) branches.push_back(lfirst_int(cell));
  list_free(ids);
  std::sort(branches.begin(), branches.end());
  return branches;
}

}  // namespace datahike::pg
