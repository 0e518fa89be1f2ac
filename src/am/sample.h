// ANALYZE's view of a table: its live rows, numbered, in slices that stand for blocks.
#pragma once

#include "am/table_size.h"

namespace datahike::am {

// Rows that lie together: a container of the tree, an unfolded run, or an own run.
struct Stretch {
  uint64_t first = 0;  // rowid of the first row, or of the container's bit 0
  uint64_t rows = 0;
  uint64_t before = 0;  // rows in the stretches before it
  bool container = false;
};

struct Sample {
  TableView view;
  std::vector<Stretch> stretches;
  uint64_t rows = 0, blocks = 0, rows_per_block = 0;
  uint64_t seed = 0;            // of picks
  std::vector<uint64_t> slice;  // rowids of the slice at hand
  double weight = 1;            // live rows that each of them stands for
  size_t next = 0;
};
// The rows are dealt out to the blocks of `size` in their order, one block filled before the next.
std::unique_ptr<Sample> make_sample(const TableView& view, const TableSize& size);
uint64_t count_rows(const TableView& view);  // live rows, own changes included
// With those that this transaction has removed, which its scans pass over.
uint64_t count_rows_to_pass(const TableView& view);
// One row out of each of `picks` equal parts of the `count` rows from the first-th on: the rowid of
// the i-th. Where in its part it lies is left to chance, for a regular distance would meet a
// pattern in the data. REQUIRES: i < picks <= count. Deltas may have removed it.
uint64_t pick_row(const Sample& sample, uint64_t first, uint64_t count, uint64_t picks, uint64_t i);
// Makes the visible rows of a block the sample's slice: of more than `most` only so many picks.
void take_slice(Sample& sample, uint64_t block, uint64_t most);

}  // namespace datahike::am
