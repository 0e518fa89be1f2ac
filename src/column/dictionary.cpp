// Dictionary: the distinct byte strings once, and for each row the bit-packed code of its string.
//
//   dictionary := count:u32 packed(rows, bit_width(count - 1)) byte_list(count)
//
// Codes are given in the order in which the strings first appear. A NULL row has code 0.
#include <algorithm>
#include <bit>

// The declaration of XXH3 with its body: hashing a short string costs less than a call.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "column/byte_list.h"
#include "column/encoding.h"

namespace datahike::column {
namespace {

constexpr size_t kHeadBytes = 4;

unsigned code_width(uint64_t count) { return std::bit_width(count - 1); }

// Finds the code of a string: a hash table with open addressing that holds codes, and for each
// code the hash of its string, so that almost every comparison of strings is of equal ones.
class CodeTable {
 public:
  CodeTable(const Values& values, std::vector<uint32_t>& distinct)
      : values_(values), distinct_(distinct), slots_(kFirstSlots, kEmpty) {}

  // The code of the string of `row`, a new one if it is the first of its kind.
  uint32_t code(uint32_t row) {
    const ByteView value = values_.bytes(row);
    const uint64_t hash = XXH3_64bits(value.data(), value.size());
    size_t slot = hash & (slots_.size() - 1);
    for (; slots_[slot] != kEmpty; slot = (slot + 1) & (slots_.size() - 1)) {
      const uint32_t code = slots_[slot];
      if (hashes_[code] == hash && same(values_.bytes(distinct_[code]), value)) return code;
    }
    const uint32_t code = static_cast<uint32_t>(distinct_.size());
    distinct_.push_back(row);
    hashes_.push_back(hash);
    slots_[slot] = code;
    if (distinct_.size() * 2 > slots_.size()) grow();
    return code;
  }

 private:
  static constexpr uint32_t kEmpty = ~uint32_t{0};
  static constexpr size_t kFirstSlots = 64;

  static bool same(ByteView a, ByteView b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
  }

  void grow() {
    slots_.assign(slots_.size() * 4, kEmpty);
    for (uint32_t code = 0; code < hashes_.size(); ++code) {
      size_t slot = hashes_[code] & (slots_.size() - 1);
      while (slots_[slot] != kEmpty) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = code;
    }
  }

  const Values& values_;
  std::vector<uint32_t>& distinct_;
  std::vector<uint32_t> slots_;
  std::vector<uint64_t> hashes_;
};

ByteListShape shape_of(const Values& values, const std::vector<uint32_t>& distinct) {
  uint64_t shortest = std::numeric_limits<uint64_t>::max();
  uint64_t total = 0;
  for (uint32_t row : distinct) {
    shortest = std::min<uint64_t>(shortest, values.bytes(row).size());
    total += values.bytes(row).size();
  }
  return byte_list_shape(distinct.size(), shortest, total);
}

bool analyse(const Values& values, const ZoneMap&, Plan& plan) {
  if (is_word(values.kind())) return false;
  CodeTable table(values, plan.distinct);
  plan.codes.reserve(values.rows());
  uint64_t distinct_bytes = 0;
  for (uint32_t row = 0; row < values.rows(); ++row) {
    if (values.is_null(row)) {
      plan.codes.push_back(0);
      continue;
    }
    const size_t known = plan.distinct.size();
    plan.codes.push_back(table.code(row));
    if (plan.distinct.size() == known) continue;
    distinct_bytes += values.bytes(row).size();
    // Where most strings differ this ends the search before the last row.
    if (distinct_bytes + packed_bytes(values.rows(), code_width(known + 1)) >= plan.bytes)
      return false;
  }
  const uint64_t bytes = kHeadBytes +
                         packed_bytes(values.rows(), code_width(plan.distinct.size())) +
                         shape_of(values, plan.distinct).bytes();
  if (bytes >= plan.bytes) return false;
  plan.bytes = bytes;
  return true;
}

void encode(const Values& values, const ZoneMap&, const Plan& plan, Bytes& out) {
  const uint32_t count = static_cast<uint32_t>(plan.distinct.size());
  ByteWriter writer(out);
  writer.fixed<uint32_t>(count);
  pack(
      values.rows(), code_width(count), [&](uint64_t row) { return plan.codes[row]; }, out);
  uint64_t offset = 0;
  const auto offset_at = [&](uint64_t code) {  // called once for each code, in order
    const uint64_t at = offset;
    if (code < count) offset += values.bytes(plan.distinct[code]).size();
    return at;
  };
  write_byte_list_head(shape_of(values, plan.distinct), offset_at, out);
  for (uint32_t row : plan.distinct) writer.raw(values.bytes(row));
}

struct Parts {
  uint32_t count;
  unsigned width;
  ByteView codes;  // packed, and what comes after them
  ByteView strings;
};

Parts parts_of(const Encoded& column) {
  if (column.body.size() < kHeadBytes) throw CorruptError("column: truncated dictionary");
  Parts parts;
  std::memcpy(&parts.count, column.body.data(), sizeof parts.count);
  if (parts.count == 0) throw CorruptError("column: empty dictionary");
  parts.codes = column.body.subspan(kHeadBytes);
  parts.width = code_width(parts.count);
  const uint64_t bytes = packed_bytes(column.rows, parts.width);
  if (bytes > parts.codes.size()) throw CorruptError("column: truncated dictionary codes");
  parts.strings = parts.codes.subspan(bytes);
  return parts;
}

ByteView read_bytes(const Encoded& column, uint32_t row, ShortScratch&) {
  const Parts parts = parts_of(column);
  return read_byte_list(parts.strings, parts.count, unpack(parts.codes, row, parts.width));
}

uint32_t code_count(const Encoded& column) { return parts_of(column).count; }

void read_codes(const Encoded& column, uint32_t first, std::span<uint32_t> out) {
  const Parts parts = parts_of(column);
  constexpr size_t kPart = 256;
  uint64_t codes[kPart];
  uint32_t largest = 0;
  for (size_t done = 0; done < out.size(); done += kPart) {
    const size_t n = std::min(kPart, out.size() - done);
    unpack_run(parts.codes, first + done, parts.width, 0, {codes, n});
    for (size_t i = 0; i < n; ++i) {
      out[done + i] = static_cast<uint32_t>(codes[i]);
      largest = std::max(largest, out[done + i]);
    }
  }
  if (largest >= parts.count) throw CorruptError("column: code outside its dictionary");
}

ByteView read_coded(const Encoded& column, uint32_t code) {
  const Parts parts = parts_of(column);
  return read_byte_list(parts.strings, parts.count, code);
}

}  // namespace

constinit const Encoding kDictionary = {analyse,    encode,     no_word,    no_words,
                                        read_bytes, code_count, read_codes, read_coded};

}  // namespace datahike::column
