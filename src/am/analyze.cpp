// Sizes for the planner, ANALYZE and VACUUM.
#include "am/callbacks.h"
#include "am/sample.h"
#include "am/scan.h"
#include "pg/bridge.h"
#include "pg/worker.h"

namespace datahike::am {

namespace {

constexpr uint64_t kAnalyzedRows = 300;  // of a slice, which stands for a block

uint64_t latest_rows_of(const RelationInfo& info) {
  return count_rows(latest_table_view(info, versioning::session_view().branch));
}

uint64_t rows_of(const RelationInfo& info) {
  if (!ActiveSnapshotSet() || !IsMVCCSnapshot(GetActiveSnapshot())) return latest_rows_of(info);
  return count_rows(table_view(info, GetActiveSnapshot()));
}

}  // namespace

bool scan_analyze_next_block(TableScanDesc scan, BlockNumber block, BufferAccessStrategy) {
  return pg::guard([=] {
    ScanState* state = as_scan(scan)->state;
    if (!state->sample) state->sample = make_sample(view_of_scan(scan, relation_info(scan->rs_rd)));
    Sample& s = *state->sample;
    s.slice.clear();
    s.next = 0;
    if (block >= s.blocks) return false;
    uint64_t step;
    s.slice = slice_rows(s, block, kAnalyzedRows, &step);
    s.weight = static_cast<double>(step);
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
  return pg::guard([=] { return blocks_for(rows_of(relation_info(relation))) * BLCKSZ; });
}

void relation_estimate_size(Relation relation, int32* widths, BlockNumber* pages, double* tuples,
                            double* all_visible) {
  pg::guard([=] {
    uint64_t rows = rows_of(relation_info(relation));
    *tuples = static_cast<double>(rows);
    int32 width = pg::call([=] { return get_rel_data_width(relation, widths); });
    // What a sequential scan costs: bytes of the rows, in blocks.
    double bytes = static_cast<double>(rows) * std::max(width, 8);
    *pages = static_cast<BlockNumber>(std::min(bytes / BLCKSZ + 1, 4e9));
    *all_visible = 0;
  });
}

// Nothing here is removed by VACUUM in this version: history is kept. It brings the log into the
// store and PostgreSQL's statistics up to date. The active snapshot may have been taken before a
// long wait for the table's lock, and the purge of the log does not spare the snapshots of VACUUM
// (PROC_IN_VACUUM): what that snapshot would read may be gone.
void relation_vacuum(Relation relation, VacuumParams*, BufferAccessStrategy) {
  uint64_t rows = pg::guard([=] { return latest_rows_of(relation_info(relation)); });
  pg::wake_worker();
  auto pages = static_cast<BlockNumber>(blocks_for(rows));
  vac_update_relstats(relation, pages, static_cast<double>(rows), 0, relation->rd_rel->relhasindex,
                      RecentXmin, GetOldestMultiXactId(), nullptr, nullptr, false);
  pgstat_report_vacuum(RelationGetRelid(relation), relation->rd_rel->relisshared,
                       static_cast<PgStat_Counter>(rows), 0);
}

}  // namespace datahike::am
