// Sizes for the planner, and ANALYZE.
#include <cmath>

#include "am/brin.h"
#include "am/callbacks.h"
#include "am/sample.h"
#include "am/scan.h"
#include "pg/bridge.h"

extern "C" {
#include "common/pg_prng.h"
#include "utils/pgstat_internal.h"
}

namespace datahike::am {

namespace {

// ANALYZE keeps 300 rows for each unit of the statistics target and looks at as many blocks. Rows
// beyond some times that many would be read to be thrown away.
constexpr uint64_t kKeptPerTarget = 300;
constexpr uint64_t kLookedAtPerKept = 4;

constexpr double kPagesOfNewTable = 10;  // as heap

TableView latest_view_of(const RelationInfo& info) {
  return latest_table_view(info, versioning::session_view().branch);
}

TableView view_of(const RelationInfo& info) {
  if (!ActiveSnapshotSet() || !IsMVCCSnapshot(GetActiveSnapshot())) return latest_view_of(info);
  // To count the versions is to look at all of them.
  if (versioning::session_view().history) return latest_view_of(info);
  return table_view(info, GetActiveSnapshot());
}

uint64_t rows_wanted_of_block(Relation relation, uint64_t blocks) {
  int target = std::max(1, default_statistics_target);
  TupleDesc desc = RelationGetDescr(relation);
  for (int i = 0; i < desc->natts; ++i)
    target = std::max(target, TupleDescAttr(desc, i)->attstattarget);
  uint64_t kept = kKeptPerTarget * static_cast<uint64_t>(target);
  return std::max<uint64_t>(1, kept * kLookedAtPerKept / std::min(blocks, kept));
}

}  // namespace

bool scan_analyze_next_block(TableScanDesc scan, BlockNumber block, BufferAccessStrategy) {
  return pg::guard([=] {
    ScanState* state = as_scan(scan)->state;
    Relation relation = scan->rs_rd;
    if (!state->sample) {
      const RelationInfo& info = relation_info(relation);
      // Statistics are those of the branch.
      TableView view = versioning::session_view().is_computed() ? latest_view_of(info)
                                                                : view_of_scan(scan, info);
      state->sample = make_sample(view, measure_table(view, relation, info));
      state->sample->seed = pg_prng_uint64(&pg_global_prng_state);
    }
    Sample& s = *state->sample;
    if (block >= s.blocks) return false;
    take_slice(s, block, rows_wanted_of_block(relation, s.blocks));
    return true;
  });
}

bool scan_analyze_next_tuple(TableScanDesc scan, TransactionId, double* liverows, double*,
                             TupleTableSlot* slot) {
  bool found = pg::guard([=] {
    Sample& s = *as_scan(scan)->state->sample;
    if (s.next == s.slice.size()) return false;
    const RelationInfo& info = relation_info(scan->rs_rd);
    if (!fetch_row(s.view, scan->rs_rd, info, s.slice[s.next++], slot))
      throw CorruptError(std::string("a live row of table ") +
                         RelationGetRelationName(scan->rs_rd) + " is missing in the store");
    *liverows += s.weight;
    return true;
  });
  if (!found) ExecClearTuple(slot);
  return found;
}

uint64 relation_size(Relation relation, ForkNumber fork) {
  if (fork != MAIN_FORKNUM && fork != InvalidForkNumber) return 0;
  if (is_rewrite_target(relation)) return 0;
  return pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    // What ANALYZE counts by.
    bool computed = versioning::session_view().is_computed();
    TableView view = computed ? latest_view_of(info) : view_of(info);
    uint64_t blocks = measure_table(view, relation, info).counted_blocks();
    return blocks_for_callers(relation, info, blocks) * BLCKSZ;
  });
}

namespace {

// Whether VACUUM has been at the table since the counters were last reset. Looked up beside the
// statistics' own snapshot, which a look from the planner must not fix for the transaction.
bool was_vacuumed(Relation relation) {
  if (relation->rd_rel->relallvisible > 0) return true;
  Oid database = relation->rd_rel->relisshared ? InvalidOid : MyDatabaseId;
  PgStat_EntryRef* entry = pgstat_get_entry_ref(PGSTAT_KIND_RELATION, database,
                                                RelationGetRelid(relation), false, nullptr);
  if (!entry || !entry->shared_stats) return false;
  const PgStat_StatTabEntry& counted =
      reinterpret_cast<PgStatShared_Relation*>(entry->shared_stats)->stats;
  return counted.vacuum_count > 0 || counted.autovac_vacuum_count > 0;
}

// As table_block_relation_estimate_size(), with the pages that heap would need. `visible` is the
// part of the pages whose rows an index-only scan gets without looking at them; here it looks at
// the view's bits alone in any case, and says so once heap would.
void estimate_as_heap(Relation relation, const TableSize& size, int32* widths, double* pages,
                      double* tuples, double* visible) {
  FormData_pg_class* known = relation->rd_rel;
  *pages = static_cast<double>(size.blocks());
  *tuples = *visible = 0;
  // PostgreSQL plans for a table that grows: plans are cached.
  if (*pages < kPagesOfNewTable && known->reltuples < 0 && !known->relhassubclass)
    *pages = kPagesOfNewTable;
  if (*pages == 0) return;
  bool counted = known->reltuples >= 0 && known->relpages > 0;
  if (counted && static_cast<uint64_t>(known->relpages) >= kMostBlocks) {
    *tuples = static_cast<double>(size.rows);
  } else if (counted) {
    *tuples = std::rint(known->reltuples / known->relpages * *pages);
  } else if (known->reltuples > 0) {
    // Set by hand, with pages by pg_relation_size(), which is 0: meant for the table as it is.
    *tuples = known->reltuples;
  } else {
    int32 width = get_rel_data_width(relation, widths);
    width += static_cast<int32>(MAXALIGN(SizeofHeapTupleHeader) + sizeof(ItemIdData));
    *tuples = *pages * ((BLCKSZ - static_cast<int32>(SizeOfPageHeaderData)) / width);
  }
  if (was_vacuumed(relation)) *visible = std::min(1.0, known->relpages / *pages);
}

}  // namespace

void estimate_for_planner(const TableView& view, Relation relation, const RelationInfo& info,
                          int32* widths, BlockNumber* pages, double* tuples, double* all_visible) {
  TableSize size = estimate_table(view, relation, info);
  double blocks = 0;
  pg::call([&] { estimate_as_heap(relation, size, widths, &blocks, tuples, all_visible); });
  *pages = static_cast<BlockNumber>(std::min(blocks, 4e9));
}

void relation_estimate_size(Relation relation, int32* widths, BlockNumber* pages, double* tuples,
                            double* all_visible) {
  pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    estimate_for_planner(view_of(info), relation, info, widths, pages, tuples, all_visible);
  });
}

}  // namespace datahike::am
