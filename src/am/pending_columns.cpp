#include "am/pending_columns.h"

#include "am/compress.h"
#include "column/decompress.h"
#include "pg/shared.h"

namespace datahike::am {

namespace {

// One segment is filled while another is encoded.
constexpr size_t kKept = 2;
std::vector<std::unique_ptr<store::SegmentColumns>> kept;

constexpr size_t kBytesPerRow = 2 * sizeof(uint64_t);  // entity and xid

// Whatever its values, a row takes so much memory: words have 8 bytes, and byte strings an offset.
size_t fixed_bytes(size_t columns) { return kBytesPerRow + columns * sizeof(uint64_t); }
size_t fixed_bytes(const store::SegmentColumns& columns) {
  return fixed_bytes(columns.values.size());
}

constexpr size_t kSmallRowBytes = 512;
constexpr size_t kMostTimesOfTuples = 8;  // of words of a byte, which are nowhere NULL

bool is_full(const store::SegmentColumns& columns, size_t bytes) {
  return columns.raw_bytes >= store::kSegmentTargetBytes ||
         columns.rows() >= store::kMaxSegmentRows || bytes >= 2 * kSpillBytes;
}

// Of a compressed varlena: what a segment has of it.
ByteView bytes_of(const Attribute& a, Datum value) {
  auto* p = reinterpret_cast<const uint8_t*>(DatumGetPointer(value));
  if (a.kind == store::Kind::Fixed) return ByteView(p, a.width);
  return ByteView(reinterpret_cast<const uint8_t*>(VARDATA_ANY(p)), VARSIZE_ANY_EXHDR(p));
}

// Values of one attribute of all slots.
size_t append_words(column::Values& column, const Attribute& a, TupleTableSlot** slots,
                    uint32_t count) {
  const int i = a.number - 1;
  uint32_t nulls = 0;
  for (uint32_t row = 0; row < count; ++row) {
    if (slots[row]->tts_isnull[i]) {
      column.add_null();
      ++nulls;
    } else {
      column.add_word(static_cast<uint64_t>(slots[row]->tts_values[i]));
    }
  }
  return (count - nulls) * column::word_bytes(a.kind);
}

size_t append_byte_strings(column::Values& column, const Attribute& a, TupleTableSlot** slots,
                           uint32_t count) {
  const int i = a.number - 1;
  size_t bytes = 0, of_nulls = 0;
  for (uint32_t row = 0; row < count; ++row) {
    if (slots[row]->tts_isnull[i])
      of_nulls += a.kind == store::Kind::Fixed ? a.width : 0;
    else
      bytes += bytes_of(a, slots[row]->tts_values[i]).size();
  }
  column.add_all_bytes(count, bytes + of_nulls, [=](uint32_t row) {
    return slots[row]->tts_isnull[i] ? ByteView() : bytes_of(a, slots[row]->tts_values[i]);
  });
  return bytes;
}

}  // namespace

bool is_small_as_columns(const Shape& shape) {
  return fixed_bytes(shape.specs.size()) <= kSmallRowBytes;
}

bool is_small_as_columns(const PendingRun& run) {
  return is_small_as_columns(*run.shape) ||
         run.count * fixed_bytes(run.shape->specs.size()) <= kMostTimesOfTuples * run.bytes;
}

std::unique_ptr<store::SegmentColumns> take_columns(const Shape& shape) {
  for (auto& columns : kept) {
    if (columns->specs != shape.specs) continue;
    std::unique_ptr<store::SegmentColumns> taken = std::move(columns);
    columns = std::move(kept.back());
    kept.pop_back();
    return taken;
  }
  return std::make_unique<store::SegmentColumns>(shape.specs);
}

void give_back(std::unique_ptr<store::SegmentColumns> columns) noexcept {
  // Wide rows and large values need more memory than is worth keeping.
  if (columns->rows() * fixed_bytes(*columns) + columns->raw_bytes > 2 * kSpillBytes) return;
  columns->clear();
  try {
    if (kept.size() == kKept) kept.erase(kept.begin());
    kept.push_back(std::move(columns));
  } catch (const std::bad_alloc&) {  // frees them
  }
}

void forget_columns() noexcept { kept.clear(); }

void append_row(PendingRun& run, const Datum* values, const bool* nulls, uint64_t entity) {
  store::SegmentColumns& columns = *run.columns;
  size_t bytes = 0, at = 0;
  bool large = false;
  for (const Attribute& a : run.shape->attributes) {
    if (a.dropped) continue;
    column::Values& column = columns.values[at++];
    const int i = a.number - 1;
    if (nulls[i]) {
      column.add_null();
    } else if (a.kind <= store::Kind::Float64) {
      column.add_word(static_cast<uint64_t>(values[i]));
      bytes += column::word_bytes(a.kind);
    } else {
      const ByteView value = bytes_of(a, values[i]);
      const bool compressed = a.kind == store::Kind::Bytes && is_compressed(values[i]);
      if (compressed)
        column.add_compressed(value);
      else
        column.add_bytes(value);
      const size_t weight = compressed ? column::weight_of_compressed(value) : value.size();
      bytes += weight;
      large |= weight >= store::kLargeValueBytes;
    }
  }
  const uint64_t rowid = run.first + run.count;
  columns.entities.push_back(entity == rowid ? 0 : entity);  // 0 stays 0
  columns.xids.add_word(pg::widen_xid(run.xid));
  columns.raw_bytes += bytes;
  ++run.count;
  run.bytes += bytes + fixed_bytes(columns);
  run.full = large || is_full(columns, run.bytes);
}

void append_rows(PendingRun& run, TupleTableSlot** slots, uint32_t count) {
  store::SegmentColumns& columns = *run.columns;
  size_t bytes = 0, at = 0;
  for (const Attribute& a : run.shape->attributes) {
    if (a.dropped) continue;
    column::Values& column = columns.values[at++];
    bytes += a.kind <= store::Kind::Float64 ? append_words(column, a, slots, count)
                                            : append_byte_strings(column, a, slots, count);
  }
  columns.entities.insert(columns.entities.end(), count, 0);
  const uint64_t xid = pg::widen_xid(run.xid);
  for (uint32_t i = 0; i < count; ++i) columns.xids.add_word(xid);
  columns.raw_bytes += bytes;
  run.count += count;
  run.bytes += bytes + count * fixed_bytes(columns);
  run.full = is_full(columns, run.bytes);
}

uint32_t flat_slots(TupleTableSlot** slots, uint32_t count, const RelationInfo& info, size_t room) {
  size_t bytes = 0;
  for (uint32_t row = 0; row < count; ++row) {
    TupleTableSlot* slot = slots[row];
    slot_getallattrs(slot);
    size_t of_row = 0, largest = 0;
    for (int i = 0; i < info.attributes; ++i) {
      if (info.attribute[i].length != -1 || slot->tts_isnull[i] || info.attribute[i].dropped)
        continue;
      auto* value = reinterpret_cast<varlena*>(DatumGetPointer(slot->tts_values[i]));
      if (VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value)) return row;
      const size_t size = VARSIZE_ANY_EXHDR(value);
      if (size >= store::kLargeValueBytes) return row;  // fills a segment
      of_row += VARSIZE_ANY(value);
      largest = std::max(largest, size);
    }
    if (may_be_compressed(info, of_row, largest)) return row;
    bytes += of_row;
    if (bytes >= room) return row + 1;
  }
  return count;
}

void append_tuple(PendingRun& run, MinimalTuple tuple) {
  static std::vector<Datum> values;
  static std::vector<uint8_t> nulls;
  values.resize(run.shape->attributes.size() + 1);
  nulls.resize(run.shape->attributes.size() + 1);
  auto* isnull = reinterpret_cast<bool*>(nulls.data());
  HeapTupleData heap{};
  heap.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET;
  heap.t_data =
      reinterpret_cast<HeapTupleHeader>(reinterpret_cast<char*>(tuple) - MINIMAL_TUPLE_OFFSET);
  heap_deform_tuple(&heap, run.shape->desc, values.data(), isnull);
  append_row(run, values.data(), isnull, run.entity(run.count));
  pfree(tuple);
}

void turn_into_columns(PendingRun& run) {
  const std::vector<MinimalTuple> tuples = std::move(run.tuples);
  run.tuples = {};
  run.columns = take_columns(*run.shape);
  run.count = 0;
  run.bytes = 0;
  for (MinimalTuple tuple : tuples) append_tuple(run, tuple);
}

}  // namespace datahike::am
