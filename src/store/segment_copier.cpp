#include "store/segment_copier.h"

namespace datahike::store {

// Makes room for a row with that rowid. One whose entity is the next rowid looks like a hole where
// a segment has such.
void SegmentCopier::prepare(uint64_t rowid, uint64_t entity) {
  const bool like_hole = entity == rowid + 1;
  if (builder_->rows() > 0) {
    const uint64_t holes = rowid - next_;
    const bool both = (has_holes_ || holes > 0) && (has_like_hole_ || like_hole);
    if (builder_->rows() + holes < kMaxSegmentRows && holes <= most_holes(rows_) && !both) {
      if (holes > 0) builder_->add_holes(static_cast<uint32_t>(holes));
      has_holes_ |= holes > 0;
      has_like_hole_ |= like_hole;
      return;
    }
    finish();
  }
  first_ = rowid;
  has_holes_ = false;
  has_like_hole_ = like_hole;
}

void SegmentCopier::add(const SegmentReader& from, uint32_t first_row, uint32_t rows) {
  if (!builder_ || !builder_->same_columns(from)) {
    finish();
    builder_.emplace(columns_of(from));
  }
  for (uint32_t row = first_row; row < first_row + rows; ++row) {
    if (from.is_hole(row)) continue;
    const uint64_t rowid = from.first_rowid() + row;
    prepare(rowid, from.entity(row));
    builder_->append(from, row);
    next_ = rowid + 1;
    ++rows_;
    if (builder_->rows() == kMaxSegmentRows || builder_->raw_bytes() >= kSegmentTargetBytes)
      finish();
  }
}

void SegmentCopier::finish() {
  if (builder_ && builder_->rows() > 0) sink_(builder_->finish(first_));
  rows_ = 0;
}

}  // namespace datahike::store
