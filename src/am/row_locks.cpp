#include "am/row_locks.h"

#include "pg/bridge.h"
#include "pg/shared.h"

namespace datahike::am {

namespace {

// An entry is for 512 neighbouring ids, entities and rowids alike. Who holds a few of them is
// listed row by row; who holds more has a bitmap, so that a transaction that locks or updates a
// whole table needs less than a byte of shared memory for each row.
constexpr int kGroupShift = 9;
constexpr uint64_t kGroupRows = uint64_t{1} << kGroupShift;
constexpr uint32_t kInline = 2;
constexpr uint32_t kMostSingles = 7;  // of one transaction and mode in a group
constexpr uint8_t kRemoval = 4;       // beside the LockTupleModes: removes the row version

struct Key {
  Oid database;
  int32_t branch;
  uint64_t group;
};
struct Single {
  TransactionId xid;
  uint16_t row;  // within the group
  uint8_t mode;
};
struct Many {
  TransactionId xid;
  uint16_t count;
  uint8_t mode;
  uint64_t rows[kGroupRows / 64];
};
struct Entry {
  Key key;
  uint32_t singles;    // in use, inline first
  uint32_t more_room;  // for how many more than the inline ones `more` has room
  uint32_t manys, many_room;
  dsa_pointer more;  // array of Single
  dsa_pointer many;  // array of Many
  Single single[kInline];
};
static_assert(sizeof(Key) == pg::kRowLockKeySize && sizeof(Entry) == pg::kRowLockEntrySize);

Key key_of(int32_t branch, uint64_t id) { return {MyDatabaseId, branch, id >> kGroupShift}; }
uint16_t row_of(uint64_t id) { return static_cast<uint16_t>(id & (kGroupRows - 1)); }

dshash_table* table() { return pg::shared_tables().row_locks; }
dsa_area* area() { return pg::shared_tables().area; }

Entry* find_or_make(const Key& key) {
  bool found;
  auto* e = static_cast<Entry*>(dshash_find_or_insert(table(), &key, &found));
  if (!found)
    std::memset(reinterpret_cast<char*>(e) + sizeof(Key), 0, offsetof(Entry, single) - sizeof(Key));
  return e;
}

Entry* find(const Key& key, bool exclusive) {
  return static_cast<Entry*>(dshash_find(table(), &key, exclusive));
}

bool is_empty(const Entry* e) { return e->singles == 0 && e->manys == 0; }

void free_arrays(Entry* e) {
  if (e->more_room > 0) dsa_free(area(), e->more);
  if (e->many_room > 0) dsa_free(area(), e->many);
}

void release(Entry* e) {
  if (!is_empty(e)) {
    dshash_release_lock(table(), e);
    return;
  }
  free_arrays(e);
  dshash_delete_entry(table(), e);
}

Single& single_at(Entry* e, uint32_t i) {
  if (i < kInline) return e->single[i];
  return static_cast<Single*>(dsa_get_address(area(), e->more))[i - kInline];
}

Many* manys_of(Entry* e) {
  return e->manys > 0 ? static_cast<Many*>(dsa_get_address(area(), e->many)) : nullptr;
}

bool has(const Many& many, uint16_t row) { return many.rows[row >> 6] >> (row & 63) & 1; }

void set(Many& many, uint16_t row) {
  if (has(many, row)) return;
  many.rows[row >> 6] |= uint64_t{1} << (row & 63);
  ++many.count;
}

void clear(Many& many, uint16_t row) {
  if (!has(many, row)) return;
  many.rows[row >> 6] &= ~(uint64_t{1} << (row & 63));
  --many.count;
}

// Calls `keep(holder)` for each Single and Many; where it says no, the holder goes. A Many may be
// changed there: one without rows goes as well.
template <class Keep>
void filter(Entry* e, Keep&& keep) {
  for (uint32_t i = 0; i < e->singles;) {
    if (keep(single_at(e, i)))
      ++i;
    else
      single_at(e, i) = single_at(e, --e->singles);
  }
  Many* many = manys_of(e);
  for (uint32_t i = 0; i < e->manys;) {
    if (keep(many[i]) && many[i].count > 0)
      ++i;
    else
      many[i] = many[--e->manys];
  }
}

bool holds(const Single& s, uint16_t row) { return s.row == row; }
bool holds(const Many& m, uint16_t row) { return has(m, row); }

// REQUIRES, as what follows: the entry's partition lock. An error (out of memory) changes nothing
// and leaves the lock to the transaction's abort.
template <class Item>
void make_room(uint32_t used, uint32_t* room, dsa_pointer* array) {
  if (used < *room) return;
  uint32_t more = *room ? *room * 2 : 1;
  if (sizeof(Item) == sizeof(Single)) more = std::max(more, 8u);
  dsa_pointer grown = dsa_allocate_extended(area(), more * sizeof(Item), DSA_ALLOC_HUGE);
  if (*room > 0) {
    std::memcpy(dsa_get_address(area(), grown), dsa_get_address(area(), *array),
                used * sizeof(Item));
    dsa_free(area(), *array);
  }
  *array = grown;
  *room = more;
}

// The transaction's singles of this mode become a bitmap.
Many& gather(Entry* e, TransactionId xid, uint8_t mode) {
  make_room<Many>(e->manys, &e->many_room, &e->many);
  uint32_t at = e->manys;
  auto* many = static_cast<Many*>(dsa_get_address(area(), e->many)) + at;
  *many = {xid, 0, mode, {}};
  for (uint32_t i = 0; i < e->singles;) {
    Single& s = single_at(e, i);
    if (s.xid != xid || s.mode != mode) {
      ++i;
      continue;
    }
    set(*many, s.row);
    s = single_at(e, --e->singles);
  }
  ++e->manys;
  return *many;
}

void add_holder(Entry* e, TransactionId xid, uint16_t row, uint8_t mode) {
  Many* many = manys_of(e);
  for (uint32_t i = 0; i < e->manys; ++i)
    if (many[i].xid == xid && many[i].mode == mode) return set(many[i], row);
  uint32_t alike = 0;
  for (uint32_t i = 0; i < e->singles; ++i) {
    const Single& s = single_at(e, i);
    if (s.xid != xid || s.mode != mode) continue;
    if (s.row == row) return;
    ++alike;
  }
  if (alike >= kMostSingles) return set(gather(e, xid, mode), row);
  if (e->singles >= kInline) make_room<Single>(e->singles - kInline, &e->more_room, &e->more);
  single_at(e, e->singles++) = {xid, row, mode};
}

bool modes_conflict(uint8_t a, uint8_t b) {
  // LockTupleKeyShare < Share < NoKeyExclusive < Exclusive, as in heapam.
  static constexpr bool table[4][4] = {{false, false, false, true},
                                       {false, false, true, true},
                                       {false, true, true, true},
                                       {true, true, true, true}};
  return table[a][b];
}

// Takes holders away from neighbouring ids, one group after the other.
template <class Go>
void remove_holders(int32_t branch, uint64_t first, uint64_t count, Go&& goes) {
  for (uint64_t at = first, end = first + count; at < end;) {
    uint64_t group_end = std::min(end, (at | (kGroupRows - 1)) + 1);
    if (Entry* e = find(key_of(branch, at), true)) {
      uint16_t from = row_of(at), to = row_of(group_end - 1);
      filter(e, [&](auto& holder) {
        if (!goes(holder)) return true;
        if constexpr (std::is_same_v<decltype(holder), Single&>) {
          return holder.row < from || holder.row > to;
        } else {
          if (from == 0 && to == kGroupRows - 1) return false;
          for (uint32_t row = from; row <= to; ++row) clear(holder, static_cast<uint16_t>(row));
          return true;
        }
      });
      release(e);
    }
    at = group_end;
  }
}

}  // namespace

RowLockResult try_lock_row(int32_t branch, uint64_t entity, LockTupleMode mode,
                           RowLockConflict* conflict) {
  TransactionId self = GetCurrentTransactionId();
  auto wanted = static_cast<uint8_t>(mode);
  uint16_t row = row_of(entity);
  Entry* e = find_or_make(key_of(branch, entity));
  *conflict = {};
  bool strong_enough = false;
  filter(e, [&](auto& holder) {
    if (!holds(holder, row) || holder.mode == kRemoval) return true;
    if (holder.xid == self || TransactionIdIsCurrentTransactionId(holder.xid)) {
      conflict->holds_some = true;
      strong_enough |= holder.mode >= wanted;
    } else if (modes_conflict(holder.mode, wanted)) {
      // Ended without taking its locks away yet: all of them may go.
      if (!TransactionIdIsInProgress(holder.xid)) return false;
      conflict->xid = holder.xid;
    }
    return true;
  });
  RowLockResult result = RowLockResult::AlreadyHeld;
  if (!strong_enough && TransactionIdIsValid(conflict->xid)) {
    result = RowLockResult::Conflict;
  } else if (!strong_enough) {
    add_holder(e, self, row, wanted);
    result = RowLockResult::Acquired;
  }
  release(e);
  return result;
}

void unlock_rows(int32_t branch, uint64_t entity, uint64_t count, TransactionId xid) {
  remove_holders(branch, entity, count,
                 [=](const auto& holder) { return holder.xid == xid && holder.mode != kRemoval; });
}

void begin_removal(int32_t branch, uint64_t rowid) {
  TransactionId self = GetCurrentTransactionId();
  uint16_t row = row_of(rowid);
  Entry* e = find_or_make(key_of(branch, rowid));
  // Whoever else removes it has ended: this transaction has the entity's lock.
  filter(e, [&](auto& holder) { return holder.mode != kRemoval || !holds(holder, row); });
  add_holder(e, self, row, kRemoval);
  release(e);
}

void end_removals(int32_t branch, uint64_t rowid, uint64_t count, TransactionId xid) {
  remove_holders(branch, rowid, count,
                 [=](const auto& holder) { return holder.xid == xid && holder.mode == kRemoval; });
}

void forget_holder(int32_t branch, uint64_t id, uint64_t count, TransactionId xid) {
  uint64_t first = id & ~(kGroupRows - 1), end = (id + count - 1) | (kGroupRows - 1);
  remove_holders(branch, first, end + 1 - first,
                 [=](const auto& holder) { return holder.xid == xid; });
}

TransactionId find_running_remover(int32_t branch, uint64_t rowid) {
  Entry* e = find(key_of(branch, rowid), false);
  if (!e) return InvalidTransactionId;
  uint16_t row = row_of(rowid);
  TransactionId xid = InvalidTransactionId;
  for (uint32_t i = 0; i < e->singles; ++i) {
    const Single& s = single_at(e, i);
    if (s.mode == kRemoval && s.row == row) xid = s.xid;
  }
  const Many* many = manys_of(e);
  for (uint32_t i = 0; i < e->manys; ++i)
    if (many[i].mode == kRemoval && has(many[i], row)) xid = many[i].xid;
  dshash_release_lock(table(), e);
  bool running = TransactionIdIsValid(xid) && !TransactionIdIsCurrentTransactionId(xid) &&
                 TransactionIdIsInProgress(xid);
  return running ? xid : InvalidTransactionId;
}

namespace {

void restore(int32_t branch, uint64_t first, uint64_t count, uint8_t mode, TransactionId xid) {
  for (uint64_t at = first, end = first + count; at < end;) {
    uint64_t group_end = std::min(end, (at | (kGroupRows - 1)) + 1);
    Entry* e = find_or_make(key_of(branch, at));
    for (; at < group_end; ++at) add_holder(e, xid, row_of(at), mode);
    release(e);
    CHECK_FOR_INTERRUPTS();
  }
}

}  // namespace

void restore_row_locks(int32_t branch, uint64_t entity, uint64_t count, LockTupleMode mode,
                       TransactionId xid) {
  restore(branch, entity, count, static_cast<uint8_t>(mode), xid);
}

void restore_removals(int32_t branch, uint64_t rowid, uint64_t count, TransactionId xid) {
  restore(branch, rowid, count, kRemoval, xid);
}

void sweep_row_locks() {
  TransactionId ended = InvalidTransactionId;  // the one met last: neighbours often share it
  dshash_seq_status walk;
  dshash_seq_init(&walk, table(), true);
  while (auto* e = static_cast<Entry*>(dshash_seq_next(&walk))) {
    if (e->key.database != MyDatabaseId) continue;
    filter(e, [&](const auto& holder) {
      if (holder.xid != ended && TransactionIdIsInProgress(holder.xid)) return true;
      ended = holder.xid;
      return false;
    });
    if (!is_empty(e)) continue;
    free_arrays(e);
    dshash_delete_current(&walk);
  }
  dshash_seq_term(&walk);
}

}  // namespace datahike::am
