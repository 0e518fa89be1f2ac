#include "am/batch_cursor.h"

#include "am/row_cursor.h"

#include <bit>

#include "am/added_defaults.h"
#include "am/compress.h"
#include "am/slot.h"
#include "column/bit_packing.h"
#include "column/kernels.h"
#include "pg/bridge.h"
#include "pg/store.h"
#include "versioning/redacted.h"

namespace datahike::am {

namespace {

using column::copy_bits;

constexpr size_t kMostPieces = 4096;  // at a time

bool own_is_cleared(const TableView& view) {
  TablePending* own = view.pending();
  return own && own_cleared(*own, view.command);
}

}  // namespace

MissingValue missing_value(Relation relation, const RelationInfo& info, int attribute) {
  const Attribute& a = info.attribute[attribute];
  MissingValue missing;
  missing.value = getmissingattr(RelationGetDescr(relation), a.number, &missing.null);
  if (!missing.null) return missing;
  if (const AddedDefault* added = find_added_default(info, a.number)) {
    missing.null = false;
    missing.value = added->value;
    missing.converts = added->type != a.type || added->typmod != a.typmod;
  }
  return missing;
}

BatchCursor::BatchCursor(const TableView& view, Relation relation, const RelationInfo& info,
                         std::vector<int> columns, TupleTableSlot* slot, bool entities)
    : view_(view),
      relation_(relation),
      info_(info),
      columns_(std::move(columns)),
      slot_(slot),
      entities_(entities) {
  view_.table->complete();
  for (int column : columns_) missing_converts_ |= missing_value(relation, info, column).converts;
  removed_ = removed_rows(view_);
  bool cleared =
      versioning::Overlay::last_clear(*view_.table, view_.view.limit) > 0 || own_is_cleared(view_);
  if (!cleared && !view_.table->live.empty()) {
    containers_ =
        std::make_unique<tree::ContainerCursor>(view_.view.overlay->nodes(), view_.table->live);
    if (view_.floor > 0)
      containers_->seek(view_.floor >> 16);
    else
      containers_->first();
  }
  run_ = view_.table->added.begin();
}

bool BatchCursor::is_full() const { return out_.size() >= kMostPieces; }

std::vector<vector::Piece> BatchCursor::next() {
  out_.clear();
  generations_.clear();
  while (phase_ != End && !is_full()) {
    switch (phase_) {
      case Base:
        next_of_base();
        break;
      case Overlay:
        next_of_overlay();
        break;
      case Own:
        next_of_own();
        break;
      case End:
        break;
    }
    bool full = is_full();
    close_piece();
    if (full) break;
    phase_ = static_cast<Phase>(phase_ + 1);
  }
  revalidate();
  for (vector::Piece& piece : out_) piece.number = pieces_++;
  return std::move(out_);
}

void BatchCursor::next_of_base() {
  if (!containers_) return;
  for (; containers_->valid() && !is_full(); containers_->next()) {
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
    containers_->load(&container_);
    versioning::leave_out_redacted(containers_->high(), container_);
    add_rows(containers_->high() << 16, container_.words.data(), 65536);
  }
}

void BatchCursor::next_of_overlay() {
  if (own_is_cleared(view_)) return;
  auto& added = view_.table->added;
  uint32_t clear = versioning::Overlay::last_clear(*view_.table, view_.view.limit);
  for (; run_ != added.end() && !is_full(); ++run_) {
    const versioning::AddedRun& run = run_->second;
    bool gone = run.removed_rows == run.rows && run.last_removal <= view_.view.limit;
    if (gone || run.sequence > view_.view.limit || run.sequence < clear) continue;
    add_run(run_->first, run.rows);
  }
}

void BatchCursor::add_run(uint64_t first, uint64_t rows) {
  if (!versioning::known_redacted_rows) return add_rows(first, nullptr, rows);
  std::vector<uint64_t> bits((rows + 63) / 64);
  for (uint64_t i = 0; i < rows; ++i)
    if (!versioning::is_redacted(first + i)) bits[i / 64] |= uint64_t{1} << i % 64;
  add_rows(first, bits.data(), rows);
}

void BatchCursor::next_of_own() {
  for (;;) {
    TablePending* own = view_.pending();
    if (!own || is_full()) return;
    auto run = own->runs.lower_bound(own_from_);
    if (run == own->runs.end()) return;
    own_from_ = run->first + 1;
    std::vector<uint64_t> rowids;
    for (uint64_t i = 0; i < run->second.count; ++i)
      if (uint64_t rowid = run->first + i;
          rowid >= view_.floor && own_row_visible(*own, run->second, rowid, view_.command))
        rowids.push_back(rowid);
    convert(rowids);
  }
}

// The rows `first` + i whose bit i is set, none of `count` or above; all of them without bits.
// Segments that hold them become pieces.
void BatchCursor::add_rows(uint64_t first, const uint64_t* bits, uint64_t count) {
  uint64_t at = first < view_.floor ? view_.floor - first : 0;
  while (at < count) {
    if (bits) {
      uint64_t word = bits[at / 64] >> at % 64;
      if (word == 0) {
        at = (at / 64 + 1) * 64;
        continue;
      }
      at += static_cast<unsigned>(std::countr_zero(word));
    }
    uint64_t rowid = first + at;
    bool covered =
        has_piece_ && rowid >= piece_.segment.first_rowid() && rowid <= piece_.segment.last_rowid();
    if (!covered) {
      close_piece();
      open_piece(rowid);
    }
    uint64_t row = rowid - piece_.segment.first_rowid();
    uint64_t take = std::min<uint64_t>(count - at, piece_.segment.rows() - row);
    if (bits) {
      copy_bits(bits, at, take, piece_.live.data(), row);
    } else {
      static constexpr uint64_t kAll[1] = {~uint64_t{0}};
      for (uint64_t i = 0; i < take;) {
        uint64_t step = std::min<uint64_t>(take - i, 64 - (row + i) % 64);
        copy_bits(kAll, 0, step, piece_.live.data(), row + i);
        i += step;
      }
    }
    at += take;
  }
}

void BatchCursor::open_piece(uint64_t rowid) {
  auto found = versioning::find_row(view_.view, *view_.table, view_.table_id, rowid);
  if (!found) missing(rowid);
  piece_ = {};
  piece_.segment = found->segment;
  piece_.live.assign((found->segment.rows() + 63) / 64, 0);
  has_piece_ = true;
  generation_ = found->in_store ? pg::open_store().generation() : kNotInStore;
}

// What has been read since a piece's segment was found may have let go of the map. The piece is
// then made anew, of what holds its rows now: segments are joined, and written without rows.
std::vector<vector::Piece> BatchCursor::renewed(vector::Piece piece, uint64_t generation) const {
  std::vector<vector::Piece> pieces;
  if (generation == kNotInStore || generation == pg::open_store().generation()) {
    pieces.push_back(std::move(piece));
    return pieces;
  }
  store::Environment& env = pg::open_store();
  const uint64_t first = piece.segment.first_rowid();
  for (uint32_t row = 0; row < piece.segment.rows(); ++row) {
    if (!piece.live.empty() && !(piece.live[row / 64] >> row % 64 & 1)) continue;
    const uint64_t rowid = first + row;
    if (pieces.empty() || rowid > pieces.back().segment.last_rowid()) {
      auto segment = env.segment(view_.table_id, rowid);
      if (!segment) missing(rowid);
      pieces.emplace_back().segment = *segment;
      pieces.back().live.assign((segment->rows() + 63) / 64, 0);
    }
    vector::Piece& made = pieces.back();
    const uint64_t at = rowid - made.segment.first_rowid();
    made.live[at / 64] |= uint64_t{1} << at % 64;
    ++made.live_rows;
  }
  return pieces;
}

void BatchCursor::missing(uint64_t rowid) const {
  throw CorruptError("row " + std::to_string(rowid) + " of table " +
                     RelationGetRelationName(relation_) + " is live but missing in the store");
}

void BatchCursor::close_piece() {
  if (!has_piece_) return;
  has_piece_ = false;
  // Converting the rows of one may let go of the map that the next ones are in.
  std::vector<std::pair<vector::Piece, uint64_t>> open;  // the next one last
  open.emplace_back(std::move(piece_), generation_);
  while (!open.empty()) {
    auto [piece, found_in] = std::move(open.back());
    open.pop_back();
    std::vector<vector::Piece> now = renewed(std::move(piece), found_in);
    if (now.empty()) continue;
    const uint64_t generation =
        found_in == kNotInStore ? kNotInStore : pg::open_store().generation();
    for (size_t i = now.size(); i-- > 1;) open.emplace_back(std::move(now[i]), generation);
    add_piece(std::move(now.front()), generation);
  }
}

void BatchCursor::add_piece(vector::Piece piece, uint64_t generation) {
  const store::SegmentReader& segment = piece.segment;
  auto removed = std::lower_bound(removed_.begin(), removed_.end(), segment.first_rowid());
  for (; removed != removed_.end() && *removed <= segment.last_rowid(); ++removed) {
    uint64_t row = *removed - segment.first_rowid();
    piece.live[row / 64] &= ~(uint64_t{1} << row % 64);
  }
  const std::vector<uint64_t> holes = segment.holes();
  for (size_t i = 0; i < holes.size(); ++i)
    if (const uint64_t bits = holes[i] & piece.live[i])
      missing(segment.first_rowid() + i * 64 + static_cast<unsigned>(std::countr_zero(bits)));
  piece.live_rows =
      static_cast<uint32_t>(column::kernels().count_bits(piece.live.data(), piece.live.size()));
  if (piece.live_rows == 0) return;
  if (is_old(segment)) {
    convert_piece(piece);
    return;
  }
  if (piece.whole()) piece.live = {};
  out_.push_back(std::move(piece));
  generations_.push_back(generation);
}

// Whether the segment's rows have to be converted one by one.
bool BatchCursor::is_old(const store::SegmentReader& segment) const {
  for (int column : columns_) {
    const Attribute& a = info_.attribute[column];
    int at = segment.find(a.number);
    if (at < 0) {
      if (missing_converts_) return true;
      continue;
    }
    store::ColumnSpec spec = segment.spec(at);
    bool other = spec.type != a.type || spec.typmod != a.typmod;
    if (other && segment.first_rowid() < info_.horizon) return true;
    if (spec.kind != a.kind || spec.width != a.width)
      throw CorruptError("segment at row " + std::to_string(segment.first_rowid()) +
                         " holds values of type " + std::to_string(spec.type) + " where type " +
                         std::to_string(a.type) + " was expected");
  }
  return false;
}

void BatchCursor::convert_piece(const vector::Piece& piece) {
  std::vector<uint64_t> rowids;
  for (size_t w = 0; w < piece.live.size(); ++w)
    for (uint64_t word = piece.live[w]; word; word &= word - 1)
      rowids.push_back(piece.segment.first_rowid() + w * 64 +
                       static_cast<unsigned>(std::countr_zero(word)));
  convert(rowids);
}

// Rows that are no columns yet, or columns of other types, become a segment of their own.
void BatchCursor::convert(const std::vector<uint64_t>& rowids) {
  std::vector<store::ColumnSpec> specs;
  for (int column : columns_) {
    const Attribute& a = info_.attribute[column];
    specs.push_back({a.number, a.kind, a.width, a.type, a.typmod});
  }
  for (size_t begin = 0; begin < rowids.size();) {
    store::SegmentBuilder builder(specs);
    for (; begin < rowids.size() && builder.rows() < store::kMaxSegmentRows &&
           builder.raw_bytes() < store::kSegmentTargetBytes * 8;
         ++begin) {
      if (begin % 1024 == 0) pg::call([] { CHECK_FOR_INTERRUPTS(); });
      if (!fetch_row(view_, relation_, info_, rowids[begin], slot_))
        throw CorruptError("row " + std::to_string(rowids[begin]) + " of table " +
                           RelationGetRelationName(relation_) + " is missing");
      append_row(entities_ ? entity_of(view_, rowids[begin]) : 0, builder);
    }
    vector::Piece piece;
    piece.live_rows = builder.rows();
    // No rowids are asked for.
    auto storage = std::make_shared<const Bytes>(builder.finish(1));
    piece.segment = store::SegmentReader(*storage);
    piece.storage = std::move(storage);
    out_.push_back(std::move(piece));
    generations_.push_back(kNotInStore);
  }
}

void BatchCursor::append_row(uint64_t entity, store::SegmentBuilder& builder) {
  TupleTableSlot* slot = slot_;
  if (!columns_.empty()) {
    int last = columns_.back() + 1;
    pg::call([=] { slot_getsomeattrs(slot, last); });
  }
  builder.begin_row(entity, 0);
  for (int column : columns_) {
    const Attribute& a = info_.attribute[column];
    Datum value = slot->tts_values[column];
    if (slot->tts_isnull[column]) {
      builder.add_null();
    } else if (a.kind <= store::Kind::Float64) {
      builder.add_bits(static_cast<uint64_t>(value));
    } else {
      auto* p = reinterpret_cast<const uint8_t*>(DatumGetPointer(value));
      if (a.kind == store::Kind::Fixed) {
        builder.add_bytes(ByteView(p, a.width));
        continue;
      }
      const ByteView bytes(reinterpret_cast<const uint8_t*>(VARDATA_ANY(p)), VARSIZE_ANY_EXHDR(p));
      if (is_compressed(value))
        builder.add_compressed(bytes);
      else
        builder.add_bytes(bytes);
    }
  }
}

void BatchCursor::revalidate() {
  std::vector<vector::Piece> valid;
  for (size_t i = 0; i < out_.size(); ++i)
    for (vector::Piece& piece : renewed(std::move(out_[i]), generations_[i])) {
      if (piece.whole()) piece.live = {};
      valid.push_back(std::move(piece));
    }
  out_ = std::move(valid);
}

}  // namespace datahike::am
