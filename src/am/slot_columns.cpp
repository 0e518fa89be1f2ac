#include "am/slot_columns.h"

#include <new>

namespace datahike::am {

using store::Kind;

void SlotColumn::find(const Attribute& a, int i, const store::SegmentReader& segment) {
  in_order_ = expected_ = rows_ahead_ = 0;
  if (a.dropped) {
    stored_as_ = StoredAs::Nothing;
    return;
  }
  // Columns are in attribute order: without dropped ones the index is the attribute's.
  const int column =
      i < segment.columns() && segment.spec(i).number == a.number ? i : segment.find(a.number);
  if (column < 0) {
    stored_as_ = StoredAs::Missing;
    return;
  }
  reader_ = segment.column_reader(column);
  const store::ColumnSpec& spec = reader_.spec();
  if (spec.type != a.type || spec.typmod != a.typmod || spec.kind != a.kind ||
      spec.width != a.width)
    stored_as_ = StoredAs::Otherwise;
  else if (a.kind <= Kind::Float64)
    stored_as_ = StoredAs::Word;
  else
    stored_as_ = a.kind == Kind::Fixed ? StoredAs::Fixed : StoredAs::Varlena;
}

uint64_t SlotColumn::next_word(uint32_t row, uint32_t rows, MemoryContext memory) {
  in_order_ = row - expected_ < kGap ? in_order_ + 1 : 0;
  expected_ = row + 1;
  if (in_order_ < kRowsInOrder) return reader_.bits(row);
  if (!ahead_)
    ahead_ = static_cast<uint64_t*>(MemoryContextAlloc(memory, kAhead * sizeof(uint64_t)));
  const uint32_t count = std::min(kAhead, rows - row);
  rows_ahead_ = 0;
  reader_.bits(row, {ahead_, count});
  first_ahead_ = row;
  rows_ahead_ = count;
  expected_ = row + count;
  return ahead_[0];
}

void SlotColumns::enter(const store::SegmentReader& segment, uint64_t generation) {
  if (generation == 0) {  // not to be compared: nothing of it is looked at
    ++segments_;
    generation_ = 0;
    return;
  }
  const uint8_t* bytes = segment.raw().data();
  if (generation == generation_ && bytes == bytes_ && segment.checksum() == checksum_) return;
  ++segments_;
  bytes_ = bytes;
  checksum_ = segment.checksum();
  generation_ = generation;
}

SlotColumn& SlotColumns::column(const RelationInfo& info, int i,
                                const store::SegmentReader& segment, MemoryContext memory) {
  if (!column_) {
    const auto columns = static_cast<size_t>(info.attributes);
    column_ =
        static_cast<SlotColumn*>(MemoryContextAllocZero(memory, columns * sizeof(SlotColumn)));
    columns_ = info.attributes;
  }
  SlotColumn& column = column_[i];
  if (column.segment_ != segments_) {
    column.find(info.attribute[i], i, segment);
    column.segment_ = segments_;
  }
  return column;
}

void SlotColumns::release() {
  if (!column_) return;
  for (int i = 0; i < columns_; ++i)
    if (column_[i].ahead_) pfree(column_[i].ahead_);
  pfree(column_);
  column_ = nullptr;
}

}  // namespace datahike::am
