// Words that an encoding computes from a column's values and has encoded in turn.
//
//   nested(n) := encoding:u8 values   `n` integers of 64 bits in an encoding of lower depth
#pragma once

#include "column/encoding.h"

namespace datahike::column {

struct Nested {
  Values values{Kind::Int64};
  ZoneMap zone;
  Plan plan;
  uint64_t bytes() const { return 1 + plan.bytes; }
};

// Chooses an encoding of a depth below `below` for words of which none is NULL.
// REQUIRES: values has a row.
std::shared_ptr<Nested> encode_nested(Values values, uint8_t below);
void write_nested(const Nested& nested, Bytes& out);
// The nested(rows) that is all of `body`. CorruptError where it is of no encoding below `below`.
struct NestedReader {
  const Encoding* encoding;
  Encoded values;
  uint64_t word(uint32_t row) const { return encoding->word(values, row); }
  void words(uint32_t first, std::span<uint64_t> out) const { encoding->words(values, first, out); }
};
NestedReader read_nested(ByteView body, uint32_t rows, uint8_t below);

}  // namespace datahike::column
