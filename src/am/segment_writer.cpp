#include "am/segment_writer.h"

namespace datahike::am {

namespace {

bool to_lone_value(const Attribute& a, Datum datum, store::LoneValue& value) {
  value = {};
  if (column::is_word(a.kind)) {
    value.bits = static_cast<uint64_t>(datum);
    return true;
  }
  auto* p = reinterpret_cast<const uint8_t*>(DatumGetPointer(datum));
  if (a.kind == store::Kind::Fixed) {
    value.bytes = ByteView(p, a.width);
    return true;
  }
  if (is_compressed(datum)) return false;
  value.bytes = ByteView(reinterpret_cast<const uint8_t*>(VARDATA_ANY(p)), VARSIZE_ANY_EXHDR(p));
  return true;
}

}  // namespace

bool write_lone_row(const Shape& shape, uint64_t rowid, uint64_t entity, uint64_t xid,
                    MinimalTuple tuple, Bytes& out) {
  if (tuple->t_len >= store::kLargeValueBytes) return false;
  Datum datums[MaxTupleAttributeNumber];
  bool nulls[MaxTupleAttributeNumber];
  HeapTupleData heap{};
  heap.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET;
  heap.t_data =
      reinterpret_cast<HeapTupleHeader>(reinterpret_cast<char*>(tuple) - MINIMAL_TUPLE_OFFSET);
  heap_deform_tuple(&heap, shape.desc, datums, nulls);
  static std::vector<store::LoneValue> values;
  values.resize(shape.specs.size());
  size_t column = 0;
  for (size_t i = 0; i < shape.attributes.size(); ++i) {
    const Attribute& a = shape.attributes[i];
    if (a.dropped) continue;
    store::LoneValue& value = values[column++];
    if (nulls[i])
      value = {.null = true};
    else if (!to_lone_value(a, datums[i], value))
      return false;
  }
  store::encode_lone_row(shape.specs, values, rowid, entity == rowid ? 0 : entity, xid, out);
  return true;
}

}  // namespace datahike::am
