#include "store/row_packer.h"

#include <algorithm>

#include "store/segment_copier.h"

namespace datahike::store {
namespace {

constexpr uint32_t kLargeRows = 4096;
constexpr size_t kLargeBytes = 128 << 10;
constexpr size_t kMaxWaitingBytes = 16 << 20;

bool is_large(const SegmentReader& segment) {
  return segment.rows() >= kLargeRows || segment.raw().size() >= kLargeBytes;
}

RowPiece copy_of(const SegmentReader& segment) {
  auto storage = std::make_shared<const Bytes>(segment.raw().begin(), segment.raw().end());
  return {.storage = storage, .segment = SegmentReader(*storage), .rows = segment.rows()};
}

bool stays_as_it_is(const RowPiece& piece) { return piece.whole() && is_large(piece.segment); }

// Whether b can be in one segment with a.
bool joins(const RowPiece& a, const RowPiece& b) {
  return a.end() == b.first() && !stays_as_it_is(b) && same_columns(a.segment, b.segment);
}

void sort_by_rowid(std::vector<RowPiece>& pieces) {
  std::sort(pieces.begin(), pieces.end(),
            [](const RowPiece& a, const RowPiece& b) { return a.first() < b.first(); });
}

// Appends the ranges of `old`, its holes included, that no piece of `fresh` (ascending) covers.
void append_uncovered(const RowPiece& old, const std::vector<RowPiece>& fresh,
                      std::vector<RowPiece>& out) {
  const auto keep = [&](uint64_t from, uint64_t to) {
    if (from >= to) return;
    RowPiece piece = old;
    piece.row = static_cast<uint32_t>(from - old.segment.first_rowid());
    piece.rows = static_cast<uint32_t>(to - from);
    out.push_back(std::move(piece));
  };
  uint64_t at = old.first();
  auto next = std::partition_point(fresh.begin(), fresh.end(),
                                   [&](const RowPiece& piece) { return piece.end() <= at; });
  for (; next != fresh.end() && next->first() < old.end(); ++next) {
    keep(at, next->first());
    at = next->end();
  }
  keep(at, old.end());
}

}  // namespace

void RowPacker::add(uint64_t table, const SegmentReader& segment) {
  if (is_large(segment)) {
    write(table, {{.storage = nullptr, .segment = segment, .rows = segment.rows()}});
    return;
  }
  waiting_[table].push_back(copy_of(segment));
  waiting_bytes_ += segment.raw().size() + sizeof(RowPiece) + sizeof(Bytes);
  if (waiting_bytes_ >= kMaxWaitingBytes) flush();
}

void RowPacker::flush() {
  for (auto& [table, pieces] : waiting_) write(table, std::move(pieces));
  waiting_.clear();
  waiting_bytes_ = 0;
}

void RowPacker::write(uint64_t table, std::vector<RowPiece> pieces) {
  sort_by_rowid(pieces);
  for (size_t i = 1; i < pieces.size(); ++i)
    if (pieces[i].first() < pieces[i - 1].end())
      throw CorruptError("row " + std::to_string(pieces[i].first()) + " of table " +
                         std::to_string(table) + " is in the log twice");

  std::vector<RowPiece> kept;
  for (const RowPiece& old : take_overlapped(table, pieces)) append_uncovered(old, pieces, kept);
  if (!kept.empty()) {
    pieces.insert(pieces.end(), kept.begin(), kept.end());
    sort_by_rowid(pieces);
  }

  for (size_t i = 0; i < pieces.size();) {
    size_t end = i + 1;
    if (!stays_as_it_is(pieces[i]))
      while (end < pieces.size() && joins(pieces[end - 1], pieces[end])) ++end;
    if (end == i + 1 && pieces[i].whole())
      batch_.put_segment(table, pieces[i].segment.raw());
    else
      build(table, pieces.data() + i, pieces.data() + end);
    i = end;
  }
}

// Erases the stored segments that overlap `fresh` (ascending) and returns copies of them. In an
// overlapping one the fresh rows may be holes.
std::vector<RowPiece> RowPacker::take_overlapped(uint64_t table,
                                                 const std::vector<RowPiece>& fresh) {
  std::vector<RowPiece> taken;
  for (auto piece = fresh.rbegin(); piece != fresh.rend(); ++piece) {
    for (;;) {
      const auto stored = batch_.segment_at_or_before(table, piece->end() - 1);
      if (!stored || stored->last_rowid() < piece->first()) break;
      // A write may move what the reader sees, so first the copy.
      RowPiece copy = copy_of(*stored);
      copy.segment.verify();
      batch_.erase_segment(table, copy.first());
      taken.push_back(std::move(copy));
    }
  }
  std::ranges::reverse(taken);
  return taken;
}

// Writes adjacent pieces of the same columns as one segment, or several where they are long.
void RowPacker::build(uint64_t table, const RowPiece* begin, const RowPiece* end) {
  SegmentCopier copier([&](const Bytes& made) { batch_.put_segment(table, made); });
  for (const RowPiece* piece = begin; piece != end; ++piece)
    copier.add(piece->segment, piece->row, piece->rows);
  copier.finish();
}

}  // namespace datahike::store
