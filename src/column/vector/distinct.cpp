#include "column/vector/distinct.h"

#include <utility>

#include "column/vector/hash.h"
#include "column/vector/large_vector.h"

namespace datahike::vector {

namespace {

// A set of pairs of group and value, open addressing.
class Pairs {
 public:
  Pairs() { clear(1024); }
  bool insert(uint32_t group, uint64_t word) {
    size_t slot = hash(group, word) & mask_;
    for (; slots_[slot].used; slot = (slot + 1) & mask_)
      if (slots_[slot].word == word && slots_[slot].group == group) return false;
    slots_[slot] = {word, group, 1};
    if (++count_ * 2 > slots_.size()) grow();
    return true;
  }
  void prefetch(uint32_t group, uint64_t word) const {
    __builtin_prefetch(&slots_[hash(group, word) & mask_]);
  }
  size_t bytes() const { return slots_.capacity() * sizeof(Slot); }
  template <class Visit>
  void each(Visit visit) const {
    for (const Slot& s : slots_)
      if (s.used) visit(s.group, s.word);
  }

 private:
  struct Slot {
    uint64_t word;
    uint32_t group;
    uint32_t used;
  };
  static size_t hash(uint32_t group, uint64_t word) {
    uint64_t x = (word ^ (uint64_t{group} << 32 | group) * 0xff51afd7ed558ccd) * 0x9e3779b97f4a7c15;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93;
    return x ^ x >> 32;
  }
  void clear(size_t slots) {
    slots_.assign(slots, {});
    mask_ = slots - 1;
  }
  void grow() {
    LargeVector<Slot> old = std::move(slots_);
    clear(old.size() * 2);
    for (const Slot& s : old) {
      if (!s.used) continue;
      size_t slot = hash(s.group, s.word) & mask_;
      while (slots_[slot].used) slot = (slot + 1) & mask_;
      slots_[slot] = s;
    }
  }
  LargeVector<Slot> slots_;
  size_t mask_ = 0, count_ = 0;
};

// A set of words: half the memory of pairs.
class Words {
 public:
  bool insert(uint64_t word) {
    if (word == 0) return !std::exchange(has_zero_, true);
    size_t slot = hash(word) & mask_;
    for (; slots_[slot]; slot = (slot + 1) & mask_)
      if (slots_[slot] == word) return false;
    slots_[slot] = word;
    if (++count_ * 2 > slots_.size()) grow();
    return true;
  }
  void prefetch(uint64_t word) const { __builtin_prefetch(&slots_[hash(word) & mask_]); }
  size_t bytes() const { return slots_.capacity() * 8; }
  template <class Visit>
  void each(Visit visit) const {
    if (has_zero_) visit(0);
    for (uint64_t word : slots_)
      if (word) visit(word);
  }

 private:
  static size_t hash(uint64_t word) {
    word *= 0x9e3779b97f4a7c15;
    return word ^ word >> 32;
  }
  void grow() {
    LargeVector<uint64_t> old = std::exchange(slots_, LargeVector<uint64_t>(slots_.size() * 4));
    mask_ = slots_.size() - 1;
    for (uint64_t word : old) {
      if (!word) continue;
      size_t slot = hash(word) & mask_;
      while (slots_[slot]) slot = (slot + 1) & mask_;
      slots_[slot] = word;
    }
  }
  LargeVector<uint64_t> slots_ = LargeVector<uint64_t>(4096);
  size_t mask_ = 4095, count_ = 0;
  bool has_zero_ = false;
};

class Distinct final : public State {
 public:
  explicit Distinct(const Accumulator& a)
      : a_(a), text_(a.text >= 0 ? std::make_unique<Vector>() : nullptr) {}
  void resize(uint32_t groups) override {
    counts_.resize(groups);
    if (a_.sum == Sum::DistinctSum) sums_.resize(groups);
  }
  void add(Evaluator& rows, const uint32_t* groups) override {
    if (a_.text >= 0) rows.text_numbers(a_.text, numbers_, *text_);
    const Vector& v = a_.text >= 0 ? *text_ : rows.value(a_.argument);
    const unsigned n = rows.selected();
    if (!groups) return add_to_one(v, n);
    constexpr unsigned kAhead = 16;  // what is looked up that much later is fetched now
    for (unsigned i = 0; i < n + kAhead; ++i) {
      if (i < n) pairs_.prefetch(groups[i], v.words[i]);
      if (i < kAhead) continue;
      const unsigned row = i - kAhead;
      if (v.any_null && v.null[row]) continue;
      const uint32_t group = groups[row];
      const uint64_t word = a_.second == 1 ? normalised(v.words[row]) : v.words[row];
      if (pairs_.insert(group, word)) count(group, word);
    }
  }
  void merge(State& other, std::span<const uint32_t> to) override {
    auto& later = static_cast<Distinct&>(other);
    later.pairs_.each([&](uint32_t group, uint64_t word) {
      if (a_.text >= 0) word = numbers_.number(later.numbers_.text(static_cast<uint32_t>(word)));
      if (pairs_.insert(to[group], word)) count(to[group], word);
    });
    later.words_.each([&](uint64_t word) {
      if (a_.text >= 0) word = numbers_.number(later.numbers_.text(static_cast<uint32_t>(word)));
      if (words_.insert(word)) count(0, word);
    });
  }
  int64_t integer(uint32_t group) const override { return counts_[group]; }
  DecimalSum decimal(uint32_t group) const override {
    DecimalSum sum = sums_[group];
    sum.rows = counts_[group];
    return sum;
  }
  std::span<const ByteView> texts(uint32_t group,
                                  const std::function<void()>& poll) const override {
    if (ends_.empty()) sort_texts(poll);
    const size_t begin = group == 0 ? 0 : ends_[group - 1];
    return std::span(texts_).subspan(begin, ends_[group] - begin);
  }
  size_t bytes() const override {
    return pairs_.bytes() + words_.bytes() + counts_.capacity() * 8 + numbers_.bytes() +
           sums_.capacity() * sizeof(DecimalSum);
  }
  size_t own_bytes() const override {
    return pairs_.bytes() + words_.bytes() + (a_.text >= 0 ? numbers_.text_bytes() : 0);
  }
  size_t bytes_of_group() const override {
    return 8 + (a_.sum == Sum::DistinctSum ? sizeof(DecimalSum) : 0);
  }

 private:
  void count(uint32_t group, uint64_t word) {
    ++counts_[group];
    if (a_.sum != Sum::DistinctSum) return;
    DecimalSum& sum = sums_[group];
    if (a_.second == kOfDecimals && static_cast<int64_t>(word) == kNaNDecimal)
      ++sum.nans;
    else
      sum.add(static_cast<int64_t>(word));
  }
  // The strings of each group behind those of the one before.
  void sort_texts(const std::function<void()>& poll) const {
    constexpr size_t kPollEach = 1 << 16;
    std::vector<size_t> at(counts_.size()), ends(counts_.size());
    size_t all = 0, placed = 0;
    for (size_t g = 0; g < counts_.size(); ++g) {
      at[g] = all;
      ends[g] = all += static_cast<size_t>(counts_[g]);
    }
    texts_.resize(all);
    const auto place = [&](uint32_t group, uint64_t word) {
      texts_[at[group]++] = numbers_.text(static_cast<uint32_t>(word));
      if (++placed % kPollEach == 0) poll();
    };
    pairs_.each(place);
    words_.each([&](uint64_t word) { place(0, word); });
    ends_ = std::move(ends);
  }
  void add_to_one(const Vector& v, unsigned n) {
    constexpr unsigned kAhead = 16;
    for (unsigned i = 0; i < n + kAhead; ++i) {
      if (i < n) words_.prefetch(v.words[i]);
      if (i < kAhead) continue;
      const unsigned row = i - kAhead;
      if (v.any_null && v.null[row]) continue;
      const uint64_t word = a_.second == 1 ? normalised(v.words[row]) : v.words[row];
      if (words_.insert(word)) count(0, word);
    }
  }
  Accumulator a_;
  std::vector<int64_t> counts_;
  Pairs pairs_;  // with groups; without them words_
  Words words_;
  TextNumbers numbers_;
  std::unique_ptr<Vector> text_;
  std::vector<DecimalSum> sums_;         // of DistinctSum
  mutable std::vector<ByteView> texts_;  // once they are asked for
  mutable std::vector<size_t> ends_;
};

}  // namespace

std::unique_ptr<State> make_distinct(const Accumulator& accumulator) {
  return std::make_unique<Distinct>(accumulator);
}

}  // namespace datahike::vector
