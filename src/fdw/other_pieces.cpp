#include "fdw/other_pieces.h"

#include <bit>

#include "column/bit_packing.h"
#include "fdw/fact_scan.h"
#include "fdw/pushed.h"
#include "pg/bridge.h"

extern "C" {
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
}

namespace datahike::fdw {

namespace {

// At a time.
constexpr size_t kMostPieces = 4096, kMostConvertedBytes = size_t{64} << 20;

bool is_text(Oid type) {
  return type == TEXTOID || type == VARCHAROID || type == BPCHAROID || type == JSONOID ||
         type == XMLOID;
}

bool is_valid(ByteView text) {
  return pg_verify_mbstr(GetDatabaseEncoding(), reinterpret_cast<const char*>(text.data()),
                         static_cast<int>(text.size()), true);
}

}  // namespace

bool is_other_table(Relation relation) {
  if (relation->rd_rel->relkind != RELKIND_FOREIGN_TABLE) return false;
  const Oid server = GetForeignTable(RelationGetRelid(relation))->serverid;
  return is_our_server(server) && !server_options(server).is_local() &&
         !is_fact_table(RelationGetRelid(relation));
}

Scan* open_other_table(Relation foreign, Snapshot snapshot, Oid user, List* columns,
                       MemoryContext memory) {
  return open_scan({foreign, snapshot, user, columns, NIL, memory});
}

am::Attribute attribute_there(const Scan& scan, int attribute) {
  for (const Column& column : scan.columns) {
    if (column.index != attribute) continue;
    am::Attribute there = column.as;
    there.number = column.number;
    return there;
  }
  throw pg::SqlError(ERRCODE_INTERNAL_ERROR, "a foreign scan lacks a column");
}

void leave_out_rows(Scan& scan, List* clauses, Index relid) {
  scan.conditions = RowConditions();
  push_conditions(pg::call([=] { return pushed_clauses(clauses, relid); }), scan);
}

OtherPieces::OtherPieces(Scan& scan, const std::vector<int>& columns, TupleTableSlot* slot)
    : scan_(scan), slot_(slot) {
  for (const Column& column : scan.columns)
    if (std::find(columns.begin(), columns.end(), column.index) != columns.end())
      columns_.push_back(column);
  std::sort(columns_.begin(), columns_.end(),
            [](const Column& a, const Column& b) { return a.number < b.number; });
  memory_ = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "datahike foreign row",
                                 ALLOCSET_DEFAULT_SIZES);
  });
  scan_.other->rewind();
}

OtherPieces::~OtherPieces() { MemoryContextDelete(memory_); }

std::vector<vector::Piece> OtherPieces::next() {
  out_.clear();
  converted_bytes_ = 0;
  while (out_.size() < kMostPieces && converted_bytes_ < kMostConvertedBytes) {
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
    if (!scan_.other->next_container()) break;
    add_container();
  }
  close_piece();
  for (vector::Piece& piece : out_) piece.number = pieces_++;
  return std::move(out_);
}

// The segments that hold rows of the container become pieces.
void OtherPieces::add_container() {
  const std::span<const uint64_t> words = scan_.other->container_words();
  const uint64_t first = scan_.other->container_rowid(), count = words.size() * 64;
  for (uint64_t at = 0; at < count;) {
    const uint64_t word = words[at / 64] >> at % 64;
    if (word == 0) {
      at = (at / 64 + 1) * 64;
      continue;
    }
    at += static_cast<unsigned>(std::countr_zero(word));
    const uint64_t rowid = first + at;
    if (!has_piece_ || rowid > piece_.segment.last_rowid()) {
      close_piece();
      open_piece(rowid);
    }
    const uint64_t row = rowid - piece_.segment.first_rowid();
    const uint64_t take = std::min<uint64_t>(count - at, piece_.segment.rows() - row);
    column::copy_bits(words.data(), at, take, piece_.live.data(), row);
    at += take;
  }
}

void OtherPieces::open_piece(uint64_t rowid) {
  piece_ = {};
  piece_.segment = scan_.other->segment_of(rowid);
  piece_.live.assign((piece_.segment.rows() + 63) / 64, 0);
  has_piece_ = true;
}

void OtherPieces::close_piece() {
  if (!std::exchange(has_piece_, false)) return;
  const store::SegmentReader& segment = piece_.segment;
  const std::vector<uint64_t> holes = segment.holes();
  for (size_t i = 0; i < holes.size(); ++i)
    if (const uint64_t bits = holes[i] & piece_.live[i])
      scan_.other->missing(segment.first_rowid() + i * 64 +
                           static_cast<unsigned>(std::countr_zero(bits)));
  piece_.live_rows = 0;
  for (uint64_t word : piece_.live) piece_.live_rows += static_cast<uint32_t>(std::popcount(word));
  if (piece_.live_rows == 0) return;
  if (!is_as_declared()) return convert();
  if (piece_.whole()) piece_.live = {};
  out_.push_back(std::move(piece_));
}

// Whether the segment has the columns as the foreign table declares them, with values that may be
// read as they lie there: what decode_row() would refuse is left to it.
bool OtherPieces::is_as_declared() const {
  const store::SegmentReader& segment = piece_.segment;
  for (const Column& column : columns_) {
    const int at = segment.find(column.number);
    if (at < 0) return false;
    const store::ColumnSpec spec = segment.spec(at);
    if (spec.type != column.as.type || spec.typmod != column.as.typmod ||
        spec.type >= FirstNormalObjectId || names_objects(spec.type))
      return false;
    if (spec.kind != column.as.kind || spec.width != column.as.width) return false;
    if (is_text(spec.type) && !has_valid_text(at)) return false;
  }
  return true;
}

bool OtherPieces::has_valid_text(int at) const {
  const store::SegmentReader& segment = piece_.segment;
  if (const uint32_t codes = segment.code_count(at); codes > 0) {
    for (uint32_t code = 0; code < codes; ++code)
      if (!is_valid(segment.coded(at, code))) return false;
    return true;
  }
  const store::ColumnReader column = segment.column_reader(at);
  column::Scratch scratch;
  for (size_t w = 0; w < piece_.live.size(); ++w)
    for (uint64_t word = piece_.live[w]; word; word &= word - 1) {
      const auto row =
          static_cast<uint32_t>(w * 64 + static_cast<unsigned>(std::countr_zero(word)));
      if (!column.is_null(row) && !is_valid(column.bytes(row, scratch))) return false;
    }
  return true;
}

// Rows in other columns than the foreign table declares become a segment of their own.
void OtherPieces::convert() {
  std::vector<store::ColumnSpec> specs;
  for (const Column& c : columns_)
    specs.push_back({c.number, c.as.kind, c.as.width, c.as.type, c.as.typmod});
  store::SegmentBuilder builder(specs);
  const auto finish = [&] {
    vector::Piece made;
    made.live_rows = builder.rows();
    auto storage = std::make_shared<const Bytes>(builder.finish(1));  // no rowids are asked for
    made.segment = store::SegmentReader(*storage);
    converted_bytes_ += storage->size();
    made.storage = std::move(storage);
    out_.push_back(std::move(made));
  };
  uint32_t seen = 0;
  for (size_t w = 0; w < piece_.live.size(); ++w)
    for (uint64_t word = piece_.live[w]; word; word &= word - 1) {
      const auto row =
          static_cast<uint32_t>(w * 64 + static_cast<unsigned>(std::countr_zero(word)));
      if (++seen % 1024 == 0) pg::call([] { CHECK_FOR_INTERRUPTS(); });
      if (!scan_.conditions.passes(piece_.segment, row)) continue;
      append_row(row, builder);
      if (builder.rows() == store::kMaxSegmentRows ||
          builder.raw_bytes() >= store::kSegmentTargetBytes * 8)
        finish();
    }
  if (builder.rows() > 0) finish();
}

void OtherPieces::append_row(uint32_t row, store::SegmentBuilder& builder) {
  TupleTableSlot* slot = slot_;
  const MemoryContext memory = memory_;
  pg::call([=] {
    MemoryContextReset(memory);
    ExecClearTuple(slot);
  });
  std::memset(slot->tts_isnull, true, static_cast<size_t>(scan_.row_type->natts));
  const RowFormat format{columns_, scan_.target.table.schema, scan_.foreign_table, false};
  decode_row(format, known_columns_, piece_.segment, row, slot, memory);
  builder.begin_row(0, 0);
  for (const Column& column : columns_) {
    const Datum value = slot->tts_values[column.index];
    if (slot->tts_isnull[column.index]) {
      builder.add_null();
    } else if (column.as.kind <= store::Kind::Float64) {
      builder.add_bits(static_cast<uint64_t>(value));
    } else {
      auto* p = reinterpret_cast<const uint8_t*>(DatumGetPointer(value));
      if (column.as.kind == store::Kind::Fixed)
        builder.add_bytes(ByteView(p, column.as.width));
      else
        builder.add_bytes(
            ByteView(reinterpret_cast<const uint8_t*>(VARDATA_ANY(p)), VARSIZE_ANY_EXHDR(p)));
    }
  }
}

}  // namespace datahike::fdw
