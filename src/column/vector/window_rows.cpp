#include "column/vector/window_rows.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>

#include "column/vector/row_order.h"

namespace datahike::vector {

namespace {

constexpr unsigned kDigitBits = 11;
constexpr uint32_t kPollRows = 1 << 18;

template <class Narrow>
void append_narrow(const Vector& v, unsigned n, uint8_t* to) {
  for (unsigned i = 0; i < n; ++i) {
    const auto value = static_cast<Narrow>(v.words[i]);
    std::memcpy(to + i * sizeof value, &value, sizeof value);
  }
}

template <class Narrow>
uint64_t widened(const uint8_t* from) {
  Narrow value;
  std::memcpy(&value, from, sizeof value);
  return static_cast<uint64_t>(int64_t{value});
}

// Words that are ordered, unsigned, as the values are.
uint64_t ordered(uint64_t word, bool real) {
  constexpr uint64_t kSign = uint64_t{1} << 63;
  if (!real) return word ^ kSign;
  word = normalised(word);
  return word ^ (word & kSign ? ~uint64_t{0} : kSign);
}

// By the strings' numbers: which of them comes how far in the order of their bytes.
std::vector<uint32_t> ranks_of(const TextNumbers& texts) {
  std::vector<uint32_t> sorted(texts.size()), ranks(texts.size());
  std::iota(sorted.begin(), sorted.end(), 0u);
  std::ranges::sort(sorted, [&texts](uint32_t a, uint32_t b) {
    const ByteView x = texts.text(a), y = texts.text(b);
    return std::ranges::lexicographical_compare(x, y);
  });
  for (uint32_t i = 0; i < sorted.size(); ++i) ranks[sorted[i]] = i;
  return ranks;
}

}  // namespace

uint64_t WindowRows::Values::word(uint32_t row) const {
  const uint8_t* from = data.data() + size_t{row} * bytes;
  switch (bytes) {
    case 1:
      return widened<int8_t>(from);
    case 2:
      return widened<int16_t>(from);
    case 4:
      return widened<int32_t>(from);
    default:
      return widened<int64_t>(from);
  }
}

void WindowRows::Values::append(const Vector& v, uint32_t at, unsigned n) {
  data.resize((size_t{at} + n) * bytes);
  uint8_t* to = data.data() + size_t{at} * bytes;
  switch (bytes) {
    case 1:
      append_narrow<int8_t>(v, n, to);
      break;
    case 2:
      append_narrow<int16_t>(v, n, to);
      break;
    case 4:
      append_narrow<int32_t>(v, n, to);
      break;
    default:
      append_narrow<int64_t>(v, n, to);
  }
  nulls.resize((size_t{at} + n + 63) / 64);
  if (!v.any_null) return;
  any_null = true;
  for (unsigned i = 0; i < n; ++i)
    nulls[(at + i) / 64] |= uint64_t{v.null[i] != 0} << (at + i) % 64;
}

WindowRows::WindowRows(const Program& program, size_t most_bytes)
    : program_(program), most_bytes_(most_bytes), evaluator_(program) {
  for (const Key& key : program.keys) {
    Values& values = values_.emplace_back();
    if (key.text >= 0) {
      values.bytes = 4;
      values.texts = std::make_unique<TextNumbers>();
      if (!numbers_) numbers_ = std::make_unique<Vector>();
      continue;
    }
    const Expression& e = program.expressions[key.expression];
    values.real = e.type == Type::Float;
    // Only a column's values are known to be as narrow as their type (and numerics are not).
    if (!values.real && e.scale < 0 && e.op == Op::Column) values.bytes = e.bytes;
  }
}

WindowRows::~WindowRows() = default;

// What is reserved costs nothing until it is used.
void WindowRows::reserve(size_t rows) {
  const size_t most = size_t{rows_} + rows;
  size_t needed = 0;
  for (const Values& values : values_) needed += most * values.bytes;
  if (needed > most_bytes_) return;
  for (Values& values : values_) {
    values.data.reserve(most * values.bytes);
    values.nulls.reserve(most / 64 + 1);
  }
}

void WindowRows::add(const Piece& piece, const Poll& poll) {
  ++counters_.segments;
  counters_.rows += piece.live_rows;
  if (!evaluator_.begin(piece)) {
    ++counters_.pruned;
    return;
  }
  for (uint32_t base = 0; base < piece.segment.rows(); base += kChunkRows) {
    if (evaluator_.chunk(base) > 0) add_chunk();
    poll();
  }
  check_size(0);
}

void WindowRows::add_chunk() {
  const unsigned n = evaluator_.selected();
  if (rows_ > std::numeric_limits<uint32_t>::max() - kChunkRows) throw TooManyRows();
  counters_.passed += n;
  for (size_t s = 0; s < values_.size(); ++s) {
    const Key& key = program_.keys[s];
    if (key.text >= 0) {
      evaluator_.text_numbers(key.text, *values_[s].texts, *numbers_);
      values_[s].append(*numbers_, rows_, n);
    } else {
      values_[s].append(evaluator_.value(key.expression), rows_, n);
    }
  }
  rows_ += n;
}

uint32_t WindowRows::next_set(const LargeVector<uint64_t>& bits, uint32_t from) const {
  for (uint32_t at = from; at < rows_; at = (at / 64 + 1) * 64)
    if (const uint64_t left = bits[at / 64] >> at % 64; left)
      return at + static_cast<unsigned>(std::countr_zero(left));
  return rows_;
}

// What sorting needs is reckoned with what is there.
void WindowRows::check_size(size_t more) const {
  constexpr size_t kOrderBytes = 2 * sizeof(uint32_t);
  if (bytes() + rows_ * kOrderBytes + rows_ / 4 + more > most_bytes_) throw TooManyRows();
}

// But for the order, which check_size() reckons.
size_t WindowRows::bytes() const {
  size_t total = 0;
  for (const Values& values : values_) {
    total += values.data.size() + values.nulls.size() * sizeof(uint64_t);
    if (values.texts) total += values.texts->bytes();
  }
  return total;
}

// Counting sort by a digit of each row, which is stable.
template <class Digit>
void WindowRows::sort_pass(unsigned digits, LargeVector<uint32_t>& scratch, const Poll& poll,
                           Digit digit) {
  std::vector<uint32_t> next(digits + 1);
  for (uint32_t row = 0; row < rows_; ++row) {
    ++next[digit(row) + 1];
    if (row % kPollRows == 0) poll();
  }
  if (std::ranges::find(next, rows_) != next.end()) return;  // all have the same
  std::partial_sum(next.begin(), next.end(), next.begin());
  for (uint32_t i = 0; i < rows_; ++i) {
    const uint32_t row = order_[i];
    scratch[next[digit(row)]++] = row;
    if (i % kPollRows == 0) poll();
  }
  order_.swap(scratch);
}

void WindowRows::sort_by(const WindowOrder& term, LargeVector<uint32_t>& scratch,
                         const Poll& poll) {
  const Values& values = values_[term.source];
  std::vector<uint32_t> ranks;
  if (values.texts) {
    check_size(size_t{2} * values.texts->size() * sizeof(uint32_t));
    ranks = ranks_of(*values.texts);
  }
  const auto null = [&](uint32_t row) { return values.any_null && bit(values.nulls, row); };
  const auto word = [&](uint32_t row) {
    const uint64_t w = values.word(row);
    return values.texts ? uint64_t{ranks[static_cast<uint32_t>(w)]} : ordered(w, values.real);
  };
  uint64_t least = ~uint64_t{0}, most = 0;
  for (uint32_t row = 0; row < rows_; ++row) {
    if (row % kPollRows == 0) poll();
    if (null(row)) continue;
    const uint64_t w = word(row);
    least = std::min(least, w);
    most = std::max(most, w);
  }
  if (least < most) {
    const unsigned bits = 64 - static_cast<unsigned>(std::countl_zero(most - least));
    for (unsigned shift = 0; shift < bits; shift += kDigitBits)
      sort_pass(1u << kDigitBits, scratch, poll, [&](uint32_t row) -> uint32_t {
        if (null(row)) return 0;
        const uint64_t distance = term.descending ? most - word(row) : word(row) - least;
        return distance >> shift & ((1u << kDigitBits) - 1);
      });
  }
  if (values.any_null)
    sort_pass(2, scratch, poll,
              [&](uint32_t row) -> uint32_t { return null(row) != term.nulls_first; });
}

// Sets the bit of each place whose row differs from the one before it.
void WindowRows::mark_where_differ(unsigned source, LargeVector<uint64_t>& marks,
                                   const Poll& poll) const {
  const Values& values = values_[source];
  bool null_before = false;
  uint64_t word_before = 0;
  for (uint32_t i = 0; i < rows_; ++i) {
    if (i % kPollRows == 0) poll();
    const uint32_t row = order_[i];
    const bool null = values.any_null && bit(values.nulls, row);
    const uint64_t word = null ? 0 : ordered(values.word(row), values.real);
    marks[i / 64] |= uint64_t{i == 0 || null != null_before || word != word_before} << i % 64;
    null_before = null;
    word_before = word;
  }
}

void WindowRows::sort(std::span<const WindowOrder> terms, unsigned partition, const Poll& poll) {
  check_size(0);
  order_.resize(rows_);
  std::iota(order_.begin(), order_.end(), 0u);
  LargeVector<uint32_t> scratch(rows_);
  for (size_t t = terms.size(); t-- > 0;) sort_by(terms[t], scratch, poll);
  scratch = {};
  const size_t words = (size_t{rows_} + 63) / 64;
  partitions_.assign(words, 0);
  if (words > 0) partitions_[0] = 1;
  for (unsigned t = 0; t < partition; ++t) mark_where_differ(terms[t].source, partitions_, poll);
  peers_ = partitions_;
  for (size_t t = partition; t < terms.size(); ++t)
    mark_where_differ(terms[t].source, peers_, poll);
}

}  // namespace datahike::vector
