// ANALYZE's view of a table: its live rows, numbered, in slices that stand for blocks.
#pragma once

#include "am/fetch.h"

namespace datahike::am {

// Rows that lie together: a container of the tree, an unfolded run, or an own run.
struct Stretch {
  uint64_t first = 0;  // rowid of the first row, or of the container's bit 0
  uint64_t rows = 0;
  uint64_t before = 0;  // rows in the stretches before it
  bool container = false;
};

inline constexpr uint64_t kMostBlocks = 131071;  // one file segment: PostgreSQL prefetches blocks

struct Sample {
  TableView view;
  std::vector<Stretch> stretches;
  uint64_t rows = 0, blocks = 0;
  std::vector<uint64_t> slice;  // rowids of the slice at hand
  double weight = 1;            // live rows that each of them stands for
  size_t next = 0;
};
std::unique_ptr<Sample> make_sample(const TableView& view);
uint64_t count_rows(const TableView& view);  // live rows, own changes included
uint64_t blocks_for(uint64_t rows);
// The visible rowids of slice `block`; of more than `most` only every `*step`-th.
std::vector<uint64_t> slice_rows(const Sample& sample, uint64_t block, uint64_t most,
                                 uint64_t* step);

}  // namespace datahike::am
