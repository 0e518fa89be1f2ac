// Conditions on columns that rows in segments are tested for before they are decoded. What they
// leave out does not satisfy the query's own conditions, which are tested again all the same.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/segment.h"

namespace datahike::fdw {

// NULL does not satisfy it. Without a text: of integers, dates and timestamps as they are kept.
struct RowCondition {
  int16_t number;  // of the attribute
  uint32_t type;   // values of other types are not tested
  int64_t low = INT64_MIN, high = INT64_MAX;
  std::optional<std::string> text;  // the value's bytes
  std::optional<int32_t> typmod;    // values of other modifiers are not tested; nullopt: all are
};

class RowConditions {
 public:
  void add(RowCondition condition) { conditions_.push_back(std::move(condition)); }
  void add_impossible() { impossible_ = true; }  // no row satisfies them
  // Whether no row of the segment satisfies them, as far as its zone maps say.
  bool exclude(const store::SegmentReader& segment);
  // Whether a row of the segment may satisfy them.
  bool passes(const store::SegmentReader& segment, uint32_t row);

 private:
  struct Tested {
    const RowCondition* condition;
    store::ColumnReader column;
  };
  void open(const store::SegmentReader& segment);
  static bool passes(const Tested& tested, uint32_t row);

  std::vector<RowCondition> conditions_;
  bool impossible_ = false;
  // Of the segment that was looked at last.
  const uint8_t* segment_ = nullptr;
  uint64_t checksum_ = 0;
  bool any_ = false;  // by its zone maps
  std::vector<Tested> tested_;
};

}  // namespace datahike::fdw
