#include "pg/prepared_rows.h"

#include "pg/bridge.h"
#include "pg/catalog.h"

namespace datahike::pg {

namespace {

enum PreparedColumn { kXid = 1, kLocks };
constexpr int kPreparedColumns = 2;

LOCKTAG restore_lock() {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, extension().prepared, 0, 1);
  return tag;
}

struct RawRow {
  RawRow* next;
  uint64_t xid;
  bytea* locks;
};

// palloc'd. The scan is over before anything is done with the rows.
RawRow* read_running_rows() {
  RawRow* rows = nullptr;
  // TOAST is read under a registered or active snapshot only: any. The transaction's own, under
  // SERIALIZABLE READ ONLY DEFERRABLE, might wait for the one that is about to be committed.
  PushActiveSnapshot(GetCatalogSnapshot(extension().prepared));
  Relation rel = table_open(extension().prepared, AccessShareLock);
  TableScanDesc scan = table_beginscan(rel, SnapshotAny, 0, nullptr);
  HeapTuple tuple;
  while ((tuple = heap_getnext(scan, ForwardScanDirection)) != nullptr) {
    TransactionId writer = HeapTupleHeaderGetXmin(tuple->t_data);
    if (TransactionIdIsCurrentTransactionId(writer) || !TransactionIdIsInProgress(writer)) continue;
    Datum values[kPreparedColumns];
    bool nulls[kPreparedColumns];
    heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
    auto* row = static_cast<RawRow*>(palloc(sizeof(RawRow)));
    row->next = rows;
    row->xid = static_cast<uint64_t>(DatumGetInt64(values[kXid - 1]));
    row->locks = DatumGetByteaPCopy(values[kLocks - 1]);
    rows = row;
  }
  table_endscan(scan);
  table_close(rel, NoLock);
  PopActiveSnapshot();
  return rows;
}

}  // namespace

void lock_prepared_rows() {
  LOCKTAG tag = restore_lock();
  LockAcquire(&tag, ExclusiveLock, false, false);
}

void unlock_prepared_rows() {
  LOCKTAG tag = restore_lock();
  LockRelease(&tag, ExclusiveLock, false);
}

void write_prepared_row(uint64_t xid, const Bytes& locks) {
  const Bytes* in = &locks;
  call([xid, in] {
    bytea* packed = static_cast<bytea*>(palloc(VARHDRSZ + in->size()));
    SET_VARSIZE(packed, VARHDRSZ + in->size());
    std::memcpy(VARDATA(packed), in->data(), in->size());
    Datum values[kPreparedColumns] = {Int64GetDatum(static_cast<int64_t>(xid)),
                                      PointerGetDatum(packed)};
    bool nulls[kPreparedColumns] = {};
    Relation rel = table_open(extension().prepared, RowExclusiveLock);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
    CatalogTupleInsert(rel, tuple);
    heap_freetuple(tuple);
    pfree(packed);
    table_close(rel, NoLock);
  });
}

void visit_prepared_rows(const std::function<void(uint64_t xid, ByteView locks)>& visit) {
  for (RawRow* row = call([] { return read_running_rows(); }); row; row = row->next) {
    auto* data = reinterpret_cast<const uint8_t*>(VARDATA_ANY(row->locks));
    visit(row->xid, ByteView(data, VARSIZE_ANY_EXHDR(row->locks)));
  }
}

void purge_prepared_rows() {
  call([] {
    Relation rel = table_open(extension().prepared, RowExclusiveLock);
    TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, nullptr);
    HeapTuple tuple;
    while ((tuple = heap_getnext(scan, ForwardScanDirection)) != nullptr)
      simple_heap_delete(rel, &tuple->t_self);
    table_endscan(scan);
    table_close(rel, NoLock);
  });
}

}  // namespace datahike::pg
