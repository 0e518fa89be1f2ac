// Plain: the values one after the other.
//
//   plain := byte[rows * word_bytes(kind)]   words, little-endian
//          | byte_list(rows)                 byte strings
#include "column/byte_list.h"
#include "column/encoding.h"

namespace datahike::column {
namespace {

ByteListShape shape_of(const Values& values) {
  const std::span<const uint64_t> offsets = values.offsets();
  uint64_t shortest = std::numeric_limits<uint64_t>::max();
  for (uint32_t row = 0; row < values.rows(); ++row)
    shortest = std::min(shortest, offsets[row + 1] - offsets[row]);
  return byte_list_shape(values.rows(), shortest, values.data().size());
}

bool analyse(const Values& values, const ZoneMap&, Plan& plan) {
  const uint64_t bytes = is_word(values.kind())
                             ? uint64_t{values.rows()} * word_bytes(values.kind())
                             : shape_of(values).bytes();
  if (bytes >= plan.bytes) return false;
  plan.bytes = bytes;
  return true;
}

template <class T>
void write_words(std::span<const uint64_t> words, Bytes& out) {
  const size_t at = out.size();
  out.resize(at + words.size() * sizeof(T));
  uint8_t* p = out.data() + at;
  for (size_t i = 0; i < words.size(); ++i) {
    const T value = static_cast<T>(words[i]);
    std::memcpy(p + i * sizeof(T), &value, sizeof(T));
  }
}

void encode(const Values& values, const ZoneMap&, const Plan&, Bytes& out) {
  if (!is_word(values.kind())) {
    const std::span<const uint64_t> offsets = values.offsets();
    write_byte_list_head(
        shape_of(values), [&](uint64_t i) { return offsets[i]; }, out);
    ByteWriter(out).raw(values.data());
    return;
  }
  switch (word_bytes(values.kind())) {
    case 1:
      return write_words<uint8_t>(values.words(), out);
    case 2:
      return write_words<uint16_t>(values.words(), out);
    case 4:
      return write_words<uint32_t>(values.words(), out);
    default:
      return write_words<uint64_t>(values.words(), out);
  }
}

// Calls `read` with the C++ type of the words of this kind, for which T -> uint64_t is normalised.
template <class Read>
auto with_word_type(Kind kind, Read read) {
  switch (kind) {
    case Kind::Int8:
      return read(int8_t{});
    case Kind::Int16:
      return read(int16_t{});
    case Kind::Int32:
      return read(int32_t{});
    case Kind::Float32:
      return read(uint32_t{});
    default:
      return read(uint64_t{});
  }
}

uint64_t read_word(const Encoded& column, uint32_t row) {
  return with_word_type(column.kind, [&](auto value) {
    if ((uint64_t{row} + 1) * sizeof value > column.body.size())
      throw CorruptError("column: truncated plain values");
    std::memcpy(&value, column.body.data() + size_t{row} * sizeof value, sizeof value);
    return static_cast<uint64_t>(value);
  });
}

void read_words(const Encoded& column, uint32_t first, std::span<uint64_t> out) {
  with_word_type(column.kind, [&](auto value) {
    if ((first + out.size()) * sizeof value > column.body.size())
      throw CorruptError("column: truncated plain values");
    const uint8_t* p = column.body.data() + size_t{first} * sizeof value;
    for (size_t i = 0; i < out.size(); ++i) {
      std::memcpy(&value, p + i * sizeof value, sizeof value);
      out[i] = static_cast<uint64_t>(value);
    }
  });
}

ByteView read_bytes(const Encoded& column, uint32_t row, ShortScratch&) {
  return read_byte_list(column.body, column.rows, row);
}

}  // namespace

constinit const Encoding kPlain = {analyse, encode, read_word, read_words, read_bytes};

}  // namespace datahike::column
