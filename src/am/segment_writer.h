// Pending rows as segments of the log.
#pragma once

#include "am/compress.h"
#include "am/pending.h"
#include "column/decompress.h"
#include "pg/log.h"
#include "store/lone_row.h"

namespace datahike::am {

uint64_t own_xid();  // of the transaction
// A row of the log, but for what it holds. Kind 'd' says who commits.
pg::LogRow new_log_row(uint32_t part, char kind);

// A row that is to be a segment alone, where nothing has to be chosen; appended to `out`. False,
// and nothing is done: a value is compressed or so large that SegmentWriter is to decide.
bool write_lone_row(const Shape& shape, uint64_t rowid, uint64_t entity, uint64_t xid,
                    MinimalTuple tuple, Bytes& out);

// Encodes rows with ascending rowids; a gap, another shape, a large value or a full segment begins
// a new segment. `places` receive offsets into `out`.
class SegmentWriter {
 public:
  SegmentWriter(Bytes& out, std::vector<store::SegmentPlace>& places)
      : out_(out), places_(places) {}

  void add(const Shape& shape, uint64_t rowid, uint64_t entity, uint64_t xid, MinimalTuple tuple) {
    prepare(shape, rowid);
    HeapTupleData heap{};
    heap.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET;
    heap.t_data =
        reinterpret_cast<HeapTupleHeader>(reinterpret_cast<char*>(tuple) - MINIMAL_TUPLE_OFFSET);
    heap_deform_tuple(&heap, shape.desc, values_.data(), nulls_.get());
    builder_->begin_row(entity == rowid ? 0 : entity, xid);
    bool large = false;
    for (size_t i = 0; i < shape.attributes.size(); ++i) large |= add_value(shape.attributes[i], i);
    if (large || builder_->raw_bytes() >= store::kSegmentTargetBytes) finish();
  }
  // A row of a run's columns.
  void add(const Shape& shape, uint64_t rowid, const store::SegmentColumns& columns, uint32_t row) {
    prepare(shape, rowid);
    builder_->begin_row(columns.entities[row], columns.xids.words()[row]);
    bool large = false;
    for (const column::Values& values : columns.values) {
      if (values.is_null(row))
        builder_->add_null();
      else if (column::is_word(values.kind()))
        builder_->add_bits(values.words()[row]);
      else
        large |= add_bytes(values.bytes(row), values.is_compressed(row));
    }
    if (large || builder_->raw_bytes() >= store::kSegmentTargetBytes) finish();
  }
  // All of them, as a segment.
  void add_all(uint64_t first, const store::SegmentColumns& columns) {
    finish();
    Bytes segment = columns.encode(first);
    places_.push_back({first, columns.rows(), 0, out_.size(), segment.size()});
    out_.insert(out_.end(), segment.begin(), segment.end());
  }
  void add(const store::SegmentReader& segment, uint32_t row) {
    uint64_t rowid = segment.first_rowid() + row;
    if (builder_ && (rowid != next_ || !builder_->same_columns(segment) || is_full())) finish();
    if (!builder_) {
      std::vector<store::ColumnSpec> specs;
      for (int i = 0; i < segment.columns(); ++i) specs.push_back(segment.spec(i));
      builder_ = std::make_unique<store::SegmentBuilder>(specs);
      shape_ = nullptr;
      first_ = rowid;
    }
    builder_->append(segment, row);
    next_ = rowid + 1;
  }
  void finish() {
    if (!builder_ || builder_->rows() == 0) return;
    auto rows = builder_->rows();
    Bytes segment = builder_->finish(first_);
    places_.push_back({first_, rows, 0, out_.size(), segment.size()});
    out_.insert(out_.end(), segment.begin(), segment.end());
    builder_.reset();
  }

 private:
  bool is_full() const { return builder_->rows() >= store::kMaxSegmentRows; }

  void prepare(const Shape& shape, uint64_t rowid) {
    if (builder_ && (rowid != next_ || shape_ != &shape || is_full())) finish();
    if (!builder_) {
      builder_ = std::make_unique<store::SegmentBuilder>(shape.specs);
      shape_ = &shape;
      first_ = rowid;
      values_.resize(shape.attributes.size());
      nulls_ = std::make_unique<bool[]>(shape.attributes.size());
    }
    next_ = rowid + 1;
  }

  // Whether the value is so large that its row should be a segment of its own.
  bool add_value(const Attribute& a, size_t i) {
    if (a.dropped) return false;
    if (nulls_[i]) {
      builder_->add_null();
      return false;
    }
    if (a.kind <= store::Kind::Float64) {
      builder_->add_bits(static_cast<uint64_t>(values_[i]));
      return false;
    }
    auto* p = reinterpret_cast<const uint8_t*>(DatumGetPointer(values_[i]));
    if (a.kind == store::Kind::Fixed) {
      builder_->add_bytes(ByteView(p, a.width));
      return false;
    }
    auto* data = reinterpret_cast<const uint8_t*>(VARDATA_ANY(p));
    return add_bytes(ByteView(data, VARSIZE_ANY_EXHDR(p)), is_compressed(values_[i]));
  }

  bool add_bytes(ByteView value, bool compressed) {
    if (compressed)
      builder_->add_compressed(value);
    else
      builder_->add_bytes(value);
    const size_t weight = compressed ? column::weight_of_compressed(value) : value.size();
    return weight >= store::kLargeValueBytes;
  }

  Bytes& out_;
  std::vector<store::SegmentPlace>& places_;
  std::unique_ptr<store::SegmentBuilder> builder_;
  const Shape* shape_ = nullptr;
  uint64_t first_ = 0, next_ = 0;
  std::vector<Datum> values_;
  std::unique_ptr<bool[]> nulls_;
};

}  // namespace datahike::am
