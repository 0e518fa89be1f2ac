// Sessions take aligned chunks of 64, 4096 or 65536 rowids from a table's block, larger ones as a
// transaction inserts more. A session keeps a chunk over transactions; its entry says which part of
// it belongs to the transaction that is running.
#include "am/rowids.h"

#include "am/rowid_blocks.h"
#include "pg/bridge.h"
#include "pg/shared.h"
#include "pg/worker.h"

namespace datahike::am {

namespace {

constexpr int kSizes = 3;
constexpr int kShift[kSizes + 3] = {6, 12, 16, 0, 0, 0};
constexpr int kHole = kSizes;          // "size" of an entry that marks one rolled back row
constexpr int kContent = kSizes + 1;   // of one that holds a published row,
constexpr int kPrepared = kSizes + 2;  // and of one that lists a prepared transaction, by its xid
constexpr uint64_t kMostHoles = 4096;  // marked per rolled back run in large chunks

struct InsertKey {
  Oid database;
  uint32_t size;   // index into kShift
  uint64_t chunk;  // rowid >> kShift[size]
};
struct InsertEntry {
  InsertKey key;
  uint64_t table;        // of a chunk
  uint64_t first;        // rowids below belong to finished transactions; content: a dsa_pointer
  uint64_t holes;        // of a chunk of 64: rolled back rowids
  uint64_t speculative;  // rowid, 0 = none
  uint32_t token;
  TransactionId xid;  // whose the entry is
  int32_t branch;
};
static_assert(sizeof(InsertKey) == pg::kInsertKeySize &&
              sizeof(InsertEntry) == pg::kInsertEntrySize);

// A run of rowids that this session has taken for one table.
struct Chunk {
  uint64_t next = 0, end = 0;
  int size = 0;
  int32_t branch = -1;
  TransactionId registered = InvalidTransactionId;  // the subtransaction that its entry names
  bool has_room() const { return next < end; }
};
struct TableChunks {
  std::vector<Chunk> chunks;
  size_t current = 0;                          // the one used last
  uint64_t newest = 0;                         // the last rowid handed out,
  int32_t newest_branch = -1;                  // and the branch it went to
  TransactionId taker = InvalidTransactionId;  // the subtransaction that took a rowid last,
  uint64_t taken = 0;                          // and how many it has taken
};
constexpr size_t kKeptChunks = 2;  // per table, over the end of a transaction
constexpr size_t kLookedAtChunks = 8;
std::unordered_map<uint64_t, TableChunks> tables;
std::vector<InsertKey> holes;  // entries of this transaction
std::vector<InsertKey> published;
InsertKey key_of(uint64_t rowid, int size) {
  return {MyDatabaseId, static_cast<uint32_t>(size), rowid >> kShift[size]};
}

template <class Entry, class Key>
Entry* find(dshash_table* table, const Key& key, bool exclusive) {
  return static_cast<Entry*>(dshash_find(table, &key, exclusive));
}

int size_for(uint64_t taken) { return taken >= 16384 ? 2 : taken >= 256 ? 1 : 0; }

void register_chunk(Chunk& chunk, uint64_t table, int32_t branch) {
  InsertKey key = key_of(chunk.next, chunk.size);
  dshash_table* inserts = pg::shared_tables().inserts;
  bool found;
  auto* entry = static_cast<InsertEntry*>(dshash_find_or_insert(inserts, &key, &found));
  entry->table = table;
  entry->first = chunk.next;
  entry->holes = 0;
  entry->speculative = 0;
  entry->token = 0;
  entry->xid = GetCurrentTransactionId();
  entry->branch = branch;
  dshash_release_lock(inserts, entry);
  chunk.registered = GetCurrentTransactionId();
  chunk.branch = branch;
}

// An entry names one subtransaction and one branch, so that who waits for a row is released when
// just that subtransaction is rolled back. A session's rows come in the order in which it wrote
// them: rowids never go back, also not after a subtransaction that took a chunk of its own.
bool usable(const TableChunks& t, const Chunk& chunk, TransactionId self, int32_t branch,
            uint64_t least) {
  if (!chunk.has_room() || chunk.next < least) return false;
  if (branch == t.newest_branch && chunk.next < t.newest) return false;
  if (chunk.registered == self) return chunk.branch == branch;
  return !TransactionIdIsValid(chunk.registered) ||
         !TransactionIdIsCurrentTransactionId(chunk.registered);
}

// Before the transaction has ended nobody may find its chunks gone.
void leave(int, Datum) {
  AbortOutOfAnyTransaction();
  forget_insert_chunks();
}

// A session that is killed leaves its entries behind; one that ends must not, however it ends.
void forget_chunks_at_exit() {
  static bool registered = false;
  if (registered) return;
  pg::call([] { before_shmem_exit(leave, static_cast<Datum>(0)); });
  registered = true;
}

Chunk& chunk_for(TableChunks& t, uint64_t table, TransactionId self, int32_t branch,
                 uint64_t least) {
  if (t.current < t.chunks.size() && usable(t, t.chunks[t.current], self, branch, least))
    return t.chunks[t.current];
  // A subtransaction takes a chunk of its own, so there may be very many; only the newest have
  // rowids ahead of those handed out.
  size_t oldest = t.chunks.size() - std::min(t.chunks.size(), kLookedAtChunks);
  for (size_t i = t.chunks.size(); i-- > oldest;)
    if (usable(t, t.chunks[i], self, branch, least)) return t.chunks[t.current = i];
  forget_chunks_at_exit();
  int size = size_for(t.taken);
  uint64_t start = pg::call([&] {
    // A chunk as large as a block always fits a new one, unless raced for.
    for (;;) {
      if (uint64_t taken = take_from_block(table, size)) return taken;
      add_block(table);
    }
  });
  Chunk chunk;
  chunk.next = start;
  chunk.end = start + (uint64_t{1} << kShift[size]);
  chunk.size = size;
  t.chunks.push_back(chunk);
  return t.chunks[t.current = t.chunks.size() - 1];
}

void forget_published() {
  pg::SharedTables& tables = pg::shared_tables();
  for (const InsertKey& key : published) {
    auto* entry = find<InsertEntry>(tables.inserts, key, true);
    if (!entry) continue;
    dsa_free(tables.area, entry->first);
    dshash_delete_entry(tables.inserts, entry);
  }
  published.clear();
}

bool is_hole(uint64_t rowid) {
  dshash_table* inserts = pg::shared_tables().inserts;
  auto* entry = find<InsertEntry>(inserts, key_of(rowid, kHole), false);
  if (entry) dshash_release_lock(inserts, entry);
  return entry != nullptr;
}

template <class Change>
void change_entry(uint64_t rowid, Change&& change) {
  dshash_table* inserts = pg::shared_tables().inserts;
  for (int size = 0; size < kSizes; ++size) {
    auto* entry = find<InsertEntry>(inserts, key_of(rowid, size), true);
    if (!entry) continue;
    change(*entry);
    dshash_release_lock(inserts, entry);
  }
}

void erase(const InsertKey& key) { dshash_delete_key(pg::shared_tables().inserts, &key); }

}  // namespace

uint64_t next_rowid(uint64_t table, int32_t branch, uint64_t least) {
  uint64_t count = 1;
  return next_rowids(table, branch, least, &count);
}

uint64_t next_rowids(uint64_t table, int32_t branch, uint64_t least, uint64_t* count) {
  TableChunks& t = tables[table];
  TransactionId self = pg::call([] { return GetCurrentTransactionId(); });
  if (t.taker != self) {
    t.taker = self;
    t.taken = 0;
  }
  Chunk& chunk = chunk_for(t, table, self, branch, least);
  if (chunk.registered != self) pg::call([&] { register_chunk(chunk, table, branch); });
  *count = std::min(*count, chunk.end - chunk.next);
  const uint64_t first = chunk.next;
  chunk.next += *count;
  t.taken += *count;
  t.newest = chunk.next - 1;
  t.newest_branch = branch;
  return first;
}

bool find_running_insert(uint64_t rowid, RunningInsert* out) {
  dshash_table* inserts = pg::shared_tables().inserts;
  for (int size = 0; size < kSizes; ++size) {
    auto* entry = find<InsertEntry>(inserts, key_of(rowid, size), false);
    if (!entry) continue;
    bool hole = size == 0 && (entry->holes >> (rowid & 63) & 1);
    bool candidate = rowid >= entry->first && !hole && TransactionIdIsValid(entry->xid);
    *out = {entry->xid, entry->branch, entry->speculative == rowid, entry->token};
    dshash_release_lock(inserts, entry);
    return candidate && TransactionIdIsInProgress(out->xid) && (size == 0 || !is_hole(rowid));
  }
  return false;
}

// A chunk of 64 keeps its holes in a mask; a hole in a larger chunk is an entry of its own. Where a
// rolled back run is so long that its rows are not marked, who asks for one waits for the whole
// transaction: longer than needed, never a wrong answer.
void mark_hole(uint64_t first, uint64_t count) {
  dshash_table* inserts = pg::shared_tables().inserts;
  for (uint64_t rowid = first; rowid < first + std::min(count, kMostHoles); ++rowid) {
    if (auto* entry = find<InsertEntry>(inserts, key_of(rowid, 0), true)) {
      entry->holes |= uint64_t{1} << (rowid & 63);
      dshash_release_lock(inserts, entry);
      continue;
    }
    InsertKey key = key_of(rowid, kHole);
    bool found;
    auto* entry = static_cast<InsertEntry*>(dshash_find_or_insert(inserts, &key, &found));
    entry->xid = GetTopTransactionIdIfAny();
    dshash_release_lock(inserts, entry);
    holes.push_back(key);
  }
}

void set_speculative(uint64_t rowid, uint32_t token) {
  change_entry(rowid, [=](InsertEntry& e) {
    e.speculative = rowid;
    e.token = token;
  });
}

void clear_speculative(uint64_t rowid) {
  change_entry(rowid, [=](InsertEntry& e) {
    if (e.speculative == rowid) e.speculative = 0;
  });
}

void publish_row(uint64_t rowid, MinimalTuple tuple) {
  pg::SharedTables& tables = pg::shared_tables();
  dsa_pointer content = dsa_allocate(tables.area, tuple->t_len);
  std::memcpy(dsa_get_address(tables.area, content), tuple, tuple->t_len);
  InsertKey key = key_of(rowid, kContent);
  bool found;
  auto* entry = static_cast<InsertEntry*>(dshash_find_or_insert(tables.inserts, &key, &found));
  entry->first = content;
  entry->xid = GetTopTransactionId();
  dshash_release_lock(tables.inserts, entry);
  published.push_back(key);
}

MinimalTuple find_published_row(uint64_t rowid) {
  pg::SharedTables& tables = pg::shared_tables();
  auto* entry = find<InsertEntry>(tables.inserts, key_of(rowid, kContent), false);
  if (!entry) return nullptr;
  auto* tuple = static_cast<MinimalTuple>(dsa_get_address(tables.area, entry->first));
  // Copied under the entry's lock: its owner may end at any moment.
  auto* copy = static_cast<MinimalTuple>(palloc_extended(tuple->t_len, MCXT_ALLOC_NO_OOM));
  if (copy) std::memcpy(copy, tuple, tuple->t_len);
  dshash_release_lock(tables.inserts, entry);
  return copy;
}

std::vector<InsertChunk> own_insert_chunks() {
  std::vector<InsertChunk> own;
  dshash_table* inserts = pg::shared_tables().inserts;
  for (const auto& [table, t] : tables)
    for (const Chunk& chunk : t.chunks) {
      if (!TransactionIdIsValid(chunk.registered) ||
          !TransactionIdIsCurrentTransactionId(chunk.registered))
        continue;
      auto* entry = find<InsertEntry>(inserts, key_of(chunk.end - 1, chunk.size), false);
      if (!entry) throw pg::SqlError(ERRCODE_INTERNAL_ERROR, "a chunk of rowids has no entry");
      own.push_back({table, entry->first, chunk.end, chunk.size, chunk.branch});
      dshash_release_lock(inserts, entry);
    }
  return own;
}

void restore_insert(uint64_t table, uint64_t first, int size, int32_t branch, TransactionId xid) {
  InsertKey key = key_of(first, size);
  dshash_table* inserts = pg::shared_tables().inserts;
  bool found;
  auto* entry = static_cast<InsertEntry*>(dshash_find_or_insert(inserts, &key, &found));
  if (!found || !TransactionIdIsInProgress(entry->xid)) {
    *entry = {key, table, first, 0, 0, 0, xid, branch};
  }
  dshash_release_lock(inserts, entry);
}

void register_prepared(TransactionId xid) {
  InsertKey key{MyDatabaseId, kPrepared, xid};
  dshash_table* inserts = pg::shared_tables().inserts;
  bool found;
  auto* entry = static_cast<InsertEntry*>(dshash_find_or_insert(inserts, &key, &found));
  entry->xid = xid;
  dshash_release_lock(inserts, entry);
  if (pg::WorkerSlot* slot = pg::worker_slot()) slot->left = true;
}

namespace {

// Visits the entries of this database; one for which `visit` returns false is deleted.
template <class Visit>
void filter_entries(Visit&& visit) {
  dshash_seq_status walk;
  dshash_seq_init(&walk, pg::shared_tables().inserts, true);
  while (auto* entry = static_cast<InsertEntry*>(dshash_seq_next(&walk)))
    if (entry->key.database == MyDatabaseId && !visit(*entry)) dshash_delete_current(&walk);
  dshash_seq_term(&walk);
}

}  // namespace

std::vector<RunningInserts> running_inserts(uint64_t table, uint64_t first, uint64_t end) {
  std::vector<RunningInserts> found;
  dshash_seq_status walk;
  dshash_seq_init(&walk, pg::shared_tables().inserts, false);
  while (auto* entry = static_cast<InsertEntry*>(dshash_seq_next(&walk))) {
    if (entry->key.database != MyDatabaseId || entry->key.size >= kSizes) continue;
    if (entry->table != table) continue;
    uint64_t chunk = entry->key.chunk << kShift[entry->key.size];
    uint64_t from = std::max({chunk, entry->first, first});
    if (from >= std::min(end, chunk + (uint64_t{1} << kShift[entry->key.size]))) continue;
    if (TransactionIdIsValid(entry->xid) && !TransactionIdIsCurrentTransactionId(entry->xid) &&
        TransactionIdIsInProgress(entry->xid))
      found.push_back({entry->xid, from});
  }
  dshash_seq_term(&walk);
  return found;
}

bool forget_ended_prepared(bool* more) {
  bool ended = false;
  *more = false;
  filter_entries([&](const InsertEntry& entry) {
    if (entry.key.size != kPrepared) return true;
    bool running = TransactionIdIsInProgress(entry.xid);
    *more |= running;
    ended |= !running;
    return running;
  });
  return ended;
}

// A chunk that a session keeps between transactions loses its entry as well, and gets another one
// with its next use.
void sweep_inserts() {
  filter_entries([](const InsertEntry& entry) {
    if (entry.key.size == kPrepared || TransactionIdIsInProgress(entry.xid)) return true;
    if (entry.key.size == kContent) dsa_free(pg::shared_tables().area, entry.first);
    return false;
  });
}

void leave_inserts() {
  holes.clear();
  keep_begun_blocks();
  published.clear();
  for (auto& [table, t] : tables) {
    std::erase_if(t.chunks, [](const Chunk& c) { return TransactionIdIsValid(c.registered); });
    t.current = 0;
  }
}

void end_inserts(bool rolled_back) {
  if (rolled_back)
    undo_begun_blocks();
  else
    keep_begun_blocks();
  if (!published.empty()) forget_published();
  for (const InsertKey& key : holes) erase(key);
  holes.clear();
  for (auto& [table, t] : tables) {
    size_t kept = 0;
    std::erase_if(t.chunks, [&](Chunk& chunk) {
      chunk.registered = InvalidTransactionId;
      bool behind = chunk.branch == t.newest_branch && chunk.next < t.newest;
      if (chunk.has_room() && !behind && kept++ < kKeptChunks) return false;
      erase(key_of(chunk.end - 1, chunk.size));
      return true;
    });
    t.taker = InvalidTransactionId;
    t.current = 0;
  }
  if (tables.size() > 256) forget_insert_chunks();
}

void forget_insert_chunks() {
  for (auto& [table, t] : tables)
    for (const Chunk& chunk : t.chunks) erase(key_of(chunk.end - 1, chunk.size));
  tables.clear();
}

}  // namespace datahike::am
