// The first groups by a count, for ORDER BY count(...) LIMIT n: only for those rows are made.
#include <algorithm>

#include "exec/aggregate.h"

namespace datahike::exec {

namespace {

// Among groups with equal counts the keys decide, so that the number of threads does not.
bool has_lesser_keys(const vector::Aggregation& a, uint32_t group, const vector::Aggregation& b,
                     uint32_t other, const vector::Program& program) {
  for (unsigned k = 0; k < program.keys.size(); ++k) {
    const bool null = a.key_is_null(group, k), other_null = b.key_is_null(other, k);
    if (null != other_null) return other_null;
    if (null) continue;
    if (program.keys[k].text >= 0) {
      const ByteView x = a.key_text(group, k), y = b.key_text(other, k);
      const int order = std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end())   ? -1
                        : std::lexicographical_compare(y.begin(), y.end(), x.begin(), x.end()) ? 1
                                                                                               : 0;
      if (order != 0) return order < 0;
    } else if (a.key_word(group, k) != b.key_word(other, k)) {
      return a.key_word(group, k) < b.key_word(other, k);
    }
  }
  return false;
}

}  // namespace

size_t top_groups(const vector::ParallelAggregation& all, const vector::Program& program,
                  const Output& output, bool descending, size_t most, TopGroup* out) {
  const auto before = [&](const TopGroup& a, const TopGroup& b) {
    if (a.count != b.count) return descending ? a.count > b.count : a.count < b.count;
    return has_lesser_keys(*all.parts()[a.part], a.group, *all.parts()[b.part], b.group, program);
  };
  // A heap of the first ones so far, the last of them on top.
  size_t n = 0;
  for (uint32_t part = 0; part < all.parts().size(); ++part) {
    const vector::Aggregation& aggregation = *all.parts()[part];
    for (uint32_t g = 0; g < aggregation.groups(); ++g) {
      const TopGroup group{count_of(aggregation, output, g), part, g};
      if (n < most) {
        out[n++] = group;
        std::push_heap(out, out + n, before);
      } else if (n > 0 && before(group, out[0])) {
        std::pop_heap(out, out + n, before);
        out[n - 1] = group;
        std::push_heap(out, out + n, before);
      }
    }
  }
  std::sort_heap(out, out + n, before);
  return n;
}

}  // namespace datahike::exec
