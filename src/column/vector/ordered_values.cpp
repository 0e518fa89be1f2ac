#include "column/vector/ordered_values.h"

#include <utility>

namespace datahike::vector {

namespace {

// Some values, and with keys the groups that they are of, in the order in which they were met.
struct Block {
  std::vector<uint64_t> words;
  std::vector<uint32_t> groups;
};

class OrderedValues final : public State {
 public:
  OrderedValues(int argument, bool real, bool grouped)
      : argument_(argument), real_(real), grouped_(grouped) {}
  void resize(uint32_t groups) override { counts_.resize(groups); }
  void add(Evaluator& rows, const uint32_t* groups) override {
    const Vector& v = rows.value(argument_);
    const unsigned n = rows.selected();
    if (blocks_.empty() || blocks_.back().words.size() + n > kBlockValues) blocks_.emplace_back();
    Block& block = blocks_.back();
    const size_t begin = block.words.size();
    size_t end = begin;
    block.words.resize(begin + n);
    for (unsigned i = 0; i < n; ++i) {
      block.words[end] = ordered_word(v.words[i], real_);
      end += !v.any_null || !v.null[i];
    }
    block.words.resize(end);
    if (!grouped_) {
      counts_[0] += static_cast<int64_t>(end - begin);
      return;
    }
    for (unsigned i = 0; i < n; ++i) {
      if (v.any_null && v.null[i]) continue;
      block.groups.push_back(groups[i]);
      ++counts_[groups[i]];
    }
  }
  void merge(State& other, std::span<const uint32_t> to) override {
    auto& later = static_cast<OrderedValues&>(other);
    for (size_t g = 0; g < to.size(); ++g) counts_[to[g]] += later.counts_[g];
    for (Block& block : later.blocks_) {
      for (uint32_t& group : block.groups) group = to[group];
      blocks_.push_back(std::move(block));
    }
    later.blocks_.clear();
  }
  size_t bytes() const override {
    return counts_.capacity() * 8 + ends_.capacity() * 8 + own_bytes();
  }
  size_t bytes_of_group() const override { return 16; }
  // With what it takes to have them by group.
  size_t own_bytes() const override {
    size_t total = ends_.empty() ? 0 : ends_.back() * 8;
    for (const Block& block : blocks_)
      total += block.words.capacity() * (grouped_ ? 16 : 8) + block.groups.capacity() * 4;
    return total;
  }
  int64_t integer(uint32_t group) const override { return counts_[group]; }
  std::span<uint64_t> values(uint32_t group, const std::function<void()>& poll) const override {
    if (ends_.empty()) divide(poll);
    const size_t begin = group == 0 ? 0 : ends_[group - 1];
    return std::span(by_group_.get() + begin, ends_[group] - begin);
  }

 private:
  static constexpr size_t kBlockValues = 1 << 16;

  // The values of each group behind those of the one before. Blocks go as they are read.
  void divide(const std::function<void()>& poll) const {
    std::vector<size_t> at(counts_.size()), ends(counts_.size());
    size_t all = 0;
    for (size_t g = 0; g < counts_.size(); ++g) {
      at[g] = all;
      ends[g] = all += static_cast<size_t>(counts_[g]);
    }
    auto by_group = std::make_unique_for_overwrite<uint64_t[]>(all);
    for (Block& block : blocks_) {
      poll();
      for (size_t i = 0; i < block.words.size(); ++i)
        by_group[at[grouped_ ? block.groups[i] : 0]++] = block.words[i];
      block = {};
    }
    blocks_.clear();
    by_group_ = std::move(by_group);
    ends_ = std::move(ends);
  }

  int argument_;
  bool real_, grouped_;
  std::vector<int64_t> counts_;
  mutable std::vector<Block> blocks_;
  mutable std::unique_ptr<uint64_t[]> by_group_;  // once they are asked for
  mutable std::vector<size_t> ends_;
};

}  // namespace

std::unique_ptr<State> make_ordered_values(const Program& program, int argument) {
  return std::make_unique<OrderedValues>(
      argument, program.expressions[argument].type == Type::Float, !program.keys.empty());
}

}  // namespace datahike::vector
