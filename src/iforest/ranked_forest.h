// A forest as kernels.h wants it: ranks in place of values, steps in place of nodes.
//
// A value takes part in comparisons only, so its rank among all thresholds of its feature decides
// them. It is searched for once among those of a group of trees, and mapped by a table to its rank
// among those of each part of the group: of so few trees that ranks there have 8 bits, which are
// compared twice as many at a time as 16. Trees with more than 256 leaves have ranks of 16 bits.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "iforest/kernels.h"
#include "iforest/model.h"

namespace datahike::iforest {

inline constexpr size_t kBlockRows = 1024;  // the most that are scored at once

// Of path lengths, by row.
struct Sums {
  double* sum;
  double* squares;  // nullptr: not asked for
};

struct RankMemory {
  std::vector<uint16_t> searched;
  std::vector<std::byte> ranks, stack;
  std::vector<const void*> columns;
  std::vector<uint8_t> missing;
};

class RankedForest {
 public:
  virtual ~RankedForest() = default;
  // Adds the path lengths of each tree, in their order, times its weight, if weights are given.
  // Rows as for Scorer::scores(), `rows` of them from `begin` on. REQUIRES: rows <= kBlockRows
  virtual void add(const Kernels& kernels, std::span<const double* const> columns, size_t begin,
                   size_t rows, const double* weights, RankMemory& memory,
                   const Sums& sums) const = 0;
  virtual size_t bytes() const = 0;
};

// nullptr for trees so large that to compute all their splits is more work than to walk.
std::unique_ptr<RankedForest> rank_forest(std::span<const Tree> trees, size_t features);

}  // namespace datahike::iforest
