#include "am/brin.h"

#include "am/omitted_rows.h"
#include "am/prepared.h"
#include "am/rowid_blocks.h"
#include "am/rowids.h"
#include "pg/hooks.h"

extern "C" {
#include "access/brin.h"
#include "access/brin_internal.h"
#include "access/brin_revmap.h"
#include "access/brin_tuple.h"
#include "storage/lmgr.h"
}

namespace datahike::am {

namespace {

bool vacuum_summarizes = false;

// What summarize_range() hands to the scan of a range: BrinBuildState of PostgreSQL 15's brin.c.
struct Summary {
  Relation index;
  int rows;
  Buffer buffer;
  BlockNumber pages_per_range;
  BlockNumber start;
  BrinRevmap* revmap;
  BrinDesc* description;
  BrinMemTuple* values;
};

constexpr uint64_t kMostRanges = 1 << 24;  // each has a tuple, whether there are rows or not

// What a table's BRIN indexes are about. Plain PostgreSQL code.
struct BrinIndexes {
  bool any = false;
  bool any_summarized_by_call = false;  // brin_summarize_range() is at one of them
};
BrinIndexes look_at_indexes(Relation relation) {
  BrinIndexes found;
  List* indexes = RelationGetIndexList(relation);
  ListCell* cell;
  foreach (cell, indexes) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(tuple)) continue;
    bool brin = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relam == BRIN_AM_OID;
    ReleaseSysCache(tuple);
    if (!brin) continue;
    found.any = true;
    LOCKTAG tag;
    SET_LOCKTAG_RELATION(tag, MyDatabaseId, lfirst_oid(cell));
    found.any_summarized_by_call |= LockHeldByMe(&tag, ShareUpdateExclusiveLock);
  }
  list_free(indexes);
  return found;
}

uint64_t blocks_below(const RelationInfo& info, uint64_t end) {
  auto first = static_cast<uint64_t>(info.tid_base);
  return end <= first ? 0 : (end - first + kRowsPerBlock - 1) / kRowsPerBlock;
}

// Behind the last version that there is, whoever sees it.
uint64_t end_of_versions(Relation relation, const RelationInfo& info) {
  AllVersions versions(relation, info, nullptr);
  uint64_t end = versions.end();
  // An older snapshot may see what the branches have lost since.
  if (ActiveSnapshotSet() && IsMVCCSnapshot(GetActiveSnapshot()))
    end = std::max(end, end_of_unfolded_rows(table_view(info, GetActiveSnapshot())));
  return end;
}

// On heap most new versions go to where there is a summary already. Here they go to new blocks:
// VACUUM lets the next ones have theirs before there are rows. Not many, for it costs inserts time.
constexpr uint64_t kRowsAhead = 4096;

// Where others are inserting nothing.
uint64_t settled_blocks(Relation relation, const RelationInfo& info) {
  uint64_t end = end_of_versions(relation, info);
  if (vacuum_summarizes) {
    uint64_t handed_out = pg::call([&] { return end_of_handed_out(info.table); });
    end = std::max(end, (handed_out + kRowsAhead - 1) / kRowsAhead * kRowsAhead);
  }
  restore_prepared();
  auto first = static_cast<uint64_t>(info.tid_base);
  for (const RunningInserts& running : running_inserts(info.table, first, end))
    end = std::min(end, running.first);
  return end <= first ? 0 : (end - first) / kRowsPerBlock;
}

}  // namespace

uint64_t blocks_for_callers(Relation relation, const RelationInfo& info, uint64_t as_heap) {
  BrinIndexes indexes = pg::call([=] { return look_at_indexes(relation); });
  if (!indexes.any) return as_heap;
  if (!pg::any_open_query())
    return vacuum_summarizes || indexes.any_summarized_by_call ? settled_blocks(relation, info)
                                                               : as_heap;
  // The scan of an index is always a query's. So may ANALYZE or CREATE INDEX be, which are not to
  // get less than they get otherwise: they have a lock on the table. Of a table with wide rows,
  // that is many more blocks than there are to walk over.
  if (indexes.any_summarized_by_call) return blocks_below(info, end_of_versions(relation, info));
  uint64_t handed_out = pg::call([&] { return end_of_handed_out(info.table); });
  uint64_t end = handed_out > 0 ? handed_out : end_of_versions(relation, info);
  bool by_command =
      pg::call([=] { return CheckRelationLockedByMe(relation, ShareUpdateExclusiveLock, true); });
  return std::max(by_command ? as_heap : 0, blocks_below(info, end));
}

double walked_blocks(Relation relation) {
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(relation); });
  uint64_t handed_out = pg::call([&] { return end_of_handed_out(info.table); });
  uint64_t end = handed_out > 0 ? handed_out : end_of_versions(relation, info);
  return static_cast<double>(blocks_below(info, end));
}

IndexBulkDeleteResult* summarize_new_ranges(IndexVacuumInfo* info, IndexBulkDeleteResult* stats) {
  // For a deleted version, too: an error would be VACUUM's for as long as it is kept.
  if (may_raise_errors(BuildIndexInfo(info->index))) return stats;
  vacuum_summarizes = true;
  PG_TRY();
  { stats = index_vacuum_cleanup(info, stats); }
  PG_FINALLY();
  { vacuum_summarizes = false; }
  PG_END_TRY();
  return stats;
}

BrinRanges ranges_to_summarize(Relation index, const RelationInfo& info, BlockNumber start) {
  BrinStatsData stats;
  pg::call([&] { brinGetStats(index, &stats); });
  auto base = static_cast<uint64_t>(info.tid_base);
  uint64_t rows = uint64_t{stats.pagesPerRange} * kRowsPerBlock;
  if (!BlockNumberIsValid(start)) return {base, UINT64_MAX, rows};
  uint64_t first = base + uint64_t{start} * kRowsPerBlock, last = first + rows - 1;
  restore_prepared();
  for (const RunningInserts& running : running_inserts(info.table, first, last + 1)) {
    TransactionId xid = running.xid;
    pg::call([=] { XactLockTableWait(xid, nullptr, nullptr, XLTW_None); });
  }
  return {first, last, rows};
}

void serialize_summary(Relation index, void* state, BlockNumber start) {
  auto* summary = static_cast<Summary*>(state);
  if (summary->index != index || summary->start != start)
    elog(ERROR, "the summary of a range of index \"%s\" has an unknown form",
         RelationGetRelationName(index));
  MemoryContext old = MemoryContextSwitchTo(summary->values->bt_context);
  for (int i = 0; i < RelationGetNumberOfAttributes(index); ++i) {
    BrinValues& column = summary->values->bt_columns[i];
    if (!column.bv_serialize) continue;
    if (!column.bv_allnulls)
      column.bv_serialize(summary->description, column.bv_mem_value, column.bv_values);
    column.bv_serialize = nullptr;
  }
  MemoryContextSwitchTo(old);
}

void require_few_ranges(Relation index, const BrinRanges& ranges, uint64_t end) {
  if (end <= ranges.first || (end - ranges.first) / ranges.rows_per_range < kMostRanges) return;
  throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                     std::string("BRIN index \"") + RelationGetRelationName(index) +
                         "\" would have more than " + std::to_string(kMostRanges) + " ranges",
                     "Set a larger pages_per_range.");
}

void forget_redacted_summaries(Relation index, const RelationInfo& info) {
  const BrinRanges all = ranges_to_summarize(index, info, InvalidBlockNumber);
  if (!versioning::known_redacted_rows) return;
  std::optional<uint64_t> row = versioning::known_redacted_rows->at_or_after(all.first);
  while (row) {
    uint64_t range = (*row - all.first) / all.rows_per_range;
    auto block = static_cast<BlockNumber>(range * (all.rows_per_range / kRowsPerBlock));
    pg::call([=] {
      while (!brinRevmapDesummarizeRange(index, block)) CHECK_FOR_INTERRUPTS();
    });
    row =
        versioning::known_redacted_rows->at_or_after(all.first + (range + 1) * all.rows_per_range);
  }
}

}  // namespace datahike::am
