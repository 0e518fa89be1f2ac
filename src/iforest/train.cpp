#include "iforest/train.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "iforest/random.h"
#include "iforest/scorer.h"
#include "store/error.h"

namespace datahike::iforest {

namespace {

// Infinite values count as the largest finite ones, so that splits are finite.
double finite(double v) {
  constexpr double kMost = std::numeric_limits<double>::max();
  return std::clamp(v, -kMost, kMost);
}

class Grower {
 public:
  Grower(const Rows& rows, uint32_t sample_size, uint64_t seed, uint64_t stream)
      : rows_(rows), random_(seed, stream), features_(rows.features) {
    std::iota(features_.begin(), features_.end(), 0u);
    draw(std::min<size_t>(sample_size, rows.count()));
    tree_.sample = static_cast<uint32_t>(members_.size());
    limit_ = static_cast<unsigned>(std::bit_width(members_.size() - 1));  // ceil(log2)
  }
  Tree grow() {
    grow(0, members_.size(), 0);
    return std::move(tree_);
  }

 private:
  // Rows without replacement (Floyd's algorithm), in the order of the rows.
  void draw(size_t count) {
    const size_t all = rows_.count();
    if (count == all) {
      members_.resize(all);
      std::iota(members_.begin(), members_.end(), size_t{0});
      return;
    }
    std::vector<size_t> taken;  // ascending
    for (size_t i = all - count; i < all; ++i) {
      const size_t row = random_.below(i + 1);
      const auto at = std::lower_bound(taken.begin(), taken.end(), row);
      if (at == taken.end() || *at != row)
        taken.insert(at, row);
      else
        taken.push_back(i);  // greater than all before
    }
    members_ = std::move(taken);
  }

  // The range of a feature among members; false if it is constant.
  bool range(size_t begin, size_t end, uint32_t feature, double* least, double* greatest) const {
    *least = std::numeric_limits<double>::infinity();
    *greatest = -*least;
    for (size_t i = begin; i < end; ++i) {
      const double v = rows_.row(members_[i])[feature];
      if (std::isnan(v)) continue;
      *least = std::min(*least, finite(v));
      *greatest = std::max(*greatest, finite(v));
    }
    return *least < *greatest;
  }

  // Above the least value, so that both sides have rows.
  double split_between(double least, double greatest) {
    const double u = random_.unit();
    const double split = least * (1 - u) + greatest * u;
    if (!(split > least)) return std::nextafter(least, greatest);
    return std::min(split, greatest);
  }

  uint32_t grow(size_t begin, size_t end, unsigned depth) {
    const auto number = static_cast<uint32_t>(tree_.nodes.size());
    tree_.nodes.emplace_back();
    Node node;
    node.size = static_cast<uint32_t>(end - begin);
    double least = 0, greatest = 0;
    if (node.size > 1 && depth < limit_) {
      for (size_t i = 0; i < features_.size() && node.feature < 0; ++i) {
        std::swap(features_[i], features_[i + random_.below(features_.size() - i)]);
        if (range(begin, end, features_[i], &least, &greatest))
          node.feature = static_cast<int32_t>(features_[i]);
      }
    }
    if (node.feature >= 0) {
      node.split = split_between(least, greatest);
      const size_t middle = part(begin, end, node);
      node.size = 0;
      grow(begin, middle, depth + 1);
      node.right = grow(middle, end, depth + 1);
    }
    tree_.nodes[number] = node;
    return number;
  }

  // Sorts the members by side, otherwise keeping their order; decides where missing values go.
  size_t part(size_t begin, size_t end, Node& node) {
    left_.clear();
    right_.clear();
    missing_.clear();
    for (size_t i = begin; i < end; ++i) {
      const double v = rows_.row(members_[i])[node.feature];
      (std::isnan(v) ? missing_ : v < node.split ? left_ : right_).push_back(members_[i]);
    }
    node.missing_left = left_.size() >= right_.size();
    auto& larger = node.missing_left ? left_ : right_;
    larger.insert(larger.end(), missing_.begin(), missing_.end());
    std::copy(left_.begin(), left_.end(), members_.begin() + static_cast<ptrdiff_t>(begin));
    const size_t middle = begin + left_.size();
    std::copy(right_.begin(), right_.end(), members_.begin() + static_cast<ptrdiff_t>(middle));
    return middle;
  }

  const Rows& rows_;
  Random random_;
  std::vector<uint32_t> features_;
  std::vector<size_t> members_, left_, right_, missing_;
  unsigned limit_ = 0;
  Tree tree_;
};

void grow_trees(Model& model, const Rows& rows, uint32_t count, const std::function<void()>& poll) {
  for (uint32_t i = 0; i < count; ++i) {
    poll();
    Tree tree = Grower(rows, model.sample_size, model.seed, model.grown++).grow();
    tree.generation = model.generation;
    model.trees.push_back(std::move(tree));
  }
}

// What the scores of the training rows say.
void judge(Model& model, const Rows& rows, const std::function<void()>& poll) {
  constexpr size_t kBatch = 1024;
  const Scorer scorer(model);
  Scratch scratch;
  std::vector<double> scores(rows.count()), columns(kBatch * rows.features);
  std::vector<const double*> heads(rows.features);
  for (uint32_t f = 0; f < rows.features; ++f) heads[f] = columns.data() + f * kBatch;
  for (size_t begin = 0; begin < scores.size(); begin += kBatch) {
    poll();
    const size_t n = std::min(kBatch, scores.size() - begin);
    for (size_t i = 0; i < n; ++i)
      for (uint32_t f = 0; f < rows.features; ++f) columns[f * kBatch + i] = rows.row(begin + i)[f];
    scorer.scores(heads, n, scratch, scores.data() + begin);
  }
  model.least = *std::min_element(scores.begin(), scores.end());
  model.greatest = *std::max_element(scores.begin(), scores.end());
  if (model.contamination) model.threshold = quantile(std::move(scores), 1 - *model.contamination);
}

}  // namespace

uint64_t rows_to_keep(const Options& options) {
  constexpr uint64_t kMost = 65536;
  return std::max<uint64_t>(
      options.sample_size,
      std::min<uint64_t>(uint64_t{options.trees} * options.sample_size, kMost));
}

double quantile(std::vector<double> values, double q) {
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(place);
  auto at = values.begin() + static_cast<ptrdiff_t>(below);
  std::nth_element(values.begin(), at, values.end());
  const double low = *at;
  if (below + 1 == values.size()) return low;
  const double high = *std::min_element(at + 1, values.end());
  return low + (high - low) * (place - static_cast<double>(below));
}

Model train(std::vector<std::string> features, const Rows& rows, uint64_t total,
            const Options& options, const std::function<void()>& poll) {
  Model model;
  model.features = std::move(features);
  model.sample_size = options.sample_size;
  model.seed = options.seed;
  model.contamination = options.contamination;
  model.training_rows = total;
  grow_trees(model, rows, options.trees, poll);
  judge(model, rows, poll);
  return model;
}

Model rotate(const Model& model, const Rows& rows, uint64_t total, uint32_t replaced,
             const std::function<void()>& poll) {
  if (model.generation >= kMostGenerations)
    throw LimitError("the model has been rotated too often: train it anew");
  Model next = model;
  ++next.generation;
  next.training_rows = total;
  next.trees.erase(next.trees.begin(), next.trees.begin() + replaced);
  grow_trees(next, rows, replaced, poll);
  judge(next, rows, poll);
  return next;
}

}  // namespace datahike::iforest
