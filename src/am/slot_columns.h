// The columns of the segment whose rows a slot holds one after another: found once for a segment
// instead of once for a value, words decoded ahead where rows come in order. The memory is the
// slot's.
#pragma once

#include <type_traits>

#include "am/relation.h"
#include "pg/pg.h"

namespace datahike::am {

// How an attribute is stored in the segment at hand.
enum class StoredAs : uint8_t {
  Nothing,   // the column is dropped
  Missing,   // the rows were written before the column was added
  Word,      // as it is, kinds up to Float64
  Fixed,     // as it is, by reference
  Varlena,   // as it is
  Otherwise  // with another type or modifier
};

class SlotColumn {
 public:
  StoredAs stored_as() const { return stored_as_; }
  const store::ColumnReader& reader() const { return reader_; }
  // As reader().bits(row), and much faster where rows come in order. Allocates in `memory`.
  uint64_t word(uint32_t row, uint32_t rows, MemoryContext memory) {
    return row - first_ahead_ < rows_ahead_ ? ahead_[row - first_ahead_]
                                            : next_word(row, rows, memory);
  }

 private:
  friend class SlotColumns;
  static constexpr uint32_t kAhead = 64;       // rows decoded at once
  static constexpr uint32_t kGap = 16;         // rows left out that are still in order
  static constexpr uint32_t kRowsInOrder = 8;  // before decoding ahead begins

  void find(const Attribute& attribute, int i, const store::SegmentReader& segment);
  uint64_t next_word(uint32_t row, uint32_t rows, MemoryContext memory);

  store::ColumnReader reader_;
  uint64_t segment_;  // for which the column was found: as SlotColumns counts them
  StoredAs stored_as_;
  uint32_t in_order_;  // so many rows
  uint32_t expected_;  // the row behind the one asked for last
  uint32_t first_ahead_, rows_ahead_;
  uint64_t* ahead_;  // kAhead words; nullptr: not needed yet
};
static_assert(std::is_trivially_destructible_v<SlotColumn>);

// All zeros is a valid value: of no segment.
class SlotColumns {
 public:
  // The next row is one of `segment`. generation: of the environment it lies in; 0: it lies
  // elsewhere, and other bytes may come to lie there.
  void enter(const store::SegmentReader& segment, uint64_t generation);
  SlotColumn& column(const RelationInfo& info, int i, const store::SegmentReader& segment,
                     MemoryContext memory);
  void release();  // before the slot's memory context goes, or with it

 private:
  uint64_t segments_;  // counts
  const uint8_t* bytes_;
  uint64_t checksum_, generation_;
  int columns_;
  SlotColumn* column_;  // one for each attribute; nullptr: none has been asked for
};

}  // namespace datahike::am
