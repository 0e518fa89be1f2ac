#include "column/encoding.h"

#include <utility>

namespace datahike::column {

Plan choose_encoding(const Values& values, const ZoneMap& zone, uint8_t below) {
  Plan best;
  if (values.any_compressed()) {
    best.encoding = kCompressedNumber;
    kCompressed.analyse(values, zone, best);
    return best;
  }
  // Nothing is smaller than one value for all rows, and asking the others would cost more than
  // all else that a segment of one row needs.
  if (kConstant.analyse(values, zone, best)) return best;
  for (uint8_t number = kConstantNumber + 1; number < kEncodingCount; ++number) {
    if (kEncodings[number]->depth >= below) continue;
    Plan plan;
    plan.encoding = number;
    plan.bytes = best.bytes;
    if (kEncodings[number]->analyse(values, zone, plan)) best = std::move(plan);
  }
  return best;
}

uint64_t no_word(const Encoded&, uint32_t) {
  throw CorruptError("column: this encoding holds no numbers");
}

void no_words(const Encoded&, uint32_t, std::span<uint64_t>) {
  throw CorruptError("column: this encoding holds no numbers");
}

ByteView no_bytes(const Encoded&, uint32_t, ShortScratch&) {
  throw CorruptError("column: this encoding holds no byte strings");
}

}  // namespace datahike::column
