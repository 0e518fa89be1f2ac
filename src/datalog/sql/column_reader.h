// The values of a table's column in the segments of a scan.
#pragma once

#include "am/batch_cursor.h"
#include "datalog/sql/column_scan.h"

namespace datahike::query {

// Whether so few of `count` rows are wanted that they are read one by one.
inline bool is_sparse(const std::vector<uint32_t>& rows, uint32_t count) {
  return rows.size() < count / 8;
}

class ColumnReader {
 public:
  // Whether values of the type are read without a function that might read tables itself.
  static bool reads(Oid type);
  // `memory` is reset as it pleases.
  ColumnReader(const ScannedColumn& wanted, ::Relation relation, const am::RelationInfo& info,
               MemoryContext memory);
  // The column in a segment, which must stay where it is until the next one. False: no row of it is
  // wanted.
  bool open(const store::SegmentReader& segment);
  // Of the rows first + r for each r in `rows`, all below `count`, leaves those whose values are
  // wanted. REQUIRES: first is a multiple of 64.
  void filter(uint32_t first, uint32_t count, std::vector<uint32_t>& rows);
  // The values of some of these rows, after filter() for them.
  void append(uint32_t first, const std::vector<uint32_t>& rows, Column& out);

 private:
  enum class Form : uint8_t { Integer, Oid, Boolean, Single, Double, Text, Other };
  static Form form_of(Oid type);
  static constexpr size_t kAtOnce = 1000;
  static constexpr uint8_t kUnknown = 2;

  Value of_word(uint64_t bits) const;
  const Value& of_code(uint32_t code);
  bool code_fits(uint32_t code);
  Value of_missing();
  datalog::Values values_of(uint32_t first, const std::vector<uint32_t>& rows);
  bool fits(const Value& v) const;
  bool may_be_some(uint64_t hash) const;
  template <class Keep>
  void keep(std::vector<uint32_t>& rows, Keep&& wanted);

  const ScannedColumn& wanted_;
  ::Relation relation_;
  const am::RelationInfo& info_;
  MemoryContext memory_;
  Form form_;
  CellType type_;
  bool has_condition_ = false;
  bool all_integers_ = false;  // of all conditions but `some`: what follows
  int64_t low_ = INT64_MIN, high_ = INT64_MAX;
  std::vector<uint64_t> some_;  // bits by hashes of the values that `some` has; empty: any

  const store::SegmentReader* segment_ = nullptr;
  int at_ = -1;    // -1: the rows are older than the column
  Value missing_;  // what they have in it
  bool coded_ = false, has_nulls_ = false;
  std::vector<Value> of_codes_;
  std::vector<uint8_t> code_fits_;
  std::vector<uint64_t> words_, nulls_;
  std::vector<uint32_t> codes_;
};

}  // namespace datahike::query
