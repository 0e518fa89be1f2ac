// Sequential, bitmap and TID range scans.
#include "am/scan.h"

#include "am/callbacks.h"
#include "am/horizon.h"
#include "am/parallel_scan.h"
#include "am/rewrite.h"
#include "am/sample.h"
#include "am/serializable.h"
#include "am/slot.h"
#include "pg/bridge.h"

namespace datahike::am {

namespace {

// Every open scan, by the resource owner that holds its reference to the relation. An error skips
// scan_end: the state goes with the reference.
std::set<std::pair<ResourceOwner, ScanState*>> open_scans;

constexpr size_t kMostSliceOffsets = 65534;

RowCursor& cursor_of(TableScanDesc scan, const RelationInfo& info) {
  ScanState* state = as_scan(scan)->state;
  if (!state->cursor) {
    state->cursor = std::make_unique<RowCursor>(view_of_scan(scan, info));
    if (!(scan->rs_flags & SO_TYPE_BITMAPSCAN))
      serializable_scan(scan->rs_rd, state->cursor->view(), scan->rs_snapshot);
  }
  return *state->cursor;
}

// The counters of pg_stat_user_tables, and those of pg_statio_user_tables in blocks as heap would
// have them (table_size.h), none of which is ever read from a disk here.
void count_row(TableScanDesc scan) {
  Relation relation = scan->rs_rd;
  pgstat_count_heap_getnext(relation);
  ScanState* state = as_scan(scan)->state;
  FormData_pg_class* known = relation->rd_rel;
  if (state->rows_left_of_block == 0) {
    bool counted = known->relpages > 0 && known->reltuples > 0;
    float rows = counted ? known->reltuples / static_cast<float>(known->relpages) : kRowsPerBlock;
    state->rows_left_of_block = static_cast<uint32_t>(std::clamp<float>(rows, 1, kRowsPerBlock));
    pgstat_count_buffer_read(relation);
    pgstat_count_buffer_hit(relation);
  }
  --state->rows_left_of_block;
}

// Leader and workers have been given the same view, or rows would be missed or met twice.
void check_view(const ParallelScan& shared, const RowCursor& cursor) {
  const versioning::View& view = cursor.view().view;
  if (view.branch != shared.branch || view.pinned != shared.pinned)
    throw Error("a parallel worker reads branch " + std::to_string(view.branch) + ", its leader " +
                std::to_string(shared.branch));
}

bool step_shared(ScanState& state, RowCursor& cursor, ParallelScan& shared) {
  for (;;) {
    if (state.has_stretch && cursor.step(true)) return true;
    if (!state.has_stretch) check_view(shared, cursor);
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
    auto stretch = take_stretch(shared, [&](uint64_t from) { return cursor.first_occupied(from); });
    state.has_stretch = stretch.has_value();
    if (!stretch) return false;
    cursor.limit_to(stretch->first, stretch->last);
  }
}

bool next_row(TableScanDesc scan, ScanDirection direction, TupleTableSlot* slot) {
  Snapshot snapshot = scan->rs_snapshot;
  if (snapshot && snapshot->snapshot_type == SNAPSHOT_DIRTY) {
    snapshot->xmin = snapshot->xmax = InvalidTransactionId;
    snapshot->speculativeToken = 0;
  }
  bool found = pg::guard([=] {
    ScanState* state = as_scan(scan)->state;
    if (OidIsValid(state->rewrite))
      return next_row_to_rewrite(state->rewrite, scan->rs_rd, snapshot, state->cursor, slot);
    const RelationInfo& info = relation_info(scan->rs_rd);
    RowCursor& cursor = cursor_of(scan, info);
    cursor.set_filter(row_filter(slot));
    ParallelScan* shared = parallel_scan_of(scan);
    bool row = shared ? step_shared(*state, cursor, *shared)
                      : cursor.step(!ScanDirectionIsBackward(direction));
    if (uint64_t left_out = cursor.take_left_out(); left_out > 0) count_batch_rows(scan, left_out);
    if (!row) return false;
    cursor.fetch(scan->rs_rd, info, slot);
    return true;
  });
  if (!found)
    ExecClearTuple(slot);
  else
    count_row(scan);
  return found;
}

}  // namespace

ScanState::ScanState() = default;
ScanState::~ScanState() = default;

TableView view_of_scan(TableScanDesc scan, const RelationInfo& info) {
  if (scan->rs_snapshot) return table_view(info, scan->rs_snapshot);
  if (ActiveSnapshotSet()) return table_view(info, GetActiveSnapshot());
  return latest_table_view(info, versioning::session_view().branch);
}

TableView begin_batch_scan(TableScanDesc scan, const RelationInfo& info) {
  TableView view = view_of_scan(scan, info);
  serializable_scan(scan->rs_rd, view, scan->rs_snapshot);
  return view;
}

void count_batch_rows(TableScanDesc scan, uint64_t rows) {
  Relation relation = scan->rs_rd;
  if (!pgstat_should_count_relation(relation)) return;
  uint64_t blocks = (rows + kRowsPerBlock - 1) / kRowsPerBlock;
  relation->pgstat_info->t_counts.t_tuples_returned += static_cast<PgStat_Counter>(rows);
  relation->pgstat_info->t_counts.t_blocks_fetched += static_cast<PgStat_Counter>(blocks);
  relation->pgstat_info->t_counts.t_blocks_hit += static_cast<PgStat_Counter>(blocks);
}

uint64_t skip_rows(TableScanDesc scan, uint64_t rows) {
  return pg::guard([=] { return cursor_of(scan, relation_info(scan->rs_rd)).skip(rows); });
}

void attach_to_scan(TableScanDesc scan, std::shared_ptr<void> object) {
  as_scan(scan)->state->attached = std::move(object);
}

TableScanDesc scan_begin(Relation relation, Snapshot snapshot, int nkeys, ScanKeyData*,
                         ParallelTableScanDesc parallel, uint32 flags) {
  if (nkeys > 0) not_supported("scans with scan keys", "Use a query with a WHERE clause.");
  auto* scan = static_cast<Scan*>(palloc0(sizeof(Scan)));
  scan->base.rs_rd = relation;
  scan->base.rs_snapshot = snapshot;
  scan->base.rs_flags = flags;
  scan->base.rs_parallel = parallel;
  RelationIncrementReferenceCount(relation);
  pg::guard([=] {
    auto state = std::make_unique<ScanState>();
    scan->owner = CurrentResourceOwner;
    open_scans.insert({scan->owner, state.get()});
    scan->state = state.release();
    versioning::begin_using_views();
    if ((flags & SO_TYPE_SEQSCAN) && !parallel) scan->state->rewrite = take_rewrite(relation);
  });
  if (flags & SO_TYPE_SEQSCAN) pgstat_count_heap_scan(relation);
  return &scan->base;
}

void scan_end(TableScanDesc scan) {
  pg::guard([=] {
    const Scan* s = as_scan(scan);
    // Without its owner it is PostgreSQL's to complain, as it does below.
    if (open_scans.erase({s->owner, s->state}) == 0) return;
    delete s->state;
    versioning::end_using_views();
  });
  RelationDecrementReferenceCount(scan->rs_rd);
  if (scan->rs_flags & SO_TEMP_SNAPSHOT) UnregisterSnapshot(scan->rs_snapshot);
  pfree(scan);
}

void free_scans_of(ResourceOwner owner) {
  auto at = open_scans.lower_bound({owner, nullptr});
  while (at != open_scans.end() && at->first == owner) {
    delete at->second;
    at = open_scans.erase(at);
    versioning::end_using_views();
  }
}

void free_scans() {
  for (auto& [owner, state] : open_scans) delete state;
  open_scans.clear();
}

void scan_rescan(TableScanDesc scan, ScanKeyData*, bool, bool, bool, bool) {
  pg::guard([=] {
    ScanState* state = as_scan(scan)->state;
    state->bitmap_rows.clear();
    state->bitmap_next = 0;
    state->bitmap_looked_from = state->bitmap_occupied = 0;
    state->sample.reset();
    state->has_stretch = false;
    if (!state->cursor) return;
    // The same snapshot sees the same rows, but for own changes of commands since.
    bool fixed = scan->rs_snapshot && scan->rs_snapshot->snapshot_type == SNAPSHOT_MVCC &&
                 scan->rs_snapshot->curcid == state->cursor->view().command;
    if (fixed)
      state->cursor->limit_to(0, UINT64_MAX);
    else
      state->cursor.reset();
  });
}

bool scan_getnextslot(TableScanDesc scan, ScanDirection direction, TupleTableSlot* slot) {
  return next_row(scan, direction, slot);
}

void scan_set_tidrange(TableScanDesc scan, ItemPointer min, ItemPointer max) {
  pg::guard([=] {
    // Offsets outside 1..291 lie between two blocks' rows.
    const RelationInfo& info = relation_info(scan->rs_rd);
    auto base = static_cast<int64_t>(info.tid_base);
    auto bound = [=](const ItemPointerData& tid, bool lower) -> int64_t {
      auto block = static_cast<int64_t>(ItemPointerGetBlockNumberNoCheck(&tid));
      auto offset = static_cast<int64_t>(ItemPointerGetOffsetNumberNoCheck(&tid));
      auto rows = static_cast<int64_t>(kRowsPerBlock);
      if (lower) return base + block * rows + std::clamp<int64_t>(offset, 1, rows + 1) - 1;
      return base + block * rows + std::clamp<int64_t>(offset, 0, rows) - 1;
    };
    int64_t first = bound(*min, true), last = bound(*max, false);
    RowCursor& cursor = cursor_of(scan, info);
    if (last < first)
      cursor.limit_to(1, 0);
    else
      cursor.limit_to(static_cast<uint64_t>(first), static_cast<uint64_t>(last));
  });
}

bool scan_getnextslot_tidrange(TableScanDesc scan, ScanDirection direction, TupleTableSlot* slot) {
  return next_row(scan, direction, slot);
}

namespace {

// A BRIN index has other tables' blocks looked at, many in a row. Under SERIALIZABLE also those of
// rows that are not visible count.
bool has_no_row(ScanState& state, uint64_t block) {
  if (IsolationIsSerializable() || state.cursor->view().pending()) return false;
  if (block < state.bitmap_looked_from || block > state.bitmap_occupied) {
    state.bitmap_looked_from = block;
    state.bitmap_occupied = state.cursor->first_occupied(block).value_or(UINT64_MAX);
  }
  return block + kRowsPerBlock <= state.bitmap_occupied;
}

}  // namespace

bool scan_bitmap_next_block(TableScanDesc scan, TBMIterateResult* result) {
  return pg::guard([=] {
    const RelationInfo& info = relation_info(scan->rs_rd);
    ScanState* state = as_scan(scan)->state;
    bool begins = !state->cursor;
    const TableView& view = cursor_of(scan, info).view();
    if (begins) refuse_index(scan->rs_rd, view, info);
    state->bitmap_rows.clear();
    state->bitmap_next = 0;
    uint64_t block =
        static_cast<uint64_t>(info.tid_base) + uint64_t{result->blockno} * kRowsPerBlock;
    bool lossy = result->ntuples < 0;
    if (lossy && has_no_row(*state, block)) return false;
    int count = lossy ? static_cast<int>(kRowsPerBlock) : result->ntuples;
    for (int i = 0; i < count; ++i) {
      uint64_t rowid = block + (lossy ? static_cast<uint64_t>(i) : result->offsets[i] - 1u);
      bool visible = view.sees(rowid);
      serializable_fetch(scan->rs_rd, view, scan->rs_snapshot, rowid, visible);
      if (visible) state->bitmap_rows.push_back(rowid);
    }
    return !state->bitmap_rows.empty();
  });
}

bool scan_bitmap_next_tuple(TableScanDesc scan, TBMIterateResult*, TupleTableSlot* slot) {
  bool found = pg::guard([=] {
    ScanState* state = as_scan(scan)->state;
    if (state->bitmap_next == state->bitmap_rows.size()) return false;
    const RelationInfo& info = relation_info(scan->rs_rd);
    uint64_t rowid = state->bitmap_rows[state->bitmap_next++];
    return fetch_row(cursor_of(scan, info).view(), scan->rs_rd, info, rowid, slot);
  });
  if (found) pgstat_count_heap_fetch(scan->rs_rd);
  return found;
}

// TABLESAMPLE sees the table as ANALYZE does: slices of live rows stand for blocks.
bool scan_sample_next_block(TableScanDesc scan, SampleScanState* node) {
  return pg::guard([=] {
    ScanState* state = as_scan(scan)->state;
    if (!state->sample) {
      const RelationInfo& info = relation_info(scan->rs_rd);
      TableView view = view_of_scan(scan, info);
      view.table->complete();
      state->sample = make_sample(view, measure_table(view, scan->rs_rd, info));
      serializable_scan(scan->rs_rd, state->sample->view, scan->rs_snapshot);
      state->next_block = 0;
    }
    Sample& s = *state->sample;
    auto blocks = static_cast<BlockNumber>(s.blocks);
    BlockNumber block;
    if (node->tsmroutine->NextSampleBlock)
      block = pg::call([=] { return node->tsmroutine->NextSampleBlock(node, blocks); });
    else
      block = state->next_block < blocks ? state->next_block++ : InvalidBlockNumber;
    if (!BlockNumberIsValid(block)) return false;
    take_slice(s, block, UINT64_MAX);
    s.next = block;
    return true;
  });
}

bool scan_sample_next_tuple(TableScanDesc scan, SampleScanState* node, TupleTableSlot* slot) {
  bool found = pg::guard([=] {
    Sample& s = *as_scan(scan)->state->sample;
    auto rows = static_cast<OffsetNumber>(std::min<size_t>(s.slice.size(), kMostSliceOffsets));
    auto block = static_cast<BlockNumber>(s.next);
    OffsetNumber offset =
        pg::call([=] { return node->tsmroutine->NextSampleTuple(node, block, rows); });
    if (!OffsetNumberIsValid(offset) || offset > rows) return false;
    const RelationInfo& info = relation_info(scan->rs_rd);
    return fetch_row(s.view, scan->rs_rd, info, s.slice[offset - 1u], slot);
  });
  if (!found) ExecClearTuple(slot);
  return found;
}

}  // namespace datahike::am
