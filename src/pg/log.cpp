#include "pg/log.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/catalog_scan.h"
#include "pg/index_walk.h"
#include "pg/log_columns.h"
#include "pg/shared.h"
#include "pg/uuid_array.h"

namespace datahike::pg {

namespace {

enum HeadColumn { hBranch = 1, hFold, hCommit, hTx, hNextTx, hAt, hRootId, hRootHash, hXmax, hXip };
constexpr int kHeadColumns = 10;

// Rows as read, in palloc'd memory: copied into C++ objects outside of PostgreSQL's error handling.
struct RawRow {
  uint64_t xid;
  uint32_t part;
  char kind;
  uint64_t lsn;
  int64_t time;
  text *author, *message;
  bytea *delta, *rows;
  ArrayType* parents;
};
struct RawRows {
  MemoryContext context = nullptr;
  RawRow* rows = nullptr;
  size_t count = 0, capacity = 0;

  void begin() {
    context = AllocSetContextCreate(CurrentMemoryContext, "datahike log", ALLOCSET_SMALL_SIZES);
  }
  RawRow* add() {
    MemoryContext old = MemoryContextSwitchTo(context);
    if (count == capacity) {
      capacity = capacity ? capacity * 2 : 16;
      size_t bytes = capacity * sizeof(RawRow);
      rows = static_cast<RawRow*>(rows ? repalloc(rows, bytes) : palloc(bytes));
    }
    MemoryContextSwitchTo(old);
    return &rows[count++];
  }
};

bytea* copy_bytea(Datum value, MemoryContext context) {
  MemoryContext old = MemoryContextSwitchTo(context);
  bytea* copy = DatumGetByteaPCopy(value);
  MemoryContextSwitchTo(old);
  return copy;
}

ArrayType* copy_array(Datum value, MemoryContext context) {
  MemoryContext old = MemoryContextSwitchTo(context);
  ArrayType* copy = DatumGetArrayTypePCopy(value);
  MemoryContextSwitchTo(old);
  return copy;
}

void read_row(TupleDesc desc, HeapTuple tuple, RawRows* out) {
  Datum v[kLogColumns];
  bool n[kLogColumns];
  heap_deform_tuple(tuple, desc, v, n);
  RawRow* row = out->add();
  *row = {};
  row->xid = static_cast<uint64_t>(DatumGetInt64(v[kXid - 1]));
  row->part = static_cast<uint32_t>(DatumGetInt32(v[kPart - 1]));
  row->kind = DatumGetChar(v[kKind - 1]);
  row->lsn = static_cast<uint64_t>(DatumGetInt64(v[kLsn - 1]));
  row->time = DatumGetTimestampTz(v[kAt - 1]);
  if (!n[kAuthor - 1]) row->author = copy_bytea(v[kAuthor - 1], out->context);
  if (!n[kMessage - 1]) row->message = copy_bytea(v[kMessage - 1], out->context);
  if (!n[kDelta - 1]) row->delta = copy_bytea(v[kDelta - 1], out->context);
  // Rows stored out of line are fetched when they are needed: read_log_part.
  if (!n[kRows - 1] && !VARATT_IS_EXTERNAL(DatumGetPointer(v[kRows - 1])))
    row->rows = copy_bytea(v[kRows - 1], out->context);
  if (!n[kParents - 1]) row->parents = copy_array(v[kParents - 1], out->context);
}

bool is_own(HeapTuple tuple) {
  return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

char kind_of(TupleDesc desc, HeapTuple tuple) {
  bool isnull;
  return DatumGetChar(heap_getattr(tuple, kKind, desc, &isnull));
}

IndexWalk log_walk(int32_t branch) {
  IndexWalk walk{extension().tx_log, extension().tx_log_key};
  walk.equals_int4(kBranch, branch);
  return walk;
}

IndexWalk head_walk(int32_t branch) {
  IndexWalk walk{extension().heads, extension().heads_key};
  walk.equals_int4(hBranch, branch);
  walk.direction = BackwardScanDirection;
  return walk;
}

void walk_transaction(int32_t branch, uint64_t xid, Snapshot snapshot, bool with_resets,
                      RawRows* out) {
  IndexWalk walk = log_walk(branch);
  walk.compare_int8(kXid, BTEqualStrategyNumber, F_INT8EQ, xid);
  walk.run(snapshot, [&](TupleDesc desc, HeapTuple tuple) {
    char kind = kind_of(desc, tuple);
    bool wanted = kind == 'd' || (with_resets && kind == 's');
    if (!is_own(tuple) && wanted) read_row(desc, tuple, out);
    return true;
  });
}

std::string to_string(const text* t) {
  return t ? std::string(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)) : std::string();
}
Bytes to_bytes(const bytea* b) {
  if (!b) return {};
  auto* data = reinterpret_cast<const uint8_t*>(VARDATA_ANY(b));
  return Bytes(data, data + VARSIZE_ANY_EXHDR(b));
}

std::vector<LogRow> convert(RawRows& raw) {
  std::vector<LogRow> rows(raw.count);
  for (size_t i = 0; i < raw.count; ++i) {
    const RawRow& r = raw.rows[i];
    rows[i] = {r.xid,
               r.part,
               r.kind,
               r.lsn,
               r.time,
               to_string(r.author),
               to_string(r.message),
               to_bytes(r.delta),
               to_bytes(r.rows),
               read_uuid_array(r.parents)};
  }
  if (raw.context) MemoryContextDelete(raw.context);
  std::stable_sort(rows.begin(), rows.end(), [](const LogRow& a, const LogRow& b) {
    return std::tie(a.lsn, a.xid, a.part) < std::tie(b.lsn, b.xid, b.part);
  });
  return rows;
}

struct RawHead {
  bool found = false;
  int64_t fold, tx, next_tx, root_id, xmax;
  TimestampTz time;
  bool has_root;
  pg_uuid_t commit;
  bytea* root_hash;
  ArrayType* xip;
};

void read_head_row(TupleDesc desc, HeapTuple tuple, RawHead* out) {
  Datum v[kHeadColumns];
  bool n[kHeadColumns];
  heap_deform_tuple(tuple, desc, v, n);
  out->found = true;
  out->fold = DatumGetInt64(v[hFold - 1]);
  out->commit = *DatumGetUUIDP(v[hCommit - 1]);
  out->tx = DatumGetInt64(v[hTx - 1]);
  out->next_tx = DatumGetInt64(v[hNextTx - 1]);
  out->time = DatumGetTimestampTz(v[hAt - 1]);
  out->has_root = !n[hRootId - 1];
  if (out->has_root) {
    out->root_id = DatumGetInt64(v[hRootId - 1]);
    out->root_hash = copy_bytea(v[hRootHash - 1], CurrentMemoryContext);
  }
  out->xmax = DatumGetInt64(v[hXmax - 1]);
  out->xip = DatumGetArrayTypePCopy(v[hXip - 1]);
}

Head convert(const RawHead& raw, int32_t branch) {
  Head head;
  head.branch = branch;
  head.fold = static_cast<uint64_t>(raw.fold);
  std::memcpy(head.commit.data(), raw.commit.data, UUID_LEN);
  head.tx = static_cast<uint64_t>(raw.tx);
  head.next_tx = static_cast<uint64_t>(raw.next_tx);
  head.time = raw.time;
  head.has_root = raw.has_root;
  if (raw.has_root) {
    head.root.id = static_cast<uint64_t>(raw.root_id);
    Bytes hash = to_bytes(raw.root_hash);
    if (hash.size() != head.root.hash.size())
      throw CorruptError("datahike.heads: root hash of the wrong length");
    std::copy(hash.begin(), hash.end(), head.root.hash.begin());
  }
  head.contained.xmax = static_cast<uint64_t>(raw.xmax);
  auto* xip = reinterpret_cast<int64_t*>(ARR_DATA_PTR(raw.xip));
  int count = ArrayGetNItems(ARR_NDIM(raw.xip), ARR_DIMS(raw.xip));
  head.contained.set_running(std::vector<uint64_t>(xip, xip + count));
  return head;
}

// A head that this transaction has made itself may have any xid that has been given out.
uint64_t newest_visible_fold(Snapshot snapshot) {
  uint64_t bound = widen_xid(snapshot->xmax);
  if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
    bound = std::max(bound, U64FromFullTransactionId(ReadNextFullTransactionId()));
  return bound;
}

}  // namespace

std::optional<Head> read_head_before(int32_t branch, uint64_t horizon, Snapshot snapshot) {
  RawHead raw;
  call([&] {
    IndexWalk walk = head_walk(branch);
    walk.compare_int8(hFold, BTLessStrategyNumber, F_INT8LT, horizon);
    walk.run(snapshot, [&](TupleDesc desc, HeapTuple tuple) {
      read_head_row(desc, tuple, &raw);
      return false;
    });
  });
  if (!raw.found) return std::nullopt;
  return convert(raw, branch);
}

std::optional<Head> read_head(int32_t branch, Snapshot snapshot) {
  return read_head_before(branch, newest_visible_fold(snapshot), snapshot);
}

uint64_t read_next_tx(Snapshot snapshot) {
  int64_t next = 0;
  call([&] {
    Relation rel = table_open(extension().heads, AccessShareLock);
    const CatalogScan scan = begin_catalog_scan(rel, snapshot);
    HeapTuple tuple;
    bool isnull;
    while ((tuple = next_in_catalog(scan)) != nullptr)
      next = std::max(next,
                      DatumGetInt64(heap_getattr(tuple, hNextTx, RelationGetDescr(rel), &isnull)));
    end_catalog_scan(scan);
    table_close(rel, AccessShareLock);
  });
  return static_cast<uint64_t>(next);
}

void write_head(const Head& head) {
  const Head* h = &head;
  call([h] {
    Datum* xip = static_cast<Datum*>(palloc(sizeof(Datum) * (h->contained.xip.size() + 1)));
    for (size_t i = 0; i < h->contained.xip.size(); ++i)
      xip[i] = Int64GetDatum(static_cast<int64_t>(h->contained.xip[i]));
    ArrayType* array =
        construct_array(xip, h->contained.xip.size(), INT8OID, 8, true, TYPALIGN_DOUBLE);
    pg_uuid_t* commit = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
    std::memcpy(commit->data, h->commit.data(), UUID_LEN);
    bytea* hash = static_cast<bytea*>(palloc(VARHDRSZ + 32));
    SET_VARSIZE(hash, VARHDRSZ + 32);
    std::memcpy(VARDATA(hash), h->root.hash.data(), 32);
    Datum values[kHeadColumns] = {Int32GetDatum(h->branch),
                                  Int64GetDatum(static_cast<int64_t>(h->fold)),
                                  UUIDPGetDatum(commit),
                                  Int64GetDatum(static_cast<int64_t>(h->tx)),
                                  Int64GetDatum(static_cast<int64_t>(h->next_tx)),
                                  TimestampTzGetDatum(h->time),
                                  Int64GetDatum(static_cast<int64_t>(h->root.id)),
                                  PointerGetDatum(hash),
                                  Int64GetDatum(static_cast<int64_t>(h->contained.xmax)),
                                  PointerGetDatum(array)};
    bool nulls[kHeadColumns] = {};
    nulls[hRootId - 1] = nulls[hRootHash - 1] = !h->has_root;
    Relation rel = table_open(extension().heads, RowExclusiveLock);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
    CatalogTupleInsert(rel, tuple);
    heap_freetuple(tuple);
    table_close(rel, NoLock);
  });
}

std::vector<LogRow> read_log(int32_t branch, const FoldSnapshot& contained, Snapshot snapshot) {
  RawRows raw;
  const FoldSnapshot* in = &contained;
  call([&] {
    raw.begin();
    IndexWalk walk = log_walk(branch);
    walk.compare_int8(kXid, BTGreaterEqualStrategyNumber, F_INT8GE, in->xmax);
    walk.compare_int8(kXid, BTLessStrategyNumber, F_INT8LT, widen_xid(snapshot->xmax));
    walk.run(snapshot, [&](TupleDesc desc, HeapTuple tuple) {
      if (!is_own(tuple) && kind_of(desc, tuple) == 'd') read_row(desc, tuple, &raw);
      return true;
    });
    // A transaction that ran while the fold took its snapshot is worth a look if it has ended now.
    for (uint64_t xid : in->xip)
      if (!XidInMVCCSnapshot(static_cast<TransactionId>(xid), snapshot))
        walk_transaction(branch, xid, snapshot, false, &raw);
  });
  return convert(raw);
}

std::vector<LogRow> read_log_of(int32_t branch, uint64_t xid, Snapshot snapshot) {
  RawRows raw;
  call([&] {
    raw.begin();
    walk_transaction(branch, xid, snapshot, true, &raw);
  });
  return convert(raw);
}

std::optional<Bytes> read_log_part(int32_t branch, uint64_t xid, uint32_t part, Snapshot snapshot) {
  bytea* found = nullptr;
  call([&] {
    IndexWalk walk = log_walk(branch);
    walk.compare_int8(kXid, BTEqualStrategyNumber, F_INT8EQ, xid);
    ScanKeyInit(&walk.keys[walk.key_count++], kPart, BTEqualStrategyNumber, F_INT4EQ,
                Int32GetDatum(static_cast<int32_t>(part)));
    // Committed or own, and not purged: a purged part's out-of-line pieces may be gone already.
    walk.run(snapshot, [&](TupleDesc desc, HeapTuple tuple) {
      bool isnull;
      Datum rows = heap_getattr(tuple, kRows, desc, &isnull);
      if (!isnull) found = copy_bytea(rows, CurrentMemoryContext);
      return false;
    });
  });
  if (!found) return std::nullopt;
  Bytes bytes = to_bytes(found);
  pfree(found);
  return bytes;
}

uint64_t purge_log(const Head& head) {
  const Head* h = &head;
  uint64_t removed = 0;
  call([&removed, h] {
    Relation log = table_open(extension().tx_log, RowExclusiveLock);
    IndexWalk walk = log_walk(h->branch);
    walk.compare_int8(kXid, BTLessStrategyNumber, F_INT8LT, std::max(h->contained.xmax, h->fold));
    walk.run(GetActiveSnapshot(), [&](TupleDesc desc, HeapTuple tuple) {
      bool isnull;
      auto xid = static_cast<uint64_t>(DatumGetInt64(heap_getattr(tuple, kXid, desc, &isnull)));
      // A reset has written its head itself: that does not contain it, as it may have written more.
      bool reset = kind_of(desc, tuple) == 's' && xid < h->fold;
      if (reset || h->contained.contains(xid)) {
        simple_heap_delete(log, &tuple->t_self);
        ++removed;
      }
      CHECK_FOR_INTERRUPTS();
      return true;
    });
    table_close(log, NoLock);
    Relation heads = table_open(extension().heads, RowExclusiveLock);
    IndexWalk old = head_walk(h->branch);
    old.compare_int8(hFold, BTLessStrategyNumber, F_INT8LT, h->fold);
    old.run(GetActiveSnapshot(), [&](TupleDesc, HeapTuple tuple) {
      simple_heap_delete(heads, &tuple->t_self);
      return true;
    });
    table_close(heads, NoLock);
  });
  return removed;
}

void forget_heads(int32_t branch) {
  call([=] {
    Relation heads = table_open(extension().heads, RowExclusiveLock);
    IndexWalk walk = head_walk(branch);
    walk.run(GetActiveSnapshot(), [&](TupleDesc, HeapTuple tuple) {
      simple_heap_delete(heads, &tuple->t_self);
      return true;
    });
    table_close(heads, NoLock);
  });
}

std::vector<int32_t> branches_with_heads(Snapshot snapshot) {
  struct Found {
    int32_t* ids;
    size_t count, capacity;
  } found{};
  call([&] {
    Relation rel = table_open(extension().heads, AccessShareLock);
    const CatalogScan scan = begin_catalog_scan(rel, snapshot);
    HeapTuple tuple;
    bool isnull;
    while ((tuple = next_in_catalog(scan)) != nullptr) {
      if (found.count == found.capacity) {
        found.capacity = found.capacity ? found.capacity * 2 : 64;
        size_t bytes = found.capacity * sizeof(int32_t);
        found.ids = static_cast<int32_t*>(found.ids ? repalloc(found.ids, bytes) : palloc(bytes));
      }
      found.ids[found.count++] =
          DatumGetInt32(heap_getattr(tuple, hBranch, RelationGetDescr(rel), &isnull));
    }
    end_catalog_scan(scan);
    table_close(rel, AccessShareLock);
  });
  std::vector<int32_t> ids(found.ids, found.ids + found.count);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

uint64_t count_log_rows() {
  float4 tuples = 0;
  call([&] {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(extension().tx_log));
    if (!HeapTupleIsValid(tuple)) return;
    tuples = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->reltuples;
    ReleaseSysCache(tuple);
  });
  return tuples > 0 ? static_cast<uint64_t>(tuples) : 0;
}

bool log_is_empty(Snapshot snapshot) {
  return call([=] {
    Relation log = table_open(extension().tx_log, AccessShareLock);
    const CatalogScan scan = begin_catalog_scan(log, snapshot);
    bool empty = next_in_catalog(scan) == nullptr;
    end_catalog_scan(scan);
    table_close(log, NoLock);
    return empty;
  });
}

}  // namespace datahike::pg
