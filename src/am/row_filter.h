// What a sequential scan leaves out before it makes rows: rows of the store that cannot be among
// the query's, by conditions that are tested by column. The scan's node tests all its conditions
// all the same.
#pragma once

#include "am/fetch.h"
#include "tree/live_set.h"

namespace datahike::am {

class RowFilter {
 public:
  virtual ~RowFilter() = default;
  // Live rows of a container below which rows are made and tested one by one: nothing is left out.
  static constexpr uint32_t kFewRows = 1024;
  // Takes rows out of `container`, which has rowids high << 16 .. high << 16 | 0xffff, of those
  // from `first` to `last` that do not pass. Raises no error of a value.
  // REQUIRES: in a guard.
  virtual void narrow(const TableView& view, uint64_t high, uint64_t first, uint64_t last,
                      tree::Container& container) = 0;
  // So many rows of the view have been left out.
  virtual void count(uint64_t rows) = 0;
};

// The scans that fill the slot go by the filter from now on. It must live as long as they do.
void set_row_filter(TupleTableSlot* slot, RowFilter* filter);
RowFilter* row_filter(const TupleTableSlot* slot);  // nullptr: none

}  // namespace datahike::am
