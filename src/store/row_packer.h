// Writes the rows of a fold as segments: few and large ones, however small the transactions were
// and however their rowids interleave.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "store/environment.h"
#include "store/segment.h"

namespace datahike::store {

// A range of rows of a segment.
struct RowPiece {
  std::shared_ptr<const Bytes> storage;  // what `segment` reads, unless someone else keeps that
  SegmentReader segment;
  uint32_t row = 0;   // the first
  uint32_t rows = 0;  // holes included
  uint64_t first() const { return segment.first_rowid() + row; }
  uint64_t end() const { return first() + rows; }
  bool whole() const { return rows == segment.rows(); }
};

// Invariant: the stored segments of a table never overlap, and no row that was stored is lost.
//
// Rowids are never reused, so new rows can meet stored ones only when a fold that died before its
// PostgreSQL transaction committed is done again, perhaps with more log entries and so other
// neighbours; and where segments on both sides of rowids that no row had yet have been joined
// (segment_joiner.h). Stored segments that overlap the new rows are then erased, and those of their
// rows that are not among the new ones are written again together with them.
class RowPacker {
 public:
  explicit RowPacker(WriteBatch& batch) : batch_(batch) {}
  // The rows of one place of the log. Large segments are written at once, as they are; small ones
  // are copied and wait for their neighbours. REQUIRES: each place is given whole, once.
  void add(uint64_t table, const SegmentReader& segment);
  // Writes what waits.
  void flush();

 private:
  void write(uint64_t table, std::vector<RowPiece> pieces);
  std::vector<RowPiece> take_overlapped(uint64_t table, const std::vector<RowPiece>& fresh);
  void build(uint64_t table, const RowPiece* begin, const RowPiece* end);

  WriteBatch& batch_;
  std::map<uint64_t, std::vector<RowPiece>> waiting_;  // by table
  size_t waiting_bytes_ = 0;
};

}  // namespace datahike::store
