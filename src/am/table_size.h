// How many of PostgreSQL's blocks a table's rows would fill on heap: the live ones, and those that
// this transaction has removed, for its scans pass over them as over heap's pages. PostgreSQL's
// planner weighs pages against rows, and ANALYZE and TABLESAMPLE draw blocks; rows here lie in no
// blocks, so the size that makes plans and samples comparable is the one heap would have.
#pragma once

#include "am/fetch.h"

namespace datahike::am {

inline constexpr uint64_t kMostBlocks = 131071;  // one file segment: PostgreSQL prefetches blocks

struct TableSize {
  uint64_t rows = 0;
  uint64_t rows_per_block = 1;
  uint64_t blocks() const { return (rows + rows_per_block - 1) / rows_per_block; }
  // Blocks as PostgreSQL may count them: beyond the limit a block stands for more rows.
  uint64_t counted_blocks() const { return std::min(blocks(), kMostBlocks); }
};

// Weighs a sample of the rows: some hundred microseconds at most. May raise a PostgreSQL error.
TableSize measure_table(const TableView& view, Relation relation, const RelationInfo& info);
// The same, but remembers how wide the rows are while their number stays about the same.
TableSize estimate_table(const TableView& view, Relation relation, const RelationInfo& info);

// What table_relation_estimate_size() says of a view.
void estimate_for_planner(const TableView& view, Relation relation, const RelationInfo& info,
                          int32* widths, BlockNumber* pages, double* tuples, double* all_visible);

}  // namespace datahike::am
