#include "iforest/scorer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "iforest/arithmetic.h"
#include "iforest/ranked_forest.h"

namespace datahike::iforest {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Fewer rows than these are walked: a block of ranks is of use for all its rows.
constexpr size_t kFewRows = 20;
constexpr size_t kWalks = 16;  // trees walked at once

}  // namespace

// Trees for walking: a leaf leads to itself, so that all rows take as many steps. A node is named
// by a word that has all that is asked of it before it is read:
//   its number in the tree (20 bits), whether missing values go left (1), its feature (11)
struct Scorer::Walk {
  struct Flat {
    double split;       // of a leaf: its path length
    uint32_t child[2];  // right, left
  };
  struct Flats {
    size_t first, depth;
    uint32_t root;
  };
  static_assert(kMostFeatures < 2048 && 2 * kMostSample < 1 << 20);
  std::vector<Flat> nodes;
  std::vector<Flats> trees;

  static uint32_t word(const Tree& tree, uint32_t number) {
    const Node& node = tree.nodes[number];
    const uint32_t feature = node.feature < 0 ? 0 : static_cast<uint32_t>(node.feature);
    return number | uint32_t{node.missing_left} << 20 | feature << 21;
  }
  static uint32_t number(uint32_t word) { return word & 0xfffff; }
  static bool missing_left(uint32_t word) { return word >> 20 & 1; }
  static uint32_t feature(uint32_t word) { return word >> 21; }

  void add(const Tree& tree) {
    Flats flats{nodes.size(), 0, word(tree, 0)};
    std::vector<unsigned> level(tree.nodes.size(), 0);
    for (uint32_t i = 0; i < tree.nodes.size(); ++i) {
      const Node& node = tree.nodes[i];
      flats.depth = std::max<size_t>(flats.depth, level[i]);
      if (node.feature < 0) {
        nodes.push_back({level[i] + average_path(node.size), {word(tree, i), word(tree, i)}});
        continue;
      }
      level[i + 1] = level[node.right] = level[i] + 1;
      nodes.push_back({node.split, {word(tree, node.right), word(tree, i + 1)}});
    }
    trees.push_back(flats);
  }
};

struct Scratch::Memory {
  RankMemory ranks;
  double sum[kBlockRows], squares[kBlockRows];
};

Scratch::Scratch() : memory_(std::make_unique<Memory>()) {}
Scratch::~Scratch() = default;

namespace {

bool all_same(std::span<const double> normal) {
  return std::all_of(normal.begin(), normal.end(), [&](double c) { return c == normal.front(); });
}

// Of trees whose samples had different sizes, the mean.
double mean_normal(std::span<const double> normal, const double* weights) {
  if (all_same(normal)) return normal.front();
  double sum = 0, weight = 0;
  for (size_t i = 0; i < normal.size(); ++i) {
    const double w = weights ? weights[i] : 1;
    sum += w * normal[i];
    weight += w;
  }
  return sum / weight;
}

}  // namespace

Scorer::Scorer(const Model& model)
    : features_(model.features.size()),
      least_(model.least),
      greatest_(model.greatest),
      has_range_(model.contamination.has_value()),
      walk_(std::make_unique<Walk>()),
      kernels_(&kernels()) {
  for (const Tree& tree : model.trees) {
    walk_->add(tree);
    normal_.push_back(average_path(tree.sample));
    age_.push_back(model.generation - tree.generation);
    splits_ |= tree.nodes.front().feature >= 0;
  }
  mean_normal_ = mean_normal(normal_, nullptr);
  same_normal_ = all_same(normal_);
  ranked_ = rank_forest(model.trees, features_);
}

Scorer::~Scorer() = default;

size_t Scorer::bytes() const {
  return walk_->nodes.size() * sizeof(Walk::Flat) + (ranked_ ? ranked_->bytes() : 0);
}

// The path length of each tree, in their order, of the row whose feature f is value(f). Without a
// branch that depends on the row.
template <bool kMissing, class Value, class Add>
void Scorer::walk_trees(Value value, Add add) const {
  const Walk::Flat* nodes = walk_->nodes.data();
  const auto& trees = walk_->trees;
  for (size_t begin = 0; begin < trees.size(); begin += kWalks) {
    const size_t count = std::min(kWalks, trees.size() - begin);
    std::array<const Walk::Flat*, kWalks> base;
    std::array<uint32_t, kWalks> at;
    size_t depth = 0;
    for (size_t k = 0; k < kWalks; ++k) {
      const Walk::Flats& tree = trees[begin + std::min(k, count - 1)];
      base[k] = nodes + tree.first;
      at[k] = tree.root;
      depth = std::max(depth, tree.depth);
    }
    for (size_t level = 0; level < depth; ++level)
      for (size_t k = 0; k < kWalks; ++k) {
        const Walk::Flat& node = base[k][Walk::number(at[k])];
        const double v = value(Walk::feature(at[k]));
        size_t left = v < node.split;
        if constexpr (kMissing) left |= static_cast<size_t>(v != v) & Walk::missing_left(at[k]);
        at[k] = node.child[left];
      }
    for (size_t k = 0; k < count; ++k) add(base[k][Walk::number(at[k])].split);
  }
}

template <class Value, class Add>
void Scorer::walk(Value value, Add add) const {
  bool missing = false;
  for (size_t f = 0; f < features_; ++f) missing |= std::isnan(value(f));
  if (missing)
    walk_trees<true>(value, add);
  else
    walk_trees<false>(value, add);
}

void Scorer::add_block(std::span<const double* const> columns, size_t begin, size_t rows,
                       const double* weights, Scratch& scratch, const Sums& sums) const {
  std::fill_n(sums.sum, rows, 0.0);
  if (sums.squares) std::fill_n(sums.squares, rows, 0.0);
  if (ranked_ && kernels_ && rows >= kFewRows)
    return ranked_->add(*kernels_, columns, begin, rows, weights, scratch.memory_->ranks, sums);
  for (size_t i = 0; i < rows; ++i) {
    double sum = 0, squares = 0;
    const double* weight = weights;
    walk([&](size_t f) { return columns[f][begin + i]; },
         [&](double length) {
           if (weight) return void(sum += *weight++ * length);
           sum += length;
           squares += length * length;
         });
    sums.sum[i] = sum;
    if (sums.squares) sums.squares[i] = squares;
  }
}

std::vector<double> Scorer::weights(double decay) const {
  std::vector<double> all;
  for (const uint32_t age : age_) {
    double w = 1, power = decay;  // decay to the power of the age, by squares
    for (uint32_t left = age; left > 0; left /= 2, power *= power)
      if (left % 2 != 0) w *= power;
    all.push_back(w);
  }
  return all;
}

double Scorer::score_of(double sum, double weight, double normal) const {
  if (normal == 0 || !splits_) return 0.5;  // trees of a single row, or of equal ones
  return power_of_two(-(sum / weight / normal));
}

double Scorer::confidence_of(double sum, double squares) const {
  const auto trees = static_cast<double>(walk_->trees.size());
  const double mean = sum / trees;
  if (mean == 0 || (!splits_ && same_normal_)) return 1;
  const double variance = std::max(0.0, squares / trees - mean * mean);
  return 1 / (1 + std::sqrt(variance) / mean);
}

double Scorer::probability(double score) const {
  if (!has_range_) return score;
  if (greatest_ <= least_) return score > greatest_ ? 1 : 0;
  return std::clamp((score - least_) / (greatest_ - least_), 0.0, 1.0);
}

void Scorer::scores(std::span<const double* const> columns, size_t rows, Scratch& scratch,
                    double* out) const {
  const double normal = mean_normal_;
  const auto trees = static_cast<double>(walk_->trees.size());
  Sums sums{scratch.memory_->sum, nullptr};
  for (size_t begin = 0; begin < rows; begin += kBlockRows) {
    const size_t n = std::min(kBlockRows, rows - begin);
    add_block(columns, begin, n, nullptr, scratch, sums);
    for (size_t i = 0; i < n; ++i) out[begin + i] = score_of(sums.sum[i], trees, normal);
  }
}

void Scorer::weighted_scores(std::span<const double* const> columns, size_t rows, double decay,
                             Scratch& scratch, double* out) const {
  const std::vector<double> each = weights(decay);
  const double normal = mean_normal(normal_, each.data());
  double weight = 0;
  for (const double w : each) weight += w;
  Sums sums{scratch.memory_->sum, nullptr};
  for (size_t begin = 0; begin < rows; begin += kBlockRows) {
    const size_t n = std::min(kBlockRows, rows - begin);
    add_block(columns, begin, n, each.data(), scratch, sums);
    for (size_t i = 0; i < n; ++i) out[begin + i] = score_of(sums.sum[i], weight, normal);
  }
}

void Scorer::confidences(std::span<const double* const> columns, size_t rows, Scratch& scratch,
                         double* out) const {
  Sums sums{scratch.memory_->sum, scratch.memory_->squares};
  for (size_t begin = 0; begin < rows; begin += kBlockRows) {
    const size_t n = std::min(kBlockRows, rows - begin);
    add_block(columns, begin, n, nullptr, scratch, sums);
    for (size_t i = 0; i < n; ++i) out[begin + i] = confidence_of(sums.sum[i], sums.squares[i]);
  }
}

double Scorer::score(const double* row) const {
  double sum = 0;
  walk([row](size_t f) { return row[f]; }, [&](double length) { sum += length; });
  return score_of(sum, static_cast<double>(walk_->trees.size()), mean_normal_);
}

double Scorer::weighted_score(const double* row, double decay) const {
  const std::vector<double> each = weights(decay);
  double sum = 0, weight = 0;
  const double* next = each.data();
  walk([row](size_t f) { return row[f]; },
       [&](double length) {
         weight += *next;
         sum += *next++ * length;
       });
  return score_of(sum, weight, mean_normal(normal_, each.data()));
}

double Scorer::confidence(const double* row) const {
  double sum = 0, squares = 0;
  walk([row](size_t f) { return row[f]; },
       [&](double length) {
         sum += length;
         squares += length * length;
       });
  return confidence_of(sum, squares);
}

}  // namespace datahike::iforest
