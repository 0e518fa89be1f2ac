#include "pg/shared.h"

#include "pg/bridge.h"
#include "pg/log.h"

namespace datahike::pg {

SharedState* shared = nullptr;

namespace {

shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

constexpr size_t kAreaBytes = 1 << 20;  // grows through dynamic segments
constexpr int kTrancheRowLocks = 0, kTrancheInserts = 1, kTrancheBlocks = 2, kTrancheArea = 3,
              kTrancheWorkers = 4, kTranches = 5;
const char* const kTrancheName = "datahike";

int tranche(int which) { return GetNamedLWLockTranche(kTrancheName)[which].lock.tranche; }

size_t shared_bytes() { return add_size(offsetof(SharedState, area), kAreaBytes); }

dshash_parameters parameters(size_t key, size_t entry) {
  dshash_parameters p{};
  p.key_size = key;
  p.entry_size = entry;
  p.compare_function = dshash_memcmp;
  p.hash_function = dshash_memhash;
  p.tranche_id = tranche(0);
  return p;
}
dshash_parameters row_lock_parameters() { return parameters(kRowLockKeySize, kRowLockEntrySize); }
dshash_parameters insert_parameters() { return parameters(kInsertKeySize, kInsertEntrySize); }
dshash_parameters block_parameters() { return parameters(kBlockKeySize, kBlockEntrySize); }
dshash_parameters writer_parameters() { return parameters(kWriterKeySize, kWriterEntrySize); }

void request() {
  if (previous_request_hook) previous_request_hook();
  RequestAddinShmemSpace(shared_bytes());
  RequestNamedLWLockTranche(kTrancheName, kTranches);
}

// As PostgreSQL's cumulative statistics do: the postmaster makes the area and its tables in place,
// pins them and lets go; every process attaches for itself.
void make_tables() {
  dsa_area* area = dsa_create_in_place(shared->area, kAreaBytes, tranche(0), nullptr);
  dsa_pin(area);
  dsa_set_size_limit(area, kAreaBytes);  // the postmaster must not make dynamic segments
  auto make = [&](dshash_parameters p) {
    dshash_table* table = dshash_create(area, &p, nullptr);
    dshash_table_handle handle = dshash_get_hash_table_handle(table);
    dshash_detach(table);
    return handle;
  };
  shared->row_locks = make(row_lock_parameters());
  shared->inserts = make(insert_parameters());
  shared->blocks = make(block_parameters());
  shared->writers = make(writer_parameters());
  dsa_set_size_limit(area, -1);
  dsa_detach(area);
}

void startup() {
  if (previous_startup_hook) previous_startup_hook();
  bool found;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  shared = static_cast<SharedState*>(ShmemInitStruct("datahike", shared_bytes(), &found));
  if (!found) {
    std::memset(static_cast<void*>(shared), 0, offsetof(SharedState, area));
    SpinLockInit(&shared->ring_lock);
    shared->lock = &GetNamedLWLockTranche(kTrancheName)[kTrancheWorkers].lock;
    for (WorkerSlot& slot : shared->workers) ConditionVariableInit(&slot.done);
    make_tables();
  }
  LWLockRelease(AddinShmemInitLock);
}

}  // namespace

void require_preloaded() {
  if (shared) return;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("the datahike library is not preloaded"),
                  errhint("Add datahike to shared_preload_libraries and restart the server.")));
}

void install_shared_memory_hooks() {
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = request;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = startup;
}

SharedTables& shared_tables() {
  static SharedTables tables;
  if (tables.area) return tables;
  MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
  tables.area = dsa_attach_in_place(shared->area, nullptr);
  dsa_pin_mapping(tables.area);
  dshash_parameters locks = row_lock_parameters(), inserts = insert_parameters(),
                    blocks = block_parameters(), writers = writer_parameters();
  tables.row_locks = dshash_attach(tables.area, &locks, shared->row_locks, nullptr);
  tables.inserts = dshash_attach(tables.area, &inserts, shared->inserts, nullptr);
  tables.blocks = dshash_attach(tables.area, &blocks, shared->blocks, nullptr);
  tables.writers = dshash_attach(tables.area, &writers, shared->writers, nullptr);
  MemoryContextSwitchTo(old);
  return tables;
}

static uint64_t reference = 0;  // some recent 64-bit xid; ids in use lie within 2^31 of it

void forget_next_xid() { reference = 0; }

uint64_t widen_xid(TransactionId xid) {
  if (!TransactionIdIsNormal(xid)) return xid;
  if (reference == 0 || static_cast<int32_t>(xid - static_cast<uint32_t>(reference)) > 1 << 29)
    reference = U64FromFullTransactionId(ReadNextFullTransactionId());
  uint64_t wide = reference + static_cast<int32_t>(xid - static_cast<uint32_t>(reference));
  if (wide > reference) reference = wide;
  return wide;
}

namespace {

// Gives the row's bytes room in the ring. Readers copy without a lock and look at content_head
// again: it moves before a byte is overwritten. REQUIRES: ring_lock.
uint64_t append_content(const LogRow& row, size_t bytes) {
  uint64_t at = shared->content_head;
  // In one piece: what is left at the end is skipped where it is too small.
  if (at % kRingContentBytes + bytes > kRingContentBytes)
    at += kRingContentBytes - at % kRingContentBytes;
  shared->content_head = at + bytes;
  pg_write_barrier();
  uint8_t* to = shared->content + at % kRingContentBytes;
  std::memcpy(to, row.delta.data(), row.delta.size());
  std::memcpy(to + row.delta.size(), row.rows.data(), row.rows.size());
  return at;
}

}  // namespace

void ring_append(const LogRow& row, uint32_t branch, bool reset) {
  uint64_t next = U64FromFullTransactionId(ReadNextFullTransactionId());
  size_t bytes = row.delta.size() + row.rows.size();
  bool fits = bytes <= kMostRingContent;
  SpinLockAcquire(&shared->ring_lock);
  if (shared->floor == 0) shared->floor = next;
  // Along the ring next_xid never falls, though it was read before the lock was got.
  if (shared->head > 0)
    next = std::max(next, shared->ring[(shared->head - 1) % kRingSize].next_xid);
  RingEntry& entry = shared->ring[shared->head % kRingSize];
  if (shared->head >= kRingSize && entry.xid > shared->floor) shared->floor = entry.xid;
  entry = {row.xid, next, MyDatabaseId, branch, 0, 0, 0, row.part, row.lsn, reset};
  if (reset) ++shared->resets;
  if (fits) {
    entry.content = append_content(row, bytes);
    entry.delta_bytes = static_cast<uint32_t>(row.delta.size());
    entry.rows_bytes = static_cast<uint32_t>(row.rows.size());
  }
  pg_write_barrier();
  ++shared->head;
  SpinLockRelease(&shared->ring_lock);
}

uint64_t ring_head() {
  // Lock-free: the snapshot that the caller holds was taken with a barrier after the append.
  return *const_cast<volatile uint64_t*>(&shared->head);
}

uint64_t ring_floor() {
  if (shared->floor == 0) {
    uint64_t next = U64FromFullTransactionId(ReadNextFullTransactionId());
    SpinLockAcquire(&shared->ring_lock);
    if (shared->floor == 0) shared->floor = next;
    SpinLockRelease(&shared->ring_lock);
  }
  return *const_cast<volatile uint64_t*>(&shared->floor);
}

uint64_t reset_count() { return *const_cast<volatile uint64_t*>(&shared->resets); }

bool ring_read(uint64_t position, RingEntry* entry, bool* ours) {
  // Copied without the lock. The oldest entry may be under way to be overwritten already.
  *entry = shared->ring[position % kRingSize];
  pg_read_barrier();
  bool there = ring_head() - position < kRingSize;
  *ours = there && entry->database == MyDatabaseId;
  return there;
}

bool ring_read_content(const RingEntry& entry, Bytes& out) {
  if (entry.delta_bytes == 0) return false;
  size_t bytes = size_t{entry.delta_bytes} + entry.rows_bytes;
  const uint8_t* from = shared->content + entry.content % kRingContentBytes;
  out.assign(from, from + bytes);
  pg_read_barrier();
  uint64_t head = *const_cast<volatile uint64_t*>(&shared->content_head);
  return head - entry.content <= kRingContentBytes;
}

}  // namespace datahike::pg
