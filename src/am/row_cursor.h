// A cursor over the live rows of a table view, both ways: the rows of the tree in rowid order, then
// those of unfolded transactions, then this transaction's own.
#pragma once

#include "am/fetch.h"
#include "am/row_filter.h"
#include "versioning/present_runs.h"
#include "versioning/present_stored.h"

namespace datahike::am {

// Rows that the view's tree has and the view has not, ascending.
std::vector<uint64_t> removed_rows(const TableView& view);

class RowCursor {
 public:
  explicit RowCursor(const TableView& view) : view_(view), first_(view.floor) {
    view_.table->complete();
  }
  // Leaves out rows of the store that do not pass, from the next container on; nullptr: none.
  void set_filter(RowFilter* filter) { filter_ = filter; }
  // How many rows it has left out since the last call.
  uint64_t take_left_out() { return std::exchange(left_out_, 0); }
  // Only rowids first..last.
  void limit_to(uint64_t first, uint64_t last);
  void rewind();
  // Whether there is a visible row of another transaction below `rowid`, a multiple of 65536.
  // Rewinds.
  bool has_committed_below(uint64_t rowid);
  // A rowid at or above `rowid` with no visible row in between; nullopt: there is none any more.
  // Rewinds the cursor.
  std::optional<uint64_t> first_occupied(uint64_t rowid);
  // To the next or previous visible row; false at the end, from where the other way is open.
  bool step(bool forward);
  // Steps forward over so many visible rows; returns how many there were.
  uint64_t skip(uint64_t rows);
  uint64_t rowid() const { return rowid_; }
  // Puts the current row into the slot.
  void fetch(Relation relation, const RelationInfo& info, TupleTableSlot* slot);
  const TableView& view() const { return view_; }

 private:
  enum Phase { Before, Base, Overlay, Own, After };
  bool step_in_phase(bool forward);
  void enter(Phase phase, bool forward);
  bool step_base(bool forward);
  void enter_stored(bool forward);
  bool step_stored(bool forward);
  uint64_t skip_base(uint64_t rows);
  bool step_overlay(bool forward);
  bool step_own(bool forward);
  bool step_own_run(TablePending& own, bool forward);
  bool fetch_unfolded(Relation relation, const RelationInfo& info, TupleTableSlot* slot);
  bool load_container();
  int bit_before(uint64_t first) const;
  bool base_is_cleared() const;
  void leave_out();
  bool step_run(bool forward);
  bool is_removed(uint64_t rowid) const;
  bool in_range(uint64_t rowid) const { return rowid >= first_ && rowid <= last_; }

  TableView view_;
  uint64_t first_ = 0, last_ = UINT64_MAX;
  RowFilter* filter_ = nullptr;
  uint64_t left_out_ = 0;
  std::optional<std::vector<uint64_t>> removed_;  // removed_rows(), where they have been asked for
  Phase phase_ = Before;
  bool started_ = false;  // the first step begins at the end that it leads away from
  uint64_t rowid_ = 0;
  // Base: of a small table the rows, and how many are before the one looked at last (-1 before the
  // first).
  std::shared_ptr<versioning::PresentStored> stored_;
  int64_t stored_at_ = 0;
  // Else the container, and the bit looked at last (-1 before the first, 65536 behind the last).
  std::unique_ptr<tree::ContainerCursor> containers_;
  std::unique_ptr<tree::Container> container_;
  uint64_t high_ = 0;
  int bit_ = -1;
  store::SegmentReader segment_;
  bool has_segment_ = false;
  uint64_t generation_ = 0;
  // Overlay and own: the run, and the index looked at last in it.
  std::shared_ptr<versioning::PresentRuns> present_;
  size_t present_at_ = 0;
  bool has_run_ = false;
  uint64_t run_first_ = 0;
  int64_t index_ = 0;
};

}  // namespace datahike::am
