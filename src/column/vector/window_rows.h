// All rows that pass a program's filters, in the order of a window: some of their values, and where
// partitions and peers begin. The sources of these values are the program's keys, then its
// conditions, which are 1 for rows that pass them and else 0, then results that have been added.
#pragma once

#include <cstring>
#include <functional>

#include "column/vector/evaluator.h"
#include "column/vector/large_vector.h"

namespace datahike::vector {

// They need more memory than they may.
struct TooManyRows {};

// By which source rows are sorted.
struct WindowOrder {
  unsigned source = 0;
  bool descending = false, nulls_first = false;
};

class WindowRows {
 public:
  using Poll = std::function<void()>;
  // REQUIRES: `program` outlives it.
  WindowRows(const Program& program, size_t most_bytes);
  ~WindowRows();
  // There will be so many rows at least, if all of them pass.
  void reserve(size_t rows);
  // `poll` is called now and then, and may throw. Throws ValueError, CorruptError, TooManyRows.
  void add(const Piece& piece, const Poll& poll);
  // The first `partition` of the terms are what partitions are of. Rows that are equal stay in the
  // order in which they were added, or sorted before. Strings are ordered by their bytes. Throws
  // TooManyRows.
  void sort(std::span<const WindowOrder> terms, unsigned partition, const Poll& poll);

  // Another source, of a word for each row, NULL at first; its number. Throws TooManyRows.
  unsigned add_results();
  void set_result(unsigned source, uint32_t place, uint64_t word);
  // What belongs to the rows and is kept elsewhere. Throws TooManyRows.
  void set_bytes_elsewhere(size_t bytes);

  uint32_t rows() const { return rows_; }
  // By a row's place in the order.
  bool begins_partition(uint32_t place) const { return bit(partitions_, place); }
  bool begins_peers(uint32_t place) const { return bit(peers_, place); }
  // The place behind the last row of the partition, or of the peers, that the row is of.
  uint32_t partition_end(uint32_t place) const { return next_set(partitions_, place + 1); }
  uint32_t peers_end(uint32_t place) const { return next_set(peers_, place + 1); }
  bool is_null(unsigned source, uint32_t place) const {
    const Values& v = values_[source];
    return v.any_null && bit(v.nulls, place);
  }
  // As a vector has it; of strings their number. REQUIRES: not NULL.
  uint64_t word(unsigned source, uint32_t place) const { return values_[source].word(place); }
  ByteView text(unsigned source, uint32_t place) const {
    return values_[source].texts->text(static_cast<uint32_t>(word(source, place)));
  }
  uint8_t* text_header(unsigned source, uint32_t place) const {
    return values_[source].texts->header(static_cast<uint32_t>(word(source, place)));
  }
  size_t bytes() const;
  const Counters& counters() const { return counters_; }

 private:
  template <class Stored>
  static uint64_t widened(const uint8_t* from) {
    Stored value;
    std::memcpy(&value, from, sizeof value);
    return static_cast<uint64_t>(int64_t{value});
  }
  // Of a source, in the order in which rows were added, and once they are sorted in that one.
  // Integers in as few bytes as their type has.
  struct Values {
    unsigned bytes = 8;
    bool real = false, any_null = false;
    LargeVector<uint8_t> data;
    LargeVector<uint64_t> nulls;
    std::unique_ptr<TextNumbers> texts;
    uint64_t word(uint32_t row) const {
      const uint8_t* from = data.data() + size_t{row} * bytes;
      return bytes == 8   ? widened<int64_t>(from)
             : bytes == 4 ? widened<int32_t>(from)
             : bytes == 2 ? widened<int16_t>(from)
                          : widened<int8_t>(from);
    }
    void append(const Vector& v, uint32_t at, unsigned n);
    void rearrange(const LargeVector<uint32_t>& order, const Poll& poll);
  };
  static bool bit(const LargeVector<uint64_t>& bits, uint32_t at) {
    return bits[at / 64] >> at % 64 & 1;
  }
  uint32_t next_set(const LargeVector<uint64_t>& bits, uint32_t from) const;
  void add_chunk();
  void check_size(size_t more) const;
  // A term of the order, and what is known of its values.
  struct Term;
  Term describe(const WindowOrder& order, const Poll& poll) const;
  void sort_partitions(const Term& term, LargeVector<uint32_t>& scratch, const Poll& poll);
  void mark_where_differ(const Term& term, const Poll& poll);
  struct Item;
  void sort_partition(std::span<const Term> terms, size_t packed, std::vector<Item>& items,
                      uint32_t begin, uint32_t end, const Poll& poll);
  void sort_within(std::span<const Term> within, const Poll& poll);
  static int compare(std::span<const Term> terms, uint32_t a, uint32_t b);

  const Program& program_;
  size_t most_bytes_, bytes_elsewhere_ = 0;
  Evaluator evaluator_;
  std::vector<Values> values_;
  std::unique_ptr<Vector> numbers_;  // of strings of the chunk at hand
  uint32_t rows_ = 0;
  LargeVector<uint32_t> order_;  // while they are sorted: rows as they were added
  LargeVector<uint64_t> partitions_, peers_;
  Counters counters_;
};

}  // namespace datahike::vector
