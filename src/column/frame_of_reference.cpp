// Frame of reference: integers as bit-packed distances from the smallest.
//
//   frame_of_reference := base:i64 width:u8 packed(rows, width)
//
// Value i is base + packed value i, modulo 2^64: the distance of any two int64 fits in 64 bits
// without a sign, so the whole range of int64 is covered and nothing overflows.
#include <bit>

#include "column/bit_packing.h"
#include "column/encoding.h"

namespace datahike::column {
namespace {

constexpr size_t kHeadBytes = 9;

unsigned width_of(const ZoneMap& zone) {
  return std::bit_width(static_cast<uint64_t>(zone.max) - static_cast<uint64_t>(zone.min));
}

bool analyse(const Values& values, const ZoneMap& zone, Plan& plan) {
  if (!is_integer(values.kind())) return false;
  const uint64_t bytes = kHeadBytes + packed_bytes(values.rows(), width_of(zone));
  if (bytes >= plan.bytes) return false;
  plan.bytes = bytes;
  return true;
}

void encode(const Values& values, const ZoneMap& zone, const Plan&, Bytes& out) {
  const unsigned width = width_of(zone);
  const uint64_t base = static_cast<uint64_t>(zone.min);
  ByteWriter writer(out);
  writer.fixed<int64_t>(zone.min);
  writer.fixed<uint8_t>(static_cast<uint8_t>(width));
  const std::span<const uint64_t> words = values.words();
  pack(
      words.size(), width, [&](uint64_t i) { return words[i] - base; }, out);
}

struct Frame {
  uint64_t base;
  unsigned width;
  ByteView packed;
};

Frame frame_of(const Encoded& column) {
  if (column.body.size() < kHeadBytes) throw CorruptError("column: truncated frame of reference");
  const Frame frame{load64(column.body.data()), column.body[8], column.body.subspan(kHeadBytes)};
  if (frame.width > 64) throw CorruptError("column: bit-packed values of more than 64 bits");
  return frame;
}

uint64_t read_word(const Encoded& column, uint32_t row) {
  const Frame frame = frame_of(column);
  return frame.base + unpack(frame.packed, row, frame.width);
}

void read_words(const Encoded& column, uint32_t first, std::span<uint64_t> out) {
  const Frame frame = frame_of(column);
  unpack_run(frame.packed, first, frame.width, frame.base, out);
}

}  // namespace

constinit const Encoding kFrameOfReference = {analyse, encode, read_word, read_words, no_bytes};

}  // namespace datahike::column
