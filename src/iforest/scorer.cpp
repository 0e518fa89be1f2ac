#include "iforest/scorer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "iforest/arithmetic.h"

namespace datahike::iforest {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Ranks are below the threshold that comes after them, and 16 bits with a sign.
constexpr size_t kMostThresholds = 32000;
constexpr size_t kMostTreesOfGroup = 128;
// With so many splits in a tree on average it is faster to walk.
constexpr size_t kMostSplits = 600;
// Fewer rows than these are walked: a block of ranks is of use for all its rows.
constexpr size_t kFewRows = 12;
constexpr size_t kWalks = 8;  // trees walked at once

size_t rounded_up(size_t rows) { return (rows + kBlockStep - 1) / kBlockStep * kBlockStep; }

// Ascending thresholds of one feature. A value's place among them is looked for in its bucket: the
// buckets divide the thresholds' range evenly, and a number of a bucket never falls as values rise.
struct Thresholds {
  std::vector<double> sorted;  // and NaNs, which are above nothing
  size_t count = 0;
  double low = 0, scale = 0, last = 0;  // of the buckets
  std::vector<uint16_t> begin;          // of each bucket: thresholds in those before it
  size_t first_step = 0;                // of the search in a bucket

  void close() {
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    count = sorted.size();
    if (count == 0) return;
    const size_t buckets = std::min<size_t>(4096, 4 * std::bit_ceil(count));
    low = sorted.front();
    const double width = sorted.back() - low;
    scale = width > 0 && std::isfinite(width) ? static_cast<double>(buckets) / width : 0;
    if (!std::isfinite(scale)) scale = 0;
    last = static_cast<double>(buckets - 1);
    std::vector<size_t> members(buckets);
    for (const double t : sorted) ++members[bucket(t)];
    size_t before = 0;
    for (const size_t n : members) {
      begin.push_back(static_cast<uint16_t>(before));
      before += n;
    }
    const size_t most = *std::max_element(members.begin(), members.end());
    first_step = std::bit_ceil(most + 1) / 2;
    sorted.resize(count + 2 * first_step, kNaN);
  }
  size_t bucket(double v) const {
    double place = (v - low) * scale;
    place = place > 0 ? place : 0;  // NaN, too
    place = place < last ? place : last;
    return static_cast<size_t>(static_cast<int32_t>(place));
  }
  int16_t place(double threshold) const {
    const auto end = sorted.begin() + static_cast<ptrdiff_t>(count);
    return static_cast<int16_t>(std::lower_bound(sorted.begin(), end, threshold) - sorted.begin());
  }
  // How many are not greater than v; anything for NaN. Thresholds behind the bucket are greater.
  size_t rank(double v) const {
    const double* at = sorted.data() + begin[bucket(v)];
    for (size_t step = first_step; step > 0; step /= 2) at += at[step - 1] <= v ? step : 0;
    return static_cast<size_t>(at - sorted.data());
  }
  // The ranks of many values, several searches at a time.
  void ranks(const double* v, size_t n, int16_t* out) const {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
      std::array<const double*, 8> at;
      for (size_t k = 0; k < 8; ++k) at[k] = sorted.data() + begin[bucket(v[i + k])];
      for (size_t step = first_step; step > 0; step /= 2)
        for (size_t k = 0; k < 8; ++k) at[k] += at[k][step - 1] <= v[i + k] ? step : 0;
      for (size_t k = 0; k < 8; ++k) out[i + k] = static_cast<int16_t>(at[k] - sorted.data());
    }
    for (; i < n; ++i) out[i] = static_cast<int16_t>(rank(v[i]));
  }
};

// A tree for the kernels.
struct RankedTree {
  size_t step = 0, steps = 0;      // of the group's
  size_t length = 0, lengths = 0;  // likewise: by leaf
};

}  // namespace

// Trees whose thresholds have ranks in common. Ranks have two columns for each feature: where a
// value is missing, the first sends the row to the left, the second to the right.
struct Scorer::Group {
  std::vector<Thresholds> thresholds;  // by feature
  std::vector<RankedTree> trees;
  std::vector<Step> steps;
  std::vector<double> lengths;
  size_t depth = 0;

  explicit Group(std::span<const Tree> from, size_t features) : thresholds(features) {
    for (const Tree& tree : from)
      for (const Node& node : tree.nodes)
        if (node.feature >= 0) thresholds[node.feature].sorted.push_back(node.split);
    for (Thresholds& t : thresholds) t.close();
    for (const Tree& tree : from) {
      RankedTree ranked;
      ranked.step = steps.size();
      ranked.length = lengths.size();
      add(tree, 0, 0);
      ranked.steps = steps.size() - ranked.step;
      ranked.lengths = lengths.size() - ranked.length;
      trees.push_back(ranked);
    }
  }

 private:
  // The leaf's number, -1 for what the steps leave on the stack.
  int16_t add(const Tree& tree, uint32_t number, size_t level) {
    const Node& node = tree.nodes[number];
    depth = std::max(depth, level);
    if (node.feature < 0) {
      lengths.push_back(static_cast<double>(level) + average_path(node.size));
      return static_cast<int16_t>(lengths.size() - 1 - first_length());
    }
    Step step;
    step.left = add(tree, number + 1, level + 1);
    step.right = add(tree, node.right, level + 1);
    step.operands = step.left >= 0 ? (step.right >= 0 ? Step::Leaves : Step::LeafAndTop)
                                   : (step.right >= 0 ? Step::TopAndLeaf : Step::Two);
    step.column = static_cast<uint16_t>(2 * node.feature + (node.missing_left ? 0 : 1));
    step.threshold = static_cast<int16_t>(thresholds[node.feature].place(node.split) + 1);
    steps.push_back(step);
    return -1;
  }
  size_t first_length() const {
    return trees.empty() ? 0 : trees.back().length + trees.back().lengths;
  }
};

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

struct Scorer::Sums {
  double* sum;
  double* squares;  // nullptr: not asked for
};

struct Scratch::Memory {
  std::vector<int16_t> ranks, stack;
  double sum[kBlockRows], squares[kBlockRows];

  static int16_t* aligned(std::vector<int16_t>& v, size_t count) {
    constexpr size_t kAlign = 64 / sizeof(int16_t);
    if (v.size() < count + kAlign) v.resize(count + kAlign);
    auto address = reinterpret_cast<uintptr_t>(v.data());
    return v.data() + ((64 - address % 64) % 64) / sizeof(int16_t);
  }
};

Scratch::Scratch() : memory_(std::make_unique<Memory>()) {}
Scratch::~Scratch() = default;

namespace {

// Of trees whose samples had different sizes, the mean.
double mean_normal(std::span<const double> normal, const double* weights) {
  const bool same =
      std::all_of(normal.begin(), normal.end(), [&](double c) { return c == normal.front(); });
  if (same) return normal.front();
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
  size_t nodes = 0;
  for (const Tree& tree : model.trees) {
    nodes += tree.nodes.size();
    walk_->add(tree);
    normal_.push_back(average_path(tree.sample));
    age_.push_back(model.generation - tree.generation);
  }
  mean_normal_ = mean_normal(normal_, nullptr);
  if (nodes / 2 > kMostSplits * model.trees.size()) return;
  const std::span<const Tree> trees(model.trees);
  size_t begin = 0, splits = 0;
  for (size_t i = 0; i < trees.size(); ++i) {
    const size_t more = trees[i].nodes.size() / 2;
    if (i > begin && (splits + more > kMostThresholds || i - begin == kMostTreesOfGroup)) {
      groups_.emplace_back(trees.subspan(begin, i - begin), features_);
      begin = i;
      splits = 0;
    }
    splits += more;
    if (splits > kMostThresholds) {  // a single tree
      groups_.clear();
      return;
    }
  }
  groups_.emplace_back(trees.subspan(begin), features_);
}

Scorer::~Scorer() = default;

size_t Scorer::bytes() const {
  size_t total = walk_->nodes.size() * sizeof(Walk::Flat);
  for (const Group& group : groups_) {
    total += group.steps.size() * sizeof(Step) + group.lengths.size() * sizeof(double);
    for (const Thresholds& t : group.thresholds)
      total += t.sorted.size() * sizeof(double) + t.begin.size() * sizeof(uint16_t);
  }
  return total;
}

void Scorer::add_ranked(const Group& group, std::span<const double* const> columns, size_t begin,
                        size_t rows, const double* weights, Scratch& scratch, Sums& sums) const {
  const size_t padded = rounded_up(rows);
  Scratch::Memory& memory = *scratch.memory_;
  int16_t* ranks = Scratch::Memory::aligned(memory.ranks, 2 * features_ * kBlockRows);
  int16_t* stack = Scratch::Memory::aligned(memory.stack, (group.depth + 2) * kBlockRows);
  for (size_t f = 0; f < features_; ++f) {
    if (group.thresholds[f].count == 0) continue;
    int16_t* left = ranks + 2 * f * kBlockRows;
    int16_t* right = left + kBlockRows;
    const double* v = columns[f] + begin;
    group.thresholds[f].ranks(v, rows, left);
    std::fill(left + rows, left + padded, int16_t{0});
    std::copy(left, left + padded, right);
    for (size_t i = 0; i < rows; ++i) {
      if (!std::isnan(v[i])) continue;
      left[i] = std::numeric_limits<int16_t>::min();
      right[i] = std::numeric_limits<int16_t>::max();
    }
  }
  for (const RankedTree& tree : group.trees) {
    if (tree.steps == 0)
      std::fill_n(stack, padded, int16_t{0});
    else
      kernels_->leaves(group.steps.data() + tree.step, tree.steps, ranks, padded, stack);
    const double* lengths = group.lengths.data() + tree.length;
    if (weights) {
      const double weight = *weights++;
      for (size_t i = 0; i < rows; ++i) sums.sum[i] += weight * lengths[stack[i]];
    } else if (sums.squares) {
      for (size_t i = 0; i < rows; ++i) {
        const double length = lengths[stack[i]];
        sums.sum[i] += length;
        sums.squares[i] += length * length;
      }
    } else {
      for (size_t i = 0; i < rows; ++i) sums.sum[i] += lengths[stack[i]];
    }
  }
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
                       const double* weights, Scratch& scratch, Sums& sums) const {
  std::fill_n(sums.sum, rows, 0.0);
  if (sums.squares) std::fill_n(sums.squares, rows, 0.0);
  if (!groups_.empty() && kernels_ && rows >= kFewRows) {
    for (const Group& group : groups_) {
      add_ranked(group, columns, begin, rows, weights, scratch, sums);
      if (weights) weights += group.trees.size();
    }
    return;
  }
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
  if (normal == 0) return 0.5;  // trees of a single row
  return power_of_two(-(sum / weight / normal));
}

double Scorer::confidence_of(double sum, double squares) const {
  const auto trees = static_cast<double>(walk_->trees.size());
  const double mean = sum / trees;
  if (mean == 0) return 1;
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
