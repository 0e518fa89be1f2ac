// Word dictionary: the distinct words once, ascending, and for each row the bit-packed code of its
// word. For few distinct values that lie far apart, and for floats.
//
//   word_dictionary := count:u32 packed(rows, bit_width(count - 1)) i64[count]
//
// Words ascend as signed integers of 64 bits, also the bit patterns of floats.
#include <algorithm>
#include <bit>

#include "column/bit_packing.h"
#include "column/encoding.h"
#include "column/normalise.h"

namespace datahike::column {
namespace {

constexpr size_t kHeadBytes = 4;
constexpr uint32_t kMostWords = 4096;

unsigned code_width(uint64_t count) { return std::bit_width(count - 1); }

uint64_t bytes_of(uint64_t rows, uint64_t count) {
  return kHeadBytes + packed_bytes(rows, code_width(count)) + 8 * count;
}

// Gives words numbers in the order in which they come: open addressing, never more than half full.
class WordTable {
 public:
  static constexpr uint32_t kFull = ~uint32_t{0};
  WordTable() : slots_(kSlots, 0) {}

  // The number of the word; kFull if there would be more than kMostWords.
  uint32_t number(uint64_t word) {
    size_t slot = word * 0x9e3779b97f4a7c15 >> (64 - kSlotBits);
    for (; slots_[slot] != 0; slot = (slot + 1) % kSlots) {
      if (words_[slots_[slot] - 1] == word) return slots_[slot] - 1;
    }
    if (words_.size() == kMostWords) return kFull;
    words_.push_back(word);
    slots_[slot] = static_cast<uint16_t>(words_.size());
    return static_cast<uint32_t>(words_.size() - 1);
  }
  const std::vector<uint64_t>& words() const { return words_; }

 private:
  static constexpr unsigned kSlotBits = 13;
  static constexpr size_t kSlots = size_t{1} << kSlotBits;
  static_assert(kSlots == 2 * kMostWords);
  std::vector<uint16_t> slots_;  // number + 1; 0 = free
  std::vector<uint64_t> words_;
};

bool analyse(const Values& values, const ZoneMap&, Plan& plan) {
  const uint32_t rows = values.rows();
  // A byte for each row or less is as good as what codes need.
  if (!is_word(values.kind()) || rows < kMinRowsToAnalyse || plan.bytes <= rows) return false;
  WordTable table;
  plan.codes.reserve(rows);
  const std::span<const uint64_t> words = values.words();
  for (uint32_t row = 0; row < rows; ++row) {
    const uint32_t number = table.number(words[row]);
    if (number == WordTable::kFull) return false;
    plan.codes.push_back(number);
    // Where most of the first rows differ, the others will.
    if (row % 1024 == 1023 && (table.words().size() > (row + 1) / 2 ||
                               bytes_of(rows, table.words().size()) >= plan.bytes))
      return false;
  }
  const uint64_t bytes = bytes_of(rows, table.words().size());
  if (bytes >= plan.bytes) return false;
  plan.bytes = bytes;
  std::vector<uint32_t> order(table.words().size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](uint32_t i) { return static_cast<int64_t>(table.words()[i]); });
  std::vector<uint32_t> code(order.size());
  for (uint32_t i = 0; i < order.size(); ++i) {
    code[order[i]] = i;
    plan.words.push_back(table.words()[order[i]]);
  }
  for (uint32_t& c : plan.codes) c = code[c];
  return true;
}

void encode(const Values& values, const ZoneMap&, const Plan& plan, Bytes& out) {
  ByteWriter writer(out);
  const auto count = static_cast<uint32_t>(plan.words.size());
  writer.fixed<uint32_t>(count);
  pack(
      values.rows(), code_width(count), [&](uint64_t row) { return plan.codes[row]; }, out);
  for (uint64_t word : plan.words) writer.fixed<uint64_t>(word);
}

struct Dictionary {
  uint32_t count;
  unsigned width;
  ByteView codes;
  const uint8_t* words;
  uint64_t word(uint64_t code) const {
    if (code >= count) throw CorruptError("column: code of no word");
    return load64(words + 8 * code);
  }
};

Dictionary dictionary_of(const Encoded& column) {
  if (column.body.size() < kHeadBytes) throw CorruptError("column: truncated word dictionary");
  uint32_t count;
  std::memcpy(&count, column.body.data(), sizeof count);
  if (count == 0 || column.body.size() < bytes_of(column.rows, count))
    throw CorruptError("column: damaged word dictionary");
  const unsigned width = code_width(count);
  const ByteView codes = column.body.subspan(kHeadBytes);
  return {count, width, codes, codes.data() + packed_bytes(column.rows, width)};
}

uint64_t read_word(const Encoded& column, uint32_t row) {
  const Dictionary dictionary = dictionary_of(column);
  return normalised(column.kind, dictionary.word(unpack(dictionary.codes, row, dictionary.width)));
}

void read_words(const Encoded& column, uint32_t first, std::span<uint64_t> out) {
  const Dictionary dictionary = dictionary_of(column);
  unpack_run(dictionary.codes, first, dictionary.width, 0, out);
  uint64_t largest = 0;
  const uint64_t last = dictionary.count - 1;
  for (uint64_t& word : out) {
    largest = std::max(largest, word);
    word = load64(dictionary.words + 8 * std::min(word, last));
  }
  if (largest > last) throw CorruptError("column: code of no word");
  normalise(column.kind, out);
}

}  // namespace

constinit const Encoding kWordDictionary = {analyse, encode, read_word, read_words, no_bytes};

}  // namespace datahike::column
