// Constant: every row that is not NULL has the same value.
//
//   constant := byte[0..8]   a word: its lowest bytes, as many as give it back by sign extension
//             | byte[*]      a byte string
#include <algorithm>

#include "column/encoding.h"
#include "column/significant_bytes.h"

namespace datahike::column {
namespace {

bool all_equal(const Values& values) {
  if (is_word(values.kind())) {
    const std::span<const uint64_t> words = values.words();
    return std::all_of(words.begin(), words.end(), [&](uint64_t w) { return w == words[0]; });
  }
  uint32_t row = values.first_value();
  const ByteView first = values.bytes(row);
  while (++row < values.rows()) {
    if (!values.is_null(row) && !std::ranges::equal(values.bytes(row), first)) return false;
  }
  return true;
}

bool analyse(const Values& values, const ZoneMap&, Plan& plan) {
  if (!all_equal(values)) return false;
  const uint64_t bytes = is_word(values.kind()) ? significant_bytes(values.words()[0])
                                                : values.bytes(values.first_value()).size();
  if (bytes >= plan.bytes) return false;
  plan.bytes = bytes;
  return true;
}

void encode(const Values& values, const ZoneMap&, const Plan& plan, Bytes& out) {
  if (is_word(values.kind())) {
    uint64_t word = values.words()[0];
    for (uint64_t i = 0; i < plan.bytes; ++i, word >>= 8) out.push_back(static_cast<uint8_t>(word));
  } else {
    ByteWriter(out).raw(values.bytes(values.first_value()));
  }
}

uint64_t read_word(const Encoded& column, uint32_t) {
  const size_t n = column.body.size();
  if (n == 0) return 0;
  if (n > 8) throw CorruptError("column: constant of more than 8 bytes");
  uint64_t word = 0;
  for (size_t i = 0; i < n; ++i) word |= static_cast<uint64_t>(column.body[i]) << 8 * i;
  const unsigned unused = 64 - 8 * static_cast<unsigned>(n);
  return static_cast<uint64_t>(static_cast<int64_t>(word << unused) >> unused);
}

void read_words(const Encoded& column, uint32_t, std::span<uint64_t> out) {
  std::ranges::fill(out, read_word(column, 0));
}

ByteView read_bytes(const Encoded& column, uint32_t, ShortScratch&) { return column.body; }

uint32_t code_count(const Encoded&) { return 1; }

void read_codes(const Encoded&, uint32_t, std::span<uint32_t> out) { std::ranges::fill(out, 0); }

ByteView read_coded(const Encoded& column, uint32_t) { return column.body; }

}  // namespace

constinit const Encoding kConstant = {analyse,    encode,     read_word,  read_words,
                                      read_bytes, code_count, read_codes, read_coded};

}  // namespace datahike::column
