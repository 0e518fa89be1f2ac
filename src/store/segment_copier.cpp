#include "store/segment_copier.h"

namespace datahike::store {

// Makes room for a row with that rowid.
void SegmentCopier::prepare(uint64_t rowid) {
  if (builder_->rows() > 0) {
    const uint64_t holes = rowid - next_;
    if (builder_->rows() + holes < kMaxSegmentRows && holes <= most_holes(rows_)) {
      if (holes > 0) builder_->add_holes(static_cast<uint32_t>(holes));
      return;
    }
    finish();
  }
  first_ = rowid;
}

void SegmentCopier::add(const SegmentReader& from, uint32_t first_row, uint32_t rows) {
  if (!builder_ || !builder_->same_columns(from)) {
    finish();
    builder_.emplace(columns_of(from));
  }
  for (uint32_t row = first_row; row < first_row + rows; ++row) {
    if (from.is_hole(row)) continue;
    const uint64_t rowid = from.first_rowid() + row;
    prepare(rowid);
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
