#include "fdw/row_conditions.h"

#include <cstring>

namespace datahike::fdw {

void RowConditions::open(const store::SegmentReader& segment) {
  segment_ = segment.raw().data();
  checksum_ = segment.checksum();
  any_ = true;
  tested_.clear();
  for (const RowCondition& condition : conditions_) {
    const int at = segment.find(condition.number);
    if (at < 0) continue;  // the rows are older than the column
    const store::ColumnSpec spec = segment.spec(at);
    if (spec.type != condition.type || (condition.typmod && *condition.typmod != spec.typmod))
      continue;
    if (condition.text ? spec.kind != store::Kind::Bytes : !column::is_integer(spec.kind)) continue;
    const store::ZoneMap zone = condition.text ? store::ZoneMap() : segment.zone(at);
    if (segment.nulls(at) == segment.rows() ||
        (zone.ordered && (zone.max < condition.low || zone.min > condition.high))) {
      any_ = false;
      return;
    }
    tested_.push_back({&condition, segment.column_reader(at)});
  }
}

bool RowConditions::passes(const Tested& tested, uint32_t row) {
  const store::ColumnReader& column = tested.column;
  if (column.is_null(row)) return false;
  if (!tested.condition->text) {
    const auto value = static_cast<int64_t>(column.bits(row));
    return value >= tested.condition->low && value <= tested.condition->high;
  }
  column::Scratch scratch;
  const ByteView bytes = column.bytes(row, scratch);
  const std::string& text = *tested.condition->text;
  return bytes.size() == text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

bool RowConditions::exclude(const store::SegmentReader& segment) {
  if (impossible_) return true;
  if (conditions_.empty()) return false;
  if (segment_ != segment.raw().data() || checksum_ != segment.checksum()) open(segment);
  return !any_;
}

bool RowConditions::passes(const store::SegmentReader& segment, uint32_t row) {
  if (exclude(segment)) return false;
  if (conditions_.empty()) return true;
  for (const Tested& tested : tested_)
    if (!passes(tested, row)) return false;
  return true;
}

}  // namespace datahike::fdw
