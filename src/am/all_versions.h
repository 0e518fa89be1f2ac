// Every row version of a table, each once: what an index has entries for.
#pragma once

#include "am/fetch.h"
#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/log.h"
#include "pg/store.h"
#include "versioning/collected.h"
#include "versioning/redacted.h"

namespace datahike::am {

// The row versions at or above the table's floor and horizon: in the store, in the logs of all
// branches, and of this transaction. A fold may move rows from the log to the store meanwhile: rows
// of the log that are met in the store are remembered and not visited again.
class AllVersions {
  // Index expressions may run queries, at whose start unused views would be let go of.
  struct InUse {
    InUse() { versioning::begin_using_views(); }
    ~InUse() { versioning::end_using_views(); }
  } in_use_;

 public:
  // snapshot: what the branches are looked at with; nullptr = the newest state. Rows that it does
  // not see are visited where they are in the store.
  AllVersions(Relation table, const RelationInfo& info, Snapshot snapshot);

  // Visits the versions with rowids first..last: visit(rowid) finds the row in the slot.
  template <class Visit>
  uint64_t run(uint64_t first, uint64_t last, TupleTableSlot* slot, Visit&& visit) {
    first_ = std::max({first, info_.horizon, info_.floor});
    last_ = last;
    met_in_store_.clear();
    uint64_t n = visit_store(slot, visit);
    for (const TableView& view : views_) n += visit_log(view, slot, visit);
    for (const TableView& view : views_) n += visit_own(view, slot, visit);
    return n;
  }
  // A rowid at or above `rowid` with no version in store and logs in between; nullopt: there is
  // none any more.
  std::optional<uint64_t> first_version(uint64_t rowid);

  // Behind the last version that there is.
  uint64_t end();

  const std::vector<TableView>& branches() const { return views_; }

 private:
  static versioning::AddedRuns::iterator first_run_with(versioning::TableOverlay& table,
                                                        uint64_t rowid);
  bool in_some_log(uint64_t rowid) const;
  versioning::FoundRow row_in_store(store::Environment& env, uint64_t rowid);

  template <class Visit>
  uint64_t visit_store(TupleTableSlot* slot, Visit& visit) {
    store::Environment* env = pg::try_store();
    if (!env) return 0;
    uint64_t n = 0, from = first_;
    for (;;) {
      std::optional<store::SegmentReader> segment = env->segment_at_or_after(info_.table, from);
      if (!segment || segment->first_rowid() > last_) return n;
      uint64_t first = segment->first_rowid(), last = std::min(segment->last_rowid(), last_);
      const std::vector<uint64_t> holes = segment->holes();
      for (uint64_t rowid = std::max(first, from); rowid <= last; ++rowid) {
        if (!holes.empty() && (holes[(rowid - first) / 64] >> (rowid - first) % 64 & 1)) continue;
        ++n;
        if (in_some_log(rowid)) met_in_store_.insert(rowid);
        if (versioning::is_redacted(rowid) || versioning::is_dead_for_all(info_.table, rowid))
          continue;
        // The visit may run SQL functions, which may renew the map.
        versioning::FoundRow row = row_in_store(*env, rowid);
        store_row(slot, rowid, row.segment, row.row, true);
        visit(rowid);
      }
      if (last == last_) return n;
      from = last + 1;
      pg::call([] { CHECK_FOR_INTERRUPTS(); });
    }
  }

  template <class Visit>
  uint64_t visit_log(const TableView& view, TupleTableSlot* slot, Visit& visit) {
    uint64_t n = 0;
    auto& added = view.table->added;
    for (auto at = first_run_with(*view.table, first_); at != added.end(); ++at) {
      const auto& [first, run] = *at;
      if (first > last_) break;
      if (!run.transaction || run.sequence > view.view.limit) continue;
      uint64_t end = std::min(first + run.rows - 1, last_);
      for (uint64_t rowid = std::max(first, first_); rowid <= end; ++rowid) {
        if (met_in_store_.count(rowid) || versioning::is_redacted(rowid)) continue;
        versioning::FoundRow row = versioning::load_row(run, info_.table, rowid);
        store_row(slot, rowid, row.segment, row.row, row.in_store);
        visit(rowid);
        if (++n % 1024 == 0) pg::call([] { CHECK_FOR_INTERRUPTS(); });
      }
    }
    return n;
  }

  // Own rows, those removed again too: a rollback to a savepoint may bring them back.
  template <class Visit>
  uint64_t visit_own(const TableView& view, TupleTableSlot* slot, Visit& visit) {
    TablePending* own = view.pending();
    if (!own) return 0;
    uint64_t n = 0;
    for (const auto& [first, run] : own->runs)
      for (uint64_t i = 0; i < run.count; ++i) {
        if (first + i < first_ || first + i > last_) continue;
        fetch_row(view, table_, info_, first + i, slot);
        visit(first + i);
        ++n;
      }
    return n;
  }

  void store_row(TupleTableSlot* slot, uint64_t rowid, const store::SegmentReader& segment,
                 uint32_t row, bool in_store) {
    store_segment_row(slot, table_, info_, rowid, segment, row, in_store);
  }

  Relation table_;
  const RelationInfo& info_;
  uint64_t first_ = 0, last_ = UINT64_MAX;
  std::vector<TableView> views_;
  std::unordered_set<uint64_t> met_in_store_;
  store::SegmentReader segment_;
  uint64_t generation_ = UINT64_MAX;
};

// Behind the last row that the view has outside the store.
uint64_t end_of_unfolded_rows(const TableView& view);

}  // namespace datahike::am
