// Scores rows with a forest: made once from a model, then used by any number of threads. Results
// are the same to the bit on every instruction set, in batches of any size.
//
// Two ways of finding the leaves:
//   ranks   A value is replaced by how many of the forest's thresholds of its feature are not
//           greater, found by binary search once for all trees. Comparisons with ranks decide as
//           those with the values do, for many rows per vector; a tree is computed from its leaves
//           upwards, without gathers or branches that depend on rows (ranked_forest.h).
//   walk    From the root downwards with the values themselves, several trees at a time: for a few
//           rows, and for trees so large that to compute all their splits is more work.
#pragma once

#include <memory>
#include <span>

#include "iforest/kernels.h"
#include "iforest/model.h"

namespace datahike::iforest {

class RankedForest;
struct Sums;

// What a thread needs while it scores.
class Scratch {
 public:
  Scratch();
  ~Scratch();

 private:
  friend class Scorer;
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

class Scorer {
 public:
  explicit Scorer(const Model& model);
  ~Scorer();

  size_t features() const { return features_; }
  // Of rows given as columns of doubles, NaN where a value is missing.
  void scores(std::span<const double* const> columns, size_t rows, Scratch& scratch,
              double* out) const;
  // Trees weigh decay^age; age = rotations since the tree was grown.
  void weighted_scores(std::span<const double* const> columns, size_t rows, double decay,
                       Scratch& scratch, double* out) const;
  // 1 / (1 + coefficient of variation of the path lengths).
  void confidences(std::span<const double* const> columns, size_t rows, Scratch& scratch,
                   double* out) const;
  // One row, given as its values. What scores() and the others give.
  double score(const double* row) const;
  double weighted_score(const double* row, double decay) const;
  double confidence(const double* row) const;
  // Share of the way from the least to the greatest score of training, if the model has a
  // contamination, else the score itself.
  double probability(double score) const;

  // For tests: with the kernels of one instruction set; nullptr: walk only.
  void use_kernels(const Kernels* kernels) { kernels_ = kernels; }
  size_t bytes() const;

 private:
  struct Walk;
  void add_block(std::span<const double* const> columns, size_t begin, size_t rows,
                 const double* weights, Scratch& scratch, const Sums& sums) const;
  template <class Value, class Add>
  void walk(Value value, Add add) const;
  template <bool kMissing, class Value, class Add>
  void walk_trees(Value value, Add add) const;
  std::vector<double> weights(double decay) const;
  double score_of(double sum, double weight, double normal) const;
  double confidence_of(double sum, double squares) const;

  size_t features_;
  double least_, greatest_;
  bool has_range_;
  std::vector<double> normal_;  // c() of each tree's sample
  std::vector<uint32_t> age_;
  double mean_normal_;
  // Whether some tree has a split. Where none has, all training rows were equal: paths are then as
  // long as the mean of those of samples of their size, which sums of them need not be.
  bool splits_ = false;
  bool same_normal_;                      // all trees' samples had one size
  std::unique_ptr<RankedForest> ranked_;  // nullptr: the trees are too large
  std::unique_ptr<Walk> walk_;
  const Kernels* kernels_;
};

}  // namespace datahike::iforest
