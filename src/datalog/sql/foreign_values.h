// Values of another store's rows that are read from segments as they are, without PostgreSQL's
// form in between: of the most usual types, where a segment has them as they were declared last.
#pragma once

#include "datalog/sql/values.h"
#include "store/segment.h"

namespace datahike::query {

class ForeignValues {
 public:
  // The next column: the attribute's number and type.
  void add(int16_t number, Oid type);
  // Whether the values of all columns are read here in that segment, which is the current one then.
  bool open(const store::SegmentReader& segment);
  bool is_null(size_t column, uint32_t row) const { return columns_[column].reader.is_null(row); }
  // REQUIRES: it is not NULL. What PostgreSQL raises where text is none.
  Value value(size_t column, uint32_t row);

 private:
  enum class Form : uint8_t { Other, Integer, Boolean, Double, Text };
  struct Column {
    int16_t number;
    Oid type;
    Form form;
    store::Kind kind;
    store::ColumnReader reader;
    // Text by codes, where the segment has them: each is made once.
    int coded_at = -1;
    std::vector<Value> of_codes;
  };
  static Value text_of(ByteView bytes);

  std::vector<Column> columns_;
  store::SegmentReader segment_;
  const uint8_t* bytes_ = nullptr;  // of the segment that was looked at last
  uint64_t checksum_ = 0;
  bool reads_ = false;
};

}  // namespace datahike::query
