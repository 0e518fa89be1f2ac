#include "am/row_locks.h"

#include "pg/bridge.h"
#include "pg/shared.h"

namespace datahike::am {

namespace {

struct Key {
  Oid database;
  int32_t branch;
  uint64_t rowid;
};
struct Holder {
  TransactionId xid;
  uint8_t mode;
};
constexpr int kInline = 3;
struct Entry {
  Key key;
  Holder holder[kInline];
  uint16_t count;     // holders in use, inline first
  uint16_t capacity;  // of `more`
  dsa_pointer more;   // array of further holders
};
static_assert(sizeof(Key) == pg::kRowLockKeySize && sizeof(Entry) == pg::kRowLockEntrySize);

// Entries of removals lie beside those of locks. Rowids are below 2^63.
constexpr uint64_t kRemoval = uint64_t{1} << 63;

Key key_of(int32_t branch, uint64_t id) { return {MyDatabaseId, branch, id}; }

Entry* find_or_make(const Key& key) {
  bool found;
  auto* e = static_cast<Entry*>(dshash_find_or_insert(pg::shared_tables().row_locks, &key, &found));
  if (!found) {
    e->count = e->capacity = 0;
    e->more = InvalidDsaPointer;
  }
  return e;
}

Holder& holder_at(Entry* e, int i) {
  if (i < kInline) return e->holder[i];
  auto* more = static_cast<Holder*>(dsa_get_address(pg::shared_tables().area, e->more));
  return more[i - kInline];
}

void remove_holder(Entry* e, int i) {
  holder_at(e, i) = holder_at(e, e->count - 1);
  --e->count;
}

// REQUIRES: the entry's partition lock; an error leaves it to the transaction's abort.
void add_holder(Entry* e, Holder holder) {
  dsa_area* area = pg::shared_tables().area;
  if (e->count - kInline >= e->capacity && e->count >= kInline) {
    auto capacity = static_cast<uint16_t>(e->capacity ? e->capacity * 2 : 8);
    dsa_pointer more = dsa_allocate(area, capacity * sizeof(Holder));
    if (e->capacity) {
      std::memcpy(dsa_get_address(area, more), dsa_get_address(area, e->more),
                  e->capacity * sizeof(Holder));
      dsa_free(area, e->more);
    }
    e->more = more;
    e->capacity = capacity;
  }
  ++e->count;
  holder_at(e, e->count - 1) = holder;
}

bool modes_conflict(uint8_t a, uint8_t b) {
  // LockTupleKeyShare < Share < NoKeyExclusive < Exclusive, as in heapam.
  static constexpr bool table[4][4] = {{false, false, false, true},
                                       {false, false, true, true},
                                       {false, true, true, true},
                                       {true, true, true, true}};
  return table[a][b];
}

void release_entry(Entry* e) {
  if (e->count > 0) {
    dshash_release_lock(pg::shared_tables().row_locks, e);
    return;
  }
  if (e->capacity) dsa_free(pg::shared_tables().area, e->more);
  dshash_delete_entry(pg::shared_tables().row_locks, e);
}

}  // namespace

RowLockResult try_lock_row(int32_t branch, uint64_t entity, LockTupleMode mode,
                           RowLockConflict* conflict) {
  TransactionId self = GetCurrentTransactionId();
  Entry* e = find_or_make(key_of(branch, entity));
  *conflict = {};
  int mine = -1;
  bool strong_enough = false;
  for (int i = 0; i < e->count; ++i) {
    Holder h = holder_at(e, i);
    if (h.xid == self) mine = i;
    if (h.xid == self || TransactionIdIsCurrentTransactionId(h.xid)) {
      conflict->holds_some = true;
      if (h.mode >= mode) strong_enough = true;
      continue;
    }
    if (!modes_conflict(h.mode, static_cast<uint8_t>(mode))) continue;
    if (TransactionIdIsInProgress(h.xid)) {
      conflict->xid = h.xid;
      continue;
    }
    remove_holder(e, i--);  // ended without taking its lock away yet
    if (mine == e->count) mine = i + 1;
  }
  RowLockResult result = RowLockResult::AlreadyHeld;
  if (TransactionIdIsValid(conflict->xid) && !strong_enough) {
    result = RowLockResult::Conflict;
  } else if (mine >= 0) {
    Holder& h = holder_at(e, mine);
    h.mode = std::max(h.mode, static_cast<uint8_t>(mode));
  } else if (!strong_enough) {
    add_holder(e, {self, static_cast<uint8_t>(mode)});
    result = RowLockResult::Acquired;
  }
  release_entry(e);
  return result;
}

void unlock_row(int32_t branch, uint64_t entity, TransactionId xid) {
  Key key = key_of(branch, entity);
  auto* e = static_cast<Entry*>(dshash_find(pg::shared_tables().row_locks, &key, true));
  if (!e) return;
  for (int i = 0; i < e->count; ++i)
    if (holder_at(e, i).xid == xid) remove_holder(e, i--);
  release_entry(e);
}

void begin_removal(int32_t branch, uint64_t rowid) {
  Entry* e = find_or_make(key_of(branch, rowid | kRemoval));
  e->count = 0;  // whoever else is there has ended: this transaction has the entity's lock
  add_holder(e, {GetCurrentTransactionId(), LockTupleExclusive});
  release_entry(e);
}

void end_removal(int32_t branch, uint64_t rowid, TransactionId xid) {
  unlock_row(branch, rowid | kRemoval, xid);
}

LockTupleMode mode_of_lock(int32_t branch, uint64_t entity, TransactionId xid) {
  Key key = key_of(branch, entity);
  int mode = -1;
  auto* e = static_cast<Entry*>(dshash_find(pg::shared_tables().row_locks, &key, false));
  for (int i = 0; e && i < e->count; ++i)
    if (holder_at(e, i).xid == xid) mode = holder_at(e, i).mode;
  if (e) dshash_release_lock(pg::shared_tables().row_locks, e);
  if (mode < 0) elog(ERROR, "a row lock of this transaction is missing");
  return static_cast<LockTupleMode>(mode);
}

void restore_row_lock(int32_t branch, uint64_t entity, LockTupleMode mode, TransactionId xid) {
  Entry* e = find_or_make(key_of(branch, entity));
  int mine = -1;
  for (int i = 0; i < e->count; ++i)
    if (holder_at(e, i).xid == xid) mine = i;
  auto wanted = static_cast<uint8_t>(mode);
  if (mine >= 0)
    holder_at(e, mine).mode = std::max(holder_at(e, mine).mode, wanted);
  else
    add_holder(e, {xid, wanted});
  release_entry(e);
}

void restore_removal(int32_t branch, uint64_t rowid, TransactionId xid) {
  restore_row_lock(branch, rowid | kRemoval, LockTupleExclusive, xid);
}

void sweep_row_locks() {
  TransactionId ended = InvalidTransactionId;  // the one met last: neighbours often share it
  dshash_seq_status walk;
  dshash_seq_init(&walk, pg::shared_tables().row_locks, true);
  while (auto* e = static_cast<Entry*>(dshash_seq_next(&walk))) {
    if (e->key.database != MyDatabaseId) continue;
    for (int i = 0; i < e->count; ++i) {
      TransactionId xid = holder_at(e, i).xid;
      if (xid != ended && TransactionIdIsInProgress(xid)) continue;
      ended = xid;
      remove_holder(e, i--);
    }
    if (e->count > 0) continue;
    if (e->capacity) dsa_free(pg::shared_tables().area, e->more);
    dshash_delete_current(&walk);
  }
  dshash_seq_term(&walk);
}

TransactionId find_running_remover(int32_t branch, uint64_t rowid) {
  Key key = key_of(branch, rowid | kRemoval);
  auto* e = static_cast<Entry*>(dshash_find(pg::shared_tables().row_locks, &key, false));
  if (!e) return InvalidTransactionId;
  TransactionId xid = e->count > 0 ? holder_at(e, 0).xid : InvalidTransactionId;
  dshash_release_lock(pg::shared_tables().row_locks, e);
  bool running = TransactionIdIsValid(xid) && !TransactionIdIsCurrentTransactionId(xid) &&
                 TransactionIdIsInProgress(xid);
  return running ? xid : InvalidTransactionId;
}

}  // namespace datahike::am
