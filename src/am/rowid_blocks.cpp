// A table takes blocks of rowids from a sequence (WAL-logged, so ahead of every index entry) and
// keeps the current one in shared memory. Blocks are not given back. But one that a session has
// taken for a table that is gone before it had a row, as the tables are that PostgreSQL makes when
// it rewrites one, is the first block of the next table which that session makes.
//
// A table that a prepared transaction has made is marked with it, for no session sees that end: if
// it is rolled back, the worker's sweep takes the entry away.
#include "am/rowid_blocks.h"

#include "pg/catalog.h"
#include "pg/sequence.h"
#include "pg/shared.h"

namespace datahike::am {

namespace {

enum Kind : uint32_t { kBlock, kMadeByPrepared };
struct BlockKey {
  Oid database;
  Kind kind;
  uint64_t table;
};
struct BlockEntry {
  BlockKey key;
  uint64_t next, end;  // kMadeByPrepared: `next` is the transaction's xid
};
static_assert(sizeof(BlockKey) == pg::kBlockKeySize && sizeof(BlockEntry) == pg::kBlockEntrySize);

// Tables that have got their first block in this transaction, whose memory it is.
struct Begun {
  Begun* next;
  uint64_t table;
  SubTransactionId sub;
  Oid sequence;
};
Begun* begun = nullptr;

// A block without a row, and the sequence that it is from: another one hands out the same numbers.
struct Spare {
  Oid sequence = InvalidOid;
  uint64_t first = 0;
};
Spare spare;

// The entry of table 0 holds the first block that was taken in the database.
constexpr uint64_t kAnyTable = 0;

BlockKey key_of(uint64_t table, Kind kind = kBlock) { return {MyDatabaseId, kind, table}; }

BlockEntry* find(uint64_t table, bool exclusive) {
  BlockKey key = key_of(table);
  return static_cast<BlockEntry*>(dshash_find(pg::shared_tables().blocks, &key, exclusive));
}

BlockEntry* find_or_insert(uint64_t table, bool* found, Kind kind = kBlock) {
  BlockKey key = key_of(table, kind);
  return static_cast<BlockEntry*>(dshash_find_or_insert(pg::shared_tables().blocks, &key, found));
}

void release(BlockEntry* entry) { dshash_release_lock(pg::shared_tables().blocks, entry); }

void erase(uint64_t table, Kind kind) {
  BlockKey key = key_of(table, kind);
  dshash_delete_key(pg::shared_tables().blocks, &key);
}

bool is_unused(const BlockEntry& entry) {
  return entry.next % kBlockRows == 0 && entry.next < entry.end;
}

void note_block(uint64_t first) {
  bool found;
  BlockEntry* entry = find_or_insert(kAnyTable, &found);
  if (!found || first < entry->next) entry->next = entry->end = first;
  release(entry);
}

uint64_t draw_block() {
  const uint64_t first = static_cast<uint64_t>(pg::draw(pg::extension().rowid_block)) * kBlockRows;
  note_block(first);
  return first;
}

void set_block(uint64_t table, uint64_t first) {
  bool found;
  BlockEntry* entry = find_or_insert(table, &found);
  // Another session may have been faster with a later block.
  if (!found || entry->end <= first) {
    entry->next = first;
    entry->end = first + kBlockRows;
  }
  release(entry);
}

void note_begun(uint64_t table) {
  const Oid sequence = pg::extension().rowid_block;
  auto* noted = static_cast<Begun*>(MemoryContextAlloc(TopTransactionContext, sizeof(Begun)));
  *noted = {begun, table, GetCurrentSubTransactionId(), sequence};
  begun = noted;
}

void forget(uint64_t table, Oid sequence) {
  BlockEntry* entry = find(table, true);
  if (!entry) return;
  if (is_unused(*entry)) spare = {sequence, entry->next};
  dshash_delete_entry(pg::shared_tables().blocks, entry);
}

template <class Visit>
void visit_blocks(bool exclusive, Visit&& visit) {
  dshash_seq_status walk;
  dshash_seq_init(&walk, pg::shared_tables().blocks, exclusive);
  while (auto* entry = static_cast<BlockEntry*>(dshash_seq_next(&walk))) visit(*entry, &walk);
  dshash_seq_term(&walk);
}

}  // namespace

uint64_t begin_first_block(uint64_t table) {
  note_begun(table);
  const bool spared = spare.first > 0 && spare.sequence == pg::extension().rowid_block;
  const uint64_t first = spared ? spare.first : draw_block();
  spare = Spare();
  set_block(table, first);
  return first;
}

uint64_t begin_block(uint64_t table) {
  if (BlockEntry* entry = find(table, false)) {
    const uint64_t next = entry->next;
    const bool unused = is_unused(*entry);
    release(entry);
    if (unused) return next;
  } else {
    note_begun(table);
  }
  const uint64_t first = draw_block();
  set_block(table, first);
  return first;
}

void forget_block(uint64_t table) { forget(table, pg::extension().rowid_block); }

void forget_blocks_of(Oid database) {
  visit_blocks(true, [=](const BlockEntry& entry, dshash_seq_status* walk) {
    if (entry.key.database == database) dshash_delete_current(walk);
  });
}

int64_t count_blocks() {
  int64_t count = 0;
  visit_blocks(false, [&](const BlockEntry& entry, dshash_seq_status*) {
    count += entry.key.kind == kBlock && entry.key.table != kAnyTable;
  });
  return count;
}

void add_block(uint64_t table) { set_block(table, draw_block()); }

// A block begins with small chunks: larger ones would leave a gap in a small table's TIDs.
uint64_t take_from_block(uint64_t table, int& size) {
  constexpr int kShift[] = {6, 12, 16};
  BlockEntry* entry = find(table, true);
  if (!entry) return 0;
  const uint64_t used = entry->next % kBlockRows;
  if (size == 1 && used != 0 && used < uint64_t{1} << kShift[1]) size = 0;
  uint64_t rows = uint64_t{1} << kShift[size];
  uint64_t start = (entry->next + rows - 1) & ~(rows - 1);
  bool room = start + rows <= entry->end;
  if (room) entry->next = start + rows;
  release(entry);
  return room ? start : 0;
}

uint64_t end_of_handed_out(uint64_t table) {
  BlockEntry* entry = find(table, false);
  if (!entry) return 0;
  uint64_t end = entry->next;
  release(entry);
  return end;
}

uint64_t first_rowid_of_run() {
  for (;;) {
    if (BlockEntry* entry = find(kAnyTable, false)) {
      uint64_t first = entry->next;
      release(entry);
      return first;
    }
    draw_block();
  }
}

void undo_begun_blocks() {
  for (const Begun* b = begun; b; b = b->next) {
    forget(b->table, b->sequence);
    erase(b->table, kMadeByPrepared);
  }
  begun = nullptr;
}

bool mark_begun_blocks(TransactionId xid) {
  for (const Begun* b = begun; b; b = b->next) {
    bool found;
    BlockEntry* entry = find_or_insert(b->table, &found, kMadeByPrepared);
    entry->next = xid;
    release(entry);
  }
  return begun != nullptr;
}

void sweep_begun_blocks() {
  List* ended = NIL;
  visit_blocks(false, [&](const BlockEntry& entry, dshash_seq_status*) {
    if (entry.key.database != MyDatabaseId || entry.key.kind != kMadeByPrepared) return;
    if (TransactionIdIsInProgress(static_cast<TransactionId>(entry.next))) return;
    auto* copy = static_cast<BlockEntry*>(palloc(sizeof(BlockEntry)));
    *copy = entry;
    ended = lappend(ended, copy);
  });
  ListCell* cell;
  foreach (cell, ended) {
    auto* entry = static_cast<BlockEntry*>(lfirst(cell));
    if (!TransactionIdDidCommit(static_cast<TransactionId>(entry->next)))
      erase(entry->key.table, kBlock);
    erase(entry->key.table, kMadeByPrepared);
  }
  list_free_deep(ended);
}

void keep_begun_blocks() { begun = nullptr; }

void undo_begun_blocks_of(SubTransactionId sub) {
  for (Begun** at = &begun; *at;) {
    if ((*at)->sub != sub) {
      at = &(*at)->next;
      continue;
    }
    forget((*at)->table, (*at)->sequence);
    *at = (*at)->next;
  }
}

void pass_begun_blocks(SubTransactionId sub, SubTransactionId parent) {
  for (Begun* b = begun; b; b = b->next)
    if (b->sub == sub) b->sub = parent;
}

}  // namespace datahike::am
