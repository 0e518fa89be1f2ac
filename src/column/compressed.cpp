// Compressed: byte strings of which some are stored as PostgreSQL compressed them. What is stored
// for a row is encoded as other byte strings are.
//
//   compressed := encoding:u8 bitmap:byte[(rows + 7) / 8] values
//
// A bit of the bitmap, the lowest first, is set where what is stored is compressed (decompress.h).
// The values are those of encoding constant, plain or dictionary.
#include <utility>

#include "column/encoding.h"

namespace datahike::column {
namespace {

constexpr const Encoding* kInner[] = {&kConstant, &kPlain, &kDictionary};

size_t head_bytes(uint32_t rows) { return 1 + (rows + 7) / 8; }

uint8_t number_of(const Encoding* encoding) {
  return static_cast<uint8_t>(std::find(std::begin(kEncodings), std::end(kEncodings), encoding) -
                              std::begin(kEncodings));
}

bool analyse(const Values& values, const ZoneMap& zone, Plan& plan) {
  if (!values.any_compressed()) return false;
  Plan best;
  for (const Encoding* inner : kInner) {
    Plan found;
    found.inner = number_of(inner);
    found.bytes = best.bytes;
    if (inner->analyse(values, zone, found)) best = std::move(found);
  }
  const uint64_t bytes = head_bytes(values.rows()) + best.bytes;
  if (bytes >= plan.bytes) return false;
  best.encoding = plan.encoding;
  best.bytes = bytes;
  plan = std::move(best);
  return true;
}

void encode(const Values& values, const ZoneMap& zone, const Plan& plan, Bytes& out) {
  const size_t head = head_bytes(values.rows());
  const size_t end = out.size() + head;
  out.push_back(plan.inner);
  ByteWriter(out).raw(values.compressed_bits());
  out.resize(end);
  Plan inner = plan;
  inner.bytes -= head;
  kEncodings[plan.inner]->encode(values, zone, inner, out);
}

struct Stored {
  const Encoding* encoding;
  ByteView bitmap;
  Encoded values;
};

Stored stored_of(const Encoded& column) {
  const size_t head = head_bytes(column.rows);
  if (column.body.size() < head) throw CorruptError("column: truncated compressed values");
  for (const Encoding* inner : kInner)
    if (column.body[0] == number_of(inner))
      return {inner,
              column.body.subspan(1, head - 1),
              {column.kind, column.rows, column.body.subspan(head)}};
  throw CorruptError("column: compressed values in an unknown encoding");
}

ByteView read_bytes(const Encoded& column, uint32_t row, ShortScratch& scratch) {
  const Stored stored = stored_of(column);
  return stored.encoding->bytes(stored.values, row, scratch);
}

bool is_compressed(const Encoded& column, uint32_t row) {
  return stored_of(column).bitmap[row / 8] >> row % 8 & 1;
}

}  // namespace

constinit const Encoding kCompressed = {.analyse = analyse,
                                        .encode = encode,
                                        .word = no_word,
                                        .words = no_words,
                                        .bytes = read_bytes,
                                        .is_compressed = is_compressed};

}  // namespace datahike::column
