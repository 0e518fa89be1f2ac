// A segment that loses rows becomes one segment for each run of rows that stay: so what has been
// erased is in no segment, and whoever looks for it anyway finds no row instead of an empty one.
#include "store/eraser.h"

#include <algorithm>

namespace datahike::store {

namespace {

constexpr uint64_t kBytesAtOnce = 16 << 20;  // of segments

std::vector<ColumnSpec> columns_of(const SegmentReader& segment) {
  std::vector<ColumnSpec> columns;
  for (int i = 0; i < segment.columns(); ++i) columns.push_back(segment.spec(i));
  return columns;
}

// The segments of the rows that stay.
std::vector<Bytes> without(const SegmentReader& segment, const tree::RowidSet& gone) {
  std::vector<Bytes> made;
  SegmentBuilder builder(columns_of(segment));
  const auto close = [&](uint64_t end) {
    if (builder.rows() > 0) made.push_back(builder.finish(end - builder.rows()));
  };
  for (uint32_t i = 0; i < segment.rows(); ++i) {
    const uint64_t rowid = segment.first_rowid() + i;
    if (gone.contains(rowid))
      close(rowid);
    else
      builder.append(segment, i);
  }
  close(segment.last_rowid() + 1);
  return made;
}

}  // namespace

Eraser::Eraser(Environment& env) : gone_(redacted_rows(env).value_or(tree::RowidSet())) {
  const std::optional<uint64_t> first = first_unerased(env);
  if (!first) return;
  redactions_ = read_redactions(env);
  std::erase_if(redactions_, [&](const Redaction& r) { return r.number < *first; });
}

bool Eraser::step(Environment& env, WriteBatch& batch) {
  uint64_t bytes = 0;
  for (; at_ < redactions_.size(); ++at_, next_ = 0) {
    const Redaction& redaction = redactions_[at_];
    while (const auto rowid = redaction.rows.at_or_after(next_)) {
      if (bytes >= kBytesAtOnce) return false;
      const auto segment = env.segment(redaction.table, *rowid);
      next_ = segment ? segment->last_rowid() + 1 : *rowid + 1;
      if (!segment) continue;  // erased already, or collected
      bytes += segment->raw().size();
      const std::vector<Bytes> stay = without(*segment, gone_);
      batch.erase_segment(redaction.table, segment->first_rowid());
      for (const Bytes& part : stay) batch.put_segment(redaction.table, part);
    }
  }
  put_first_unerased(batch, std::nullopt);
  return true;
}

}  // namespace datahike::store
