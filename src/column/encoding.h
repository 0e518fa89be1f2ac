// The encodings of a column, and the choice of the smallest.
//
// Each encoding is one file of the same shape: analyse (does it fit, how large), encode, and read.
// Its format is the grammar at the head of its file. To add one: write the file, declare its
// Encoding below, and add one line to the table.
#pragma once

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "column/bytes.h"
#include "column/values.h"
#include "column/zone_map.h"

namespace datahike::column {

struct Nested;  // nested.h

// What analysing found, so that encoding need not look at the values again.
struct Plan {
  uint8_t encoding = 0;                                   // index in the table of encodings
  uint64_t bytes = std::numeric_limits<uint64_t>::max();  // size of the encoded values
  std::vector<uint32_t> codes;                            // dictionaries: the code of each row
  std::vector<uint32_t> distinct;   // dictionary: the row that holds the value of each code
  std::vector<uint64_t> words;      // word dictionary: the value of each code
  std::vector<uint32_t> positions;  // run_length: the end of each run; decimal_float: exceptions
  int64_t slope = 0;                // linear
  unsigned scale = 0;               // decimal, decimal_float
  uint8_t inner = 0;                // compressed: the encoding of what is stored
  std::shared_ptr<Nested> nested;   // of those that hold words encoded once more
};

// Where a byte string is put together that the encoded values do not hold as it is.
using ShortScratch = std::array<uint8_t, 24>;
// The same for values that may be compressed.
struct Scratch {
  ShortScratch brief;
  Bytes decompressed;
};

// Fewer rows are not worth more than the first four encodings: a transaction of a few rows is
// encoded while its COMMIT waits.
inline constexpr uint32_t kMinRowsToAnalyse = 64;

// Encoded values as they lie in a segment. They may be damaged: whatever they hold, reading them
// either returns something or throws CorruptError, and never looks outside `body`.
struct Encoded {
  Kind kind;
  uint32_t rows;
  ByteView body;
};

struct Encoding {
  // Whether `values`, not all of them NULL, fit in fewer than plan.bytes; if so sets plan.bytes.
  bool (*analyse)(const Values& values, const ZoneMap& zone, Plan& plan);
  // Appends exactly plan.bytes to `out`.
  void (*encode)(const Values& values, const ZoneMap& zone, const Plan& plan, Bytes& out);
  // Read one word, a run of words, or one byte string. What NULL rows give means nothing.
  uint64_t (*word)(const Encoded& column, uint32_t row);
  void (*words)(const Encoded& column, uint32_t first, std::span<uint64_t> out);
  // A byte string lies in the body or, where it had to be put together, in `scratch`.
  ByteView (*bytes)(const Encoded& column, uint32_t row, ShortScratch& scratch);
  // Byte strings by codes, where that is how they are kept; else nullptr, all three. How many codes
  // there are (at least 1), those of the rows first, first + 1, ..., and what a code stands for.
  // Different codes may stand for the same string.
  uint32_t (*code_count)(const Encoded& column) = nullptr;
  void (*codes)(const Encoded& column, uint32_t first, std::span<uint32_t> out) = nullptr;
  ByteView (*coded)(const Encoded& column, uint32_t code) = nullptr;
  // How many encodings can lie within this one, at most. Within are only those of a lower depth, so
  // damaged bytes cannot nest without end.
  uint8_t depth = 0;
  // Whether what bytes() gives is a compressed value (decompress.h). nullptr: none is.
  bool (*is_compressed)(const Encoded& column, uint32_t row) = nullptr;
};

// The readers of encodings that hold no words, or no byte strings: they throw CorruptError.
uint64_t no_word(const Encoded& column, uint32_t row);
void no_words(const Encoded& column, uint32_t first, std::span<uint64_t> out);
ByteView no_bytes(const Encoded& column, uint32_t row, ShortScratch& scratch);

extern const Encoding kConstant;
extern const Encoding kPlain;
extern const Encoding kFrameOfReference;
extern const Encoding kDictionary;
extern const Encoding kLinear;
extern const Encoding kRunLength;
extern const Encoding kWordDictionary;
extern const Encoding kDecimalFloat;
extern const Encoding kDecimal;
extern const Encoding kCompressed;

// The index of an encoding is on disk: add at the end, never reorder. They are tried in this order.
inline constexpr const Encoding* kEncodings[] = {
    &kConstant,  &kPlain,          &kFrameOfReference, &kDictionary, &kLinear,
    &kRunLength, &kWordDictionary, &kDecimalFloat,     &kDecimal,    &kCompressed,
};
inline constexpr uint8_t kEncodingCount = std::size(kEncodings);
inline constexpr uint8_t kConstantNumber = 0;
inline constexpr uint8_t kDecimalNumber = 8;
inline constexpr uint8_t kCompressedNumber = 9;
static_assert(kEncodings[kDecimalNumber] == &kDecimal);
static_assert(kEncodings[kCompressedNumber] == &kCompressed);

// The smallest encoding of these values; the one that reads faster where two are as small.
// REQUIRES: not all values are NULL; zone.min and zone.max are right if zone.ordered.
// Only encodings of a depth below `below`. Values of which some are compressed have one encoding.
Plan choose_encoding(const Values& values, const ZoneMap& zone, uint8_t below = 255);

}  // namespace datahike::column
