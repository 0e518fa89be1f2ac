#include "am/index_entries.h"

#include "am/columns_differ.h"
#include "am/rowless.h"
#include "am/serializable.h"
#include "pg/serializable_pause.h"

namespace datahike::am {

namespace {

// A table's indexes as index_insert() wants them, kept over statements.
struct IndexSet {
  uint64_t stamp = 0;  // of the table's definition; another one: build again
  MemoryContext memory = nullptr;
  bool simple = false;
  int count = 0;
  Oid* index = nullptr;
  IndexInfo** info = nullptr;
};
std::unordered_map<Oid, IndexSet> sets;
constexpr size_t kMostSets = 512;

void build(IndexSet& set, Relation relation, uint64_t stamp) {
  if (!set.memory)
    set.memory = AllocSetContextCreate(TopMemoryContext, "datahike indexes", ALLOCSET_SMALL_SIZES);
  MemoryContextReset(set.memory);
  set.stamp = 0;
  set.count = 0;
  set.simple = true;
  List* oids = RelationGetIndexList(relation);
  MemoryContext old = MemoryContextSwitchTo(set.memory);
  set.index = static_cast<Oid*>(palloc(sizeof(Oid) * (list_length(oids) + 1)));
  set.info = static_cast<IndexInfo**>(palloc(sizeof(IndexInfo*) * (list_length(oids) + 1)));
  ListCell* cell;
  foreach (cell, oids) {
    Relation index = index_open(lfirst_oid(cell), RowExclusiveLock);
    IndexInfo* info = BuildIndexInfo(index);
    set.simple &= info->ii_Expressions == NIL && info->ii_Predicate == NIL;
    // A deferred check of the version before would be satisfied by its going.
    set.simple &= index->rd_index->indimmediate && !index->rd_index->indisexclusion;
    if (info->ii_ReadyForInserts) {
      set.index[set.count] = lfirst_oid(cell);
      set.info[set.count++] = info;
    }
    index_close(index, NoLock);
  }
  MemoryContextSwitchTo(old);
  list_free(oids);
  set.stamp = stamp;
}

IndexSet& indexes_of(Relation relation, uint64_t stamp) {
  if (sets.size() > kMostSets) {
    for (auto& [oid, set] : sets) MemoryContextDelete(set.memory);
    sets.clear();
  }
  IndexSet& set = sets[RelationGetRelid(relation)];
  if (set.stamp != stamp) build(set, relation, stamp);
  return set;
}

struct Entries {
  IndexSet* set;
  Relation relation;
  TupleTableSlot* row;
};

void insert_entries(void* argument) {
  auto* entries = static_cast<Entries*>(argument);
  IndexSet& set = *entries->set;
  bool marks = is_time_to_mark_dead_entries();
  for (int i = 0; i < set.count; ++i) {
    Datum values[INDEX_MAX_KEYS];
    bool isnull[INDEX_MAX_KEYS];
    FormIndexDatum(set.info[i], entries->row, nullptr, values, isnull);
    Relation index = index_open(set.index[i], RowExclusiveLock);
    // A partial check neither waits nor fails.
    IndexUniqueCheck check =
        marks && set.info[i]->ii_Unique ? UNIQUE_CHECK_PARTIAL : UNIQUE_CHECK_NO;
    index_insert(index, values, isnull, &entries->row->tts_tid, entries->relation, check, true,
                 set.info[i]);
    index_close(index, NoLock);
  }
}

}  // namespace

bool insert_unchanged_entries(Relation relation, uint64_t stamp, TupleTableSlot* before,
                              TupleTableSlot* after) {
  if (columns_differ(relation, INDEX_ATTR_BITMAP_ALL, before, after)) return false;
  IndexSet& set = indexes_of(relation, stamp);
  if (!set.simple) return false;
  Entries entries{&set, relation, after};
  if (hides_unchanged_entries())
    pg::outside_serializable(insert_entries, &entries);
  else
    insert_entries(&entries);
  return true;
}

}  // namespace datahike::am
