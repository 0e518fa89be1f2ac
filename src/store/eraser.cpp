// Rows that are erased become holes of their segment: whoever looks for one finds no row instead of
// an empty one, and what fills a hole is made anew from rows that stay.
#include "store/eraser.h"

#include <algorithm>

#include "store/segment_copier.h"

namespace datahike::store {

namespace {

constexpr uint64_t kBytesAtOnce = 16 << 20;  // of segments

// The segments of the rows that stay.
std::vector<Bytes> without(const SegmentReader& segment, const tree::RowidSet& gone) {
  std::vector<Bytes> made;
  SegmentCopier copier([&](Bytes part) { made.push_back(std::move(part)); });
  for (uint32_t i = 0; i < segment.rows(); ++i)
    if (!gone.contains(segment.first_rowid() + i)) copier.add(segment, i, 1);
  copier.finish();
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
