// Making one aggregation of several: those of threads (parallel.h).
#include <algorithm>
#include <numeric>
#include <utility>

#include "column/vector/aggregation.h"

namespace datahike::vector {

States Aggregation::take_states(bool all) {
  if (all) finish();
  States taken(states_.size());
  for (size_t i = 0; i < states_.size(); ++i) {
    const Accumulator& a = program_.accumulators[i];
    if (!all && !is_ordered(a.sum)) continue;
    taken[i] = std::exchange(states_[i], make_state(program_, a));
    states_[i]->resize(sized_);
  }
  return taken;
}

void Aggregation::end_morsel() {
  if (set_aside_.empty()) set_aside_.resize(states_.size());
  std::vector<uint32_t> same(groups());
  std::iota(same.begin(), same.end(), 0);
  for (size_t i = 0; i < states_.size(); ++i) {
    if (!is_ordered(program_.accumulators[i].sum)) continue;
    if (!set_aside_[i]) set_aside_[i] = make_state(program_, program_.accumulators[i]);
    set_aside_[i]->resize(groups());
    set_aside_[i]->merge(*states_[i], same);
    states_[i]->clear();
  }
}

void Aggregation::end_morsels() {
  for (size_t i = 0; i < set_aside_.size(); ++i)
    if (set_aside_[i]) states_[i] = std::move(set_aside_[i]);
  set_aside_.clear();
  resize(groups());
}

void Aggregation::merge_groups(const Aggregation& from, uint32_t end, Translation& known) {
  const size_t keys = program_.keys.size();
  if (keys == 0) {
    known.groups.assign(1, 0);
    return;
  }
  std::vector<Vector> part(keys);
  std::vector<const Vector*> vectors;
  for (const Vector& v : part) vectors.push_back(&v);
  if (known.texts.empty()) known.texts.resize(keys);
  for (size_t k = 0; k < keys; ++k)
    if (program_.keys[k].text >= 0) texts_[k].number_texts_of(from.texts_[k], known.texts[k]);
  uint32_t begin = static_cast<uint32_t>(known.groups.size());
  known.groups.resize(std::max(begin, end));
  for (; begin < end; begin += kChunkRows) {
    const unsigned n = std::min<uint32_t>(kChunkRows, end - begin);
    for (unsigned k = 0; k < keys; ++k) {
      part[k].any_null = from.groups_.read(begin, n, k, part[k].words, part[k].null);
      if (program_.keys[k].text < 0) continue;
      for (unsigned i = 0; i < n; ++i)
        if (!part[k].any_null || !part[k].null[i])
          part[k].words[i] = known.texts[k][part[k].words[i]];
    }
    groups_.assign(vectors, n, &known.groups[begin]);
  }
  if (groups_.size() > sized_) resize(groups_.size());
  if (is_too_large()) throw TooManyGroups();
}

void Aggregation::merge_states(const States& later, std::span<const uint32_t> to) {
  for (size_t i = 0; i < states_.size(); ++i)
    if (later[i]) states_[i]->merge(*later[i], to);
  if (part_.most_bytes != SIZE_MAX && !program_.keys.empty() && is_too_large())
    throw TooManyGroups();
}

void Aggregation::merge_counters(const Aggregation& other) {
  counters_.segments += other.counters_.segments;
  counters_.pruned += other.counters_.pruned;
  counters_.rows += other.counters_.rows;
  counters_.passed += other.counters_.passed;
}

// Of morsels: by the groups, their strings and the rows that are kept, of which a thread has no
// more than there are in all.
bool Aggregation::is_too_large() const {
  if (part_.morsels == 0) return bytes() > part_.most_bytes;
  constexpr size_t kBytesOfGroup = 20;  // in the table, and flags
  size_t once = kBytesOfGroup + program_.keys.size() * 8, by_morsel = 0, kept = 0;
  for (size_t i = 0; i < states_.size(); ++i) {
    const bool ordered = is_ordered(program_.accumulators[i].sum);
    (ordered ? by_morsel : once) += states_[i]->bytes_of_group();
    if (!ordered) kept += states_[i]->own_bytes();
  }
  size_t texts = 0;
  for (const TextNumbers& t : texts_) texts += t.text_bytes();
  return (groups_.size() * once + texts) * (part_.tables + 1) +
             groups_.size() * by_morsel * (part_.morsels + 1) + kept >
         part_.most_bytes;
}

bool Aggregation::is_morsel_too_large() const {
  if (part_.morsels == 0) return false;
  size_t own = 0;
  for (size_t i = 0; i < states_.size(); ++i)
    if (is_ordered(program_.accumulators[i].sum)) own += states_[i]->own_bytes();
  return own > part_.most_bytes / (part_.morsels + 1);
}

}  // namespace datahike::vector
