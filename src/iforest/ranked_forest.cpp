#include "iforest/ranked_forest.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "iforest/arithmetic.h"

namespace datahike::iforest {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// With so many splits in a tree on average it is faster to walk.
constexpr size_t kMostSplits = 600;
// Of a group: places of buckets have 16 bits, and words as ranks a sign.
constexpr size_t kMostThresholds = 32000;
constexpr size_t kMostTreesOfGroup = 128;
constexpr size_t kTreesAtOnce = 8;        // whose leaves are found before their lengths are added
constexpr size_t kMostRankBytes = 65536;  // of a block of rows, where it has few features

size_t rounded_up(size_t rows) { return (rows + kBlockStep - 1) / kBlockStep * kBlockStep; }

template <class T>
T* aligned(std::vector<std::byte>& memory, size_t count) {
  constexpr size_t kAlign = 64;
  if (memory.size() < count * sizeof(T) + kAlign) memory.resize(count * sizeof(T) + kAlign);
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  return reinterpret_cast<T*>(memory.data() + (kAlign - address % kAlign) % kAlign);
}

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
  size_t place(double threshold) const {
    const auto end = sorted.begin() + static_cast<ptrdiff_t>(count);
    return static_cast<size_t>(std::lower_bound(sorted.begin(), end, threshold) - sorted.begin());
  }
  // How many are not greater than v; anything for NaN. Thresholds behind the bucket are greater.
  size_t rank(double v) const {
    const double* at = sorted.data() + begin[bucket(v)];
    for (size_t step = first_step; step > 0; step /= 2) at += at[step - 1] <= v ? step : 0;
    return static_cast<size_t>(at - sorted.data());
  }
  // The ranks of many values, several searches at a time.
  void ranks(const double* v, size_t n, uint16_t* out) const {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
      std::array<const double*, 8> at;
      for (size_t k = 0; k < 8; ++k) at[k] = sorted.data() + begin[bucket(v[i + k])];
      for (size_t step = first_step; step > 0; step /= 2)
        for (size_t k = 0; k < 8; ++k) at[k] += at[k][step - 1] <= v[i + k] ? step : 0;
      for (size_t k = 0; k < 8; ++k) out[i + k] = static_cast<uint16_t>(at[k] - sorted.data());
    }
    for (; i < n; ++i) out[i] = static_cast<uint16_t>(rank(v[i]));
  }
};

// sum[i] += the length of each tree's leaf, tree after tree.
template <size_t kTrees, class Leaf>
void add_lengths(const Leaf* leaves, size_t stride, const double* const* lengths, size_t rows,
                 double* sum) {
  std::array<const double*, kTrees> length;
  std::copy_n(lengths, kTrees, length.begin());
  for (size_t i = 0; i < rows; ++i) {
    double total = sum[i];
    for (size_t k = 0; k < kTrees; ++k) total += length[k][leaves[k * stride + i]];
    sum[i] = total;
  }
}

template <class Rank>
class Forest final : public RankedForest {
 public:
  Forest(std::span<const Tree> trees, size_t features) : features_(features) {
    block_rows_ = kBlockRows;
    while (block_rows_ > 256 && features * block_rows_ * sizeof(Rank) > kMostRankBytes)
      block_rows_ /= 2;
    size_t begin = 0, splits = 0;
    for (size_t i = 0; i < trees.size(); ++i) {
      const size_t more = trees[i].nodes.size() / 2;
      if (i > begin && (splits + more > kMostThresholds || i - begin == kMostTreesOfGroup)) {
        add_group(trees.subspan(begin, i - begin));
        begin = i;
        splits = 0;
      }
      splits += more;
    }
    add_group(trees.subspan(begin));
  }

  void add(const Kernels& kernels, std::span<const double* const> columns, size_t begin,
           size_t rows, const double* weights, RankMemory& memory,
           const Sums& sums) const override {
    for (size_t done = 0; done < rows; done += block_rows_) {
      const size_t n = std::min(block_rows_, rows - done);
      const Sums here{sums.sum + done, sums.squares ? sums.squares + done : nullptr};
      const double* weight = weights;
      for (const Group& group : groups_) {
        search(group, columns, begin + done, n, memory);
        for (const Part& part : group.parts) {
          add_part(kernels, part, n, weight, memory, here);
          if (weight) weight += part.trees;
        }
      }
    }
  }

  size_t bytes() const override {
    size_t total = steps_.size() * sizeof(Step<Rank>) + lengths_.size() * sizeof(double);
    for (const Group& group : groups_) {
      for (const Thresholds& t : group.thresholds)
        total += t.sorted.size() * sizeof(double) + t.begin.size() * sizeof(uint16_t);
      for (const Part& part : group.parts)
        for (const auto& table : part.ranks) total += table.size() * sizeof(Rank);
    }
    return total;
  }

 private:
  using Leaf = std::make_unsigned_t<Rank>;
  static constexpr Rank kLeast = std::numeric_limits<Rank>::min();
  static constexpr size_t kMostRanks = std::numeric_limits<Leaf>::max();

  struct RankedTree {
    size_t step, steps;  // in steps_
    size_t length;       // of the first leaf, in lengths_
  };
  struct Part {
    size_t tree = 0, trees = 0;            // in trees_
    std::vector<std::vector<Rank>> ranks;  // by feature, by rank in the group; empty: not asked for
  };
  struct Group {
    std::vector<Thresholds> thresholds;  // by feature
    std::vector<Part> parts;
  };
  // Thresholds of the part that is being made, by feature and place in the group.
  struct Used {
    std::vector<std::vector<bool>> is;
    std::vector<size_t> count;
  };

  void add_group(std::span<const Tree> trees) {
    Group& group = groups_.emplace_back();
    group.thresholds.resize(features_);
    for (const Tree& tree : trees)
      for (const Node& node : tree.nodes)
        if (node.feature >= 0) group.thresholds[node.feature].sorted.push_back(node.split);
    for (Thresholds& t : group.thresholds) t.close();
    Used used = unused(group);
    size_t begin = 0;
    for (size_t i = 0; i < trees.size(); ++i) {
      Used more = used;
      use(group, trees[i], more);
      if (std::ranges::all_of(more.count, [](size_t n) { return n <= kMostRanks; })) {
        used = std::move(more);
        continue;
      }
      add_part(group, trees.subspan(begin, i - begin), used);
      begin = i;
      used = unused(group);
      use(group, trees[i], used);
    }
    add_part(group, trees.subspan(begin), used);
  }

  static Used unused(const Group& group) {
    Used used;
    for (const Thresholds& t : group.thresholds) {
      used.is.emplace_back(t.count);
      used.count.push_back(0);
    }
    return used;
  }

  static void use(const Group& group, const Tree& tree, Used& used) {
    for (const Node& node : tree.nodes) {
      if (node.feature < 0) continue;
      auto is = used.is[node.feature][group.thresholds[node.feature].place(node.split)];
      used.count[node.feature] += is ? 0 : 1;
      is = true;
    }
  }

  void add_part(Group& group, std::span<const Tree> trees, const Used& used) {
    Part part;
    part.tree = trees_.size();
    part.trees = trees.size();
    part.ranks.resize(features_);
    for (size_t f = 0; f < features_; ++f) {
      if (used.count[f] == 0) continue;
      int rank = kLeast;
      for (const bool is : used.is[f]) {
        part.ranks[f].push_back(static_cast<Rank>(rank));
        rank += is ? 1 : 0;
      }
      part.ranks[f].push_back(static_cast<Rank>(rank));
    }
    for (const Tree& tree : trees) {
      RankedTree ranked{steps_.size(), 0, lengths_.size()};
      add_node(group, part, tree, 0, 0, ranked.length);
      ranked.steps = steps_.size() - ranked.step;
      trees_.push_back(ranked);
    }
    group.parts.push_back(std::move(part));
  }

  static constexpr size_t kOnStack = SIZE_MAX;
  // The leaf's number, or kOnStack: steps leave it there.
  size_t add_node(const Group& group, const Part& part, const Tree& tree, uint32_t number,
                  size_t level, size_t first_length) {
    const Node& node = tree.nodes[number];
    depth_ = std::max(depth_, level);
    if (node.feature < 0) {
      lengths_.push_back(static_cast<double>(level) + average_path(node.size));
      return lengths_.size() - 1 - first_length;
    }
    using S = Step<Rank>;
    const size_t left = add_node(group, part, tree, number + 1, level + 1, first_length);
    const size_t right = add_node(group, part, tree, node.right, level + 1, first_length);
    const bool leaf = left != kOnStack, other = right != kOnStack;
    S step;
    if (leaf) step.left = static_cast<Rank>(left);
    if (other) step.right = static_cast<Rank>(right);
    step.operands = leaf ? (other ? S::Leaves : S::LeafAndTop) : (other ? S::TopAndLeaf : S::Two);
    step.column =
        static_cast<uint16_t>(node.missing_left ? node.feature : features_ + node.feature);
    const size_t place = group.thresholds[node.feature].place(node.split);
    step.threshold = static_cast<Rank>(part.ranks[node.feature][place] + 1);
    steps_.push_back(step);
    return kOnStack;
  }

  // The rows' ranks in the group.
  void search(const Group& group, std::span<const double* const> columns, size_t begin, size_t rows,
              RankMemory& memory) const {
    memory.searched.resize(features_ * block_rows_);
    memory.missing.assign(features_, 0);
    for (size_t f = 0; f < features_; ++f) {
      if (group.thresholds[f].count == 0) continue;
      const double* v = columns[f] + begin;
      uint16_t* out = memory.searched.data() + f * block_rows_;
      group.thresholds[f].ranks(v, rows, out);
      std::fill(out + rows, out + rounded_up(rows), uint16_t{0});
      bool missing = false;
      for (size_t i = 0; i < rows; ++i) missing |= v[i] != v[i];
      if (!missing) continue;
      memory.missing[f] = 1;
      for (size_t i = 0; i < rows; ++i)
        if (v[i] != v[i]) out[i] = kMissing;
    }
  }
  static constexpr uint16_t kMissing = UINT16_MAX;

  // Columns of ranks in a part: first those where a missing value is below all thresholds, then
  // those where it is above, which are the same if none is missing.
  const void* const* map(const Part& part, size_t rows, RankMemory& memory) const {
    Rank* left = aligned<Rank>(memory.ranks, 2 * features_ * block_rows_);
    memory.columns.resize(2 * features_);
    for (size_t f = 0; f < features_; ++f, left += block_rows_) {
      if (part.ranks[f].empty()) continue;
      const Rank* table = part.ranks[f].data();
      const uint16_t* searched = memory.searched.data() + f * block_rows_;
      memory.columns[f] = memory.columns[features_ + f] = left;
      if (!memory.missing[f]) {
        for (size_t i = 0; i < rows; ++i) left[i] = table[searched[i]];
        continue;
      }
      Rank* right = left + features_ * block_rows_;
      memory.columns[features_ + f] = right;
      for (size_t i = 0; i < rows; ++i) {
        const bool missing = searched[i] == kMissing;
        left[i] = missing ? table[0] : table[searched[i]];
        right[i] = missing ? part.ranks[f].back() : left[i];
      }
    }
    return memory.columns.data();
  }

  void add_part(const Kernels& kernels, const Part& part, size_t rows, const double* weights,
                RankMemory& memory, const Sums& sums) const {
    const size_t padded = rounded_up(rows);
    const void* const* columns = map(part, padded, memory);
    Rank* stack = aligned<Rank>(memory.stack, (kTreesAtOnce + depth_ + 2) * block_rows_);
    for (size_t done = 0; done < part.trees; done += kTreesAtOnce) {
      const size_t count = std::min(kTreesAtOnce, part.trees - done);
      std::array<const double*, kTreesAtOnce> lengths;
      // Each tree's leaves are left where the next one's stack does not reach.
      for (size_t k = 0; k < count; ++k) {
        const RankedTree& tree = trees_[part.tree + done + k];
        Rank* bottom = stack + k * block_rows_;
        lengths[k] = lengths_.data() + tree.length;
        if (tree.steps == 0)
          std::fill_n(bottom, padded, Rank{0});
        else
          kernels(Block<Rank>{steps_.data() + tree.step, tree.steps, columns, padded, block_rows_,
                              bottom});
      }
      add_all(reinterpret_cast<const Leaf*>(stack), lengths.data(), count, rows,
              weights ? weights + done : nullptr, sums);
    }
  }

  void add_all(const Leaf* leaves, const double* const* lengths, size_t trees, size_t rows,
               const double* weights, const Sums& sums) const {
    if (weights || sums.squares) {
      for (size_t k = 0; k < trees; ++k) {
        const Leaf* leaf = leaves + k * block_rows_;
        const double weight = weights ? weights[k] : 1;
        for (size_t i = 0; i < rows; ++i) {
          const double length = weight * lengths[k][leaf[i]];
          sums.sum[i] += length;
          if (sums.squares) sums.squares[i] += length * length;
        }
      }
      return;
    }
    size_t k = 0;
    for (; k + 8 <= trees; k += 8)
      add_lengths<8>(leaves + k * block_rows_, block_rows_, lengths + k, rows, sums.sum);
    for (; k + 4 <= trees; k += 4)
      add_lengths<4>(leaves + k * block_rows_, block_rows_, lengths + k, rows, sums.sum);
    for (; k + 2 <= trees; k += 2)
      add_lengths<2>(leaves + k * block_rows_, block_rows_, lengths + k, rows, sums.sum);
    for (; k < trees; ++k)
      add_lengths<1>(leaves + k * block_rows_, block_rows_, lengths + k, rows, sums.sum);
  }

  size_t features_, block_rows_, depth_ = 0;
  std::vector<Step<Rank>> steps_;
  std::vector<double> lengths_;
  std::vector<RankedTree> trees_;
  std::vector<Group> groups_;
};

}  // namespace

std::unique_ptr<RankedForest> rank_forest(std::span<const Tree> trees, size_t features) {
  size_t nodes = 0, most = 0;
  for (const Tree& tree : trees) {
    nodes += tree.nodes.size();
    most = std::max(most, tree.nodes.size());
  }
  if (nodes / 2 > kMostSplits * trees.size() || most / 2 > kMostThresholds) return nullptr;
  const size_t leaves = (most + 1) / 2;
  if (leaves <= 256) return std::make_unique<Forest<int8_t>>(trees, features);
  return std::make_unique<Forest<int16_t>>(trees, features);
}

}  // namespace datahike::iforest
