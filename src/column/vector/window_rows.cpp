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

// Words that are ordered, unsigned, as the values are.
uint64_t ordered(uint64_t word, bool real) {
  constexpr uint64_t kSign = uint64_t{1} << 63;
  if (!real) return word ^ kSign;
  word = normalised(word);
  return word ^ (word & kSign ? ~uint64_t{0} : kSign);
}

// By the strings' numbers: which of them comes how far in the order of their bytes.
std::vector<uint32_t> ranks_of(const TextNumbers& texts, const WindowRows::Poll& poll) {
  std::vector<uint32_t> sorted(texts.size()), ranks(texts.size());
  std::iota(sorted.begin(), sorted.end(), 0u);
  uint32_t compared = 0;
  std::ranges::sort(sorted, [&](uint32_t a, uint32_t b) {
    if (++compared % kPollRows == 0) poll();
    const ByteView x = texts.text(a), y = texts.text(b);
    return std::ranges::lexicographical_compare(x, y);
  });
  for (uint32_t i = 0; i < sorted.size(); ++i) ranks[sorted[i]] = i;
  return ranks;
}

}  // namespace

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

// Values that are read one behind the other need not be waited for.
void WindowRows::Values::rearrange(const LargeVector<uint32_t>& order, const Poll& poll) {
  LargeVector<uint8_t> moved(data.size());
  const auto move = [&]<class Stored>(Stored) {
    for (size_t i = 0; i < order.size(); ++i) {
      if (i % kPollRows == 0) poll();
      std::memcpy(moved.data() + i * sizeof(Stored), data.data() + order[i] * sizeof(Stored),
                  sizeof(Stored));
    }
  };
  switch (bytes) {
    case 1:
      move(int8_t{});
      break;
    case 2:
      move(int16_t{});
      break;
    case 4:
      move(int32_t{});
      break;
    default:
      move(int64_t{});
  }
  data.swap(moved);
  if (!any_null) return;
  LargeVector<uint64_t> moved_nulls(nulls.size());
  for (size_t i = 0; i < order.size(); ++i)
    moved_nulls[i / 64] |= uint64_t{bit(nulls, order[i])} << i % 64;
  nulls.swap(moved_nulls);
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
  for (size_t i = 0; i < program.conditions.size(); ++i) values_.emplace_back().bytes = 1;
  if (!program.conditions.empty() && !numbers_) numbers_ = std::make_unique<Vector>();
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
    if (evaluator_.chunk(base) > 0) {
      add_chunk();
      check_size(0);
    }
    poll();
  }
}

void WindowRows::add_chunk() {
  const unsigned n = evaluator_.selected();
  if (rows_ > std::numeric_limits<uint32_t>::max() - kChunkRows) throw TooManyRows();
  counters_.passed += n;
  const size_t keys = program_.keys.size();
  for (size_t s = 0; s < keys; ++s) {
    const Key& key = program_.keys[s];
    if (key.text >= 0) {
      evaluator_.text_numbers(key.text, *values_[s].texts, *numbers_);
      values_[s].append(*numbers_, rows_, n);
    } else {
      values_[s].append(evaluator_.value(key.expression), rows_, n);
    }
  }
  for (size_t c = 0; c < program_.conditions.size(); ++c) {
    std::fill_n(numbers_->words, n, 0);
    numbers_->any_null = false;
    evaluator_.with_condition(program_.conditions[c], [&](const uint16_t* places) {
      for (unsigned i = 0; i < evaluator_.selected(); ++i) numbers_->words[places[i]] = 1;
    });
    values_[keys + c].append(*numbers_, rows_, n);
  }
  rows_ += n;
}

unsigned WindowRows::add_results() {
  const size_t words = (size_t{rows_} + 63) / 64;
  check_size(size_t{rows_} * sizeof(uint64_t) + words * sizeof(uint64_t));
  Values& values = values_.emplace_back();
  values.any_null = true;
  values.data.resize(size_t{rows_} * sizeof(uint64_t));
  values.nulls.assign(words, ~uint64_t{0});
  return static_cast<unsigned>(values_.size() - 1);
}

void WindowRows::set_result(unsigned source, uint32_t place, uint64_t word) {
  Values& values = values_[source];
  std::memcpy(values.data.data() + size_t{place} * sizeof word, &word, sizeof word);
  values.nulls[place / 64] &= ~(uint64_t{1} << place % 64);
}

void WindowRows::set_bytes_elsewhere(size_t bytes) {
  bytes_elsewhere_ = bytes;
  check_size(0);
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
  size_t total = bytes_elsewhere_;
  for (const Values& values : values_) {
    total += values.data.size() + values.nulls.size() * sizeof(uint64_t);
    if (values.texts) total += values.texts->bytes();
  }
  return total;
}

struct WindowRows::Term {
  const Values* values = nullptr;
  bool descending = false, nulls_first = false;
  std::vector<uint32_t> ranks;  // of strings
  uint64_t least = 0, most = 0;
  uint64_t lowest = 0;  // code of a value
  // Of codes; 65: there are more of them than 64 bits have.
  unsigned bits = 0;

  bool is_null(uint32_t row) const { return values->any_null && bit(values->nulls, row); }
  uint64_t word(uint32_t row) const {
    const uint64_t w = values->word(row);
    return values->texts ? ranks[static_cast<uint32_t>(w)] : ordered(w, values->real);
  }
  // Unsigned words in the term's order. REQUIRES: bits <= 64.
  uint64_t code(uint64_t word) const { return (descending ? most - word : word - least) + lowest; }
  uint64_t code_of_null() const { return nulls_first ? 0 : most - least + 1; }
  // body(how a row's word is read), which is compiled for each way in which values are held.
  template <class Body>
  void with_words(Body body) const {
    const uint8_t* data = values->data.data();
    const auto integers = [data]<class Stored>(Stored) {
      return [data](uint32_t row) {
        return ordered(widened<Stored>(data + size_t{row} * sizeof(Stored)), false);
      };
    };
    if (values->texts)
      return body([data, of = ranks.data()](uint32_t row) -> uint64_t {
        return of[static_cast<uint32_t>(widened<int32_t>(data + size_t{row} * sizeof(int32_t)))];
      });
    if (values->real)
      return body([data](uint32_t row) {
        return ordered(widened<int64_t>(data + size_t{row} * sizeof(int64_t)), true);
      });
    switch (values->bytes) {
      case 1:
        return body(integers(int8_t{}));
      case 2:
        return body(integers(int16_t{}));
      case 4:
        return body(integers(int32_t{}));
      default:
        return body(integers(int64_t{}));
    }
  }
  // The same of codes.
  template <class Body>
  void with_codes(Body body) const {
    with_words([&](const auto& word) {
      if (!values->any_null) return body([&](uint32_t row) { return code(word(row)); });
      body([&](uint32_t row) { return is_null(row) ? code_of_null() : code(word(row)); });
    });
  }
};

WindowRows::Term WindowRows::describe(const WindowOrder& order, const Poll& poll) const {
  Term term;
  term.values = &values_[order.source];
  term.descending = order.descending;
  term.nulls_first = order.nulls_first;
  if (const TextNumbers* texts = term.values->texts.get()) {
    check_size(size_t{2} * texts->size() * sizeof(uint32_t));
    term.ranks = ranks_of(*texts, poll);
  }
  uint64_t least = ~uint64_t{0}, most = 0;
  term.with_words([&](const auto& word) {
    for (uint32_t row = 0; row < rows_; ++row) {
      if (row % kPollRows == 0) poll();
      if (term.is_null(row)) continue;
      const uint64_t w = word(row);
      least = std::min(least, w);
      most = std::max(most, w);
    }
  });
  if (least > most) least = most = 0;  // all are NULL
  term.least = least;
  term.most = most;
  const uint64_t span = most - least;
  term.bits = span == ~uint64_t{0} && term.values->any_null
                  ? 65
                  : static_cast<unsigned>(std::bit_width(span + term.values->any_null));
  term.lowest = term.bits <= 64 && term.values->any_null && term.nulls_first;
  return term;
}

// By digits, the lowest first: counting sorts, which are stable.
void WindowRows::sort_partitions(const Term& term, LargeVector<uint32_t>& scratch,
                                 const Poll& poll) {
  constexpr uint32_t kDigits = 1u << kDigitBits;
  const auto pass = [&](uint32_t digits, const auto& digit) {
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
  };
  // Where there are more codes than 64 bits have, NULLs are told apart by themselves.
  const bool apart = term.bits > 64;
  term.with_codes([&](const auto& code) {
    for (unsigned shift = 0; shift < std::min(term.bits, 64u); shift += kDigitBits)
      pass(kDigits, [&](uint32_t row) -> uint32_t {
        if (apart && term.is_null(row)) return 0;
        return code(row) >> shift & (kDigits - 1);
      });
  });
  if (apart)
    pass(2, [&](uint32_t row) -> uint32_t { return term.is_null(row) != term.nulls_first; });
}

// Sets the bit of each place whose row differs from the one before it.
void WindowRows::mark_where_differ(const Term& term, const Poll& poll) {
  bool null_before = false;
  uint64_t before = 0;
  term.with_words([&](const auto& word) {
    for (uint32_t i = 0; i < rows_; ++i) {
      if (i % kPollRows == 0) poll();
      const bool null = term.is_null(order_[i]);
      const uint64_t w = null ? 0 : word(order_[i]);
      partitions_[i / 64] |= uint64_t{i == 0 || null != null_before || w != before} << i % 64;
      null_before = null;
      before = w;
    }
  });
}

int WindowRows::compare(std::span<const Term> terms, uint32_t a, uint32_t b) {
  for (const Term& term : terms) {
    const bool null_a = term.is_null(a), null_b = term.is_null(b);
    if (null_a != null_b) return null_a == term.nulls_first ? -1 : 1;
    if (null_a) continue;
    const uint64_t x = term.word(a), y = term.word(b);
    if (x != y) return (x < y) != term.descending ? -1 : 1;
  }
  return 0;
}

// A row with its codes of the first terms.
struct WindowRows::Item {
  uint64_t codes;
  uint32_t row;
};

void WindowRows::sort_partition(std::span<const Term> terms, size_t packed,
                                std::vector<Item>& items, uint32_t begin, uint32_t end,
                                const Poll& poll) {
  items.resize(end - begin);
  for (uint32_t i = begin; i < end; ++i) items[i - begin] = {0, order_[i]};
  for (const Term& term : terms.first(packed))
    term.with_codes([&](const auto& code) {
      const unsigned bits = term.bits;
      for (Item& item : items) item.codes = (bits < 64 ? item.codes << bits : 0) | code(item.row);
    });
  const std::span<const Term> rest = terms.subspan(packed);
  uint32_t compared = 0;
  const auto before = [&](const Item& a, const Item& b) {
    if (++compared % (1u << 20) == 0) poll();
    if (a.codes != b.codes) return a.codes < b.codes;
    if (!rest.empty())
      if (const int order = compare(rest, a.row, b.row)) return order < 0;
    return a.row < b.row;
  };
  if (!std::ranges::is_sorted(items, before)) std::ranges::sort(items, before);
  for (uint32_t i = begin; i < end; ++i) {
    const Item& item = items[i - begin];
    order_[i] = item.row;
    if (i == begin) continue;
    const Item& last = items[i - begin - 1];
    if (last.codes != item.codes || compare(rest, last.row, item.row) != 0)
      peers_[i / 64] |= uint64_t{1} << i % 64;
  }
}

void WindowRows::sort(std::span<const WindowOrder> orders, unsigned partition, const Poll& poll) {
  check_size(0);
  order_.resize(rows_);
  std::iota(order_.begin(), order_.end(), 0u);
  std::vector<Term> terms;
  for (const WindowOrder& order : orders) terms.push_back(describe(order, poll));
  const std::span<const Term> divides(terms.data(), partition);
  if (partition > 0) {
    LargeVector<uint32_t> scratch(rows_);
    for (size_t t = partition; t-- > 0;) sort_partitions(terms[t], scratch, poll);
  }
  partitions_.assign((size_t{rows_} + 63) / 64, 0);
  if (rows_ > 0) partitions_[0] = 1;
  for (const Term& term : divides) mark_where_differ(term, poll);
  peers_ = partitions_;
  sort_within(std::span<const Term>(terms).subspan(partition), poll);
  for (Values& values : values_) {
    check_size(values.data.size() + values.nulls.size() * sizeof(uint64_t));
    values.rearrange(order_, poll);
  }
  order_ = {};
}

void WindowRows::sort_within(std::span<const Term> within, const Poll& poll) {
  if (within.empty()) return;
  size_t packed = 0;
  for (unsigned bits = 0; packed < within.size() && bits + within[packed].bits <= 64; ++packed)
    bits += within[packed].bits;
  uint32_t largest = 0;
  for (uint32_t at = 0; at < rows_;) {
    const uint32_t end = partition_end(at);
    largest = std::max(largest, end - at);
    at = end;
  }
  check_size(largest * sizeof(Item));
  std::vector<Item> items;
  items.reserve(largest);
  uint32_t sorted = 0;
  for (uint32_t at = 0; at < rows_;) {
    const uint32_t end = partition_end(at);
    if (end - at > 1) sort_partition(within, packed, items, at, end, poll);
    sorted += end - at;
    if (sorted >= kPollRows) {
      poll();
      sorted = 0;
    }
    at = end;
  }
}

}  // namespace datahike::vector
