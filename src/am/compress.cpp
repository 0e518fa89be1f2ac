#include "am/compress.h"

extern "C" {
#include "access/heaptoast.h"
#include "access/toast_internals.h"
}

namespace datahike::am {

namespace {

// Smaller ones are left alone, as by toast_tuple_find_biggest_attribute().
constexpr Size kLeastBytes = MAXALIGN(TOAST_POINTER_SIZE);

// heap_toast_insert_or_update() without a TOAST table: what it would move out of line stays, but
// counts as the pointer that would take its place. So the values that it would compress are
// compressed, and no others.
class Toaster {
 public:
  // values: an array of the caller's. Results are palloc'd.
  Toaster(Relation relation, Datum* values, const bool* isnull)
      : desc_(RelationGetDescr(relation)), values_(values), isnull_(isnull) {
    Size head = SizeofHeapTupleHeader;
    for (int i = 0; i < desc_->natts; ++i)
      if (isnull[i]) {
        head += BITMAPLEN(desc_->natts);
        break;
      }
    head_ = MAXALIGN(head);
    target_ = static_cast<Size>(RelationGetToastTupleTarget(relation, TOAST_TUPLE_TARGET)) - head_;
    SET_VARTAG_EXTERNAL(pointer_, VARTAG_ONDISK);
  }

  void run() {
    std::memcpy(shown_, values_, sizeof(Datum) * desc_->natts);
    if (head_ + data_bytes() <= TOAST_TUPLE_THRESHOLD) return;
    std::memset(done_, 0, sizeof(bool) * desc_->natts);
    while (data_bytes() > target_) {
      const int i = biggest(true, false);
      if (i < 0) break;
      if (TupleDescAttr(desc_, i)->attstorage == TYPSTORAGE_EXTENDED)
        compress(i);
      else
        done_[i] = true;
      if (size(i) > target_) move_out(i);
    }
    while (data_bytes() > target_) {
      const int i = biggest(false, false);
      if (i < 0) break;
      move_out(i);
    }
    while (data_bytes() > target_) {
      const int i = biggest(true, true);
      if (i < 0) break;
      compress(i);
    }
  }

 private:
  // isnull is not changed.
  Size data_bytes() { return heap_compute_data_size(desc_, shown_, const_cast<bool*>(isnull_)); }
  Size size(int i) const { return VARSIZE_ANY(DatumGetPointer(shown_[i])); }
  void move_out(int i) { shown_[i] = PointerGetDatum(pointer_); }

  int biggest(bool to_compress, bool main) const {
    int found = -1;
    Size most = kLeastBytes;
    for (int i = 0; i < desc_->natts; ++i) {
      const FormData_pg_attribute* att = TupleDescAttr(desc_, i);
      if (isnull_[i] || att->attisdropped || att->attlen != -1) continue;
      const char storage = att->attstorage;
      if (main ? storage != TYPSTORAGE_MAIN
               : storage != TYPSTORAGE_EXTENDED && storage != TYPSTORAGE_EXTERNAL)
        continue;
      if (VARATT_IS_EXTERNAL(DatumGetPointer(shown_[i]))) continue;
      if (to_compress && (done_[i] || VARATT_IS_COMPRESSED(DatumGetPointer(shown_[i])))) continue;
      if (size(i) <= most) continue;
      found = i;
      most = size(i);
    }
    return found;
  }

  void compress(int i) {
    done_[i] = true;
    const Datum made = toast_compress_datum(values_[i], TupleDescAttr(desc_, i)->attcompression);
    if (!DatumGetPointer(made)) return;
    values_[i] = shown_[i] = made;
  }

  TupleDesc desc_;
  Datum* values_;
  const bool* isnull_;
  Size head_, target_;
  char pointer_[TOAST_POINTER_SIZE];
  Datum shown_[MaxHeapAttributeNumber];
  bool done_[MaxHeapAttributeNumber];
};
static_assert(std::is_trivially_destructible_v<Toaster>);

Datum* writable(TupleTableSlot* slot, Datum* values) {
  if (values != slot->tts_values) return values;
  const Size bytes = sizeof(Datum) * static_cast<Size>(slot->tts_tupleDescriptor->natts);
  return static_cast<Datum*>(std::memcpy(palloc(bytes), values, bytes));
}

void compress_large(Relation relation, TupleTableSlot* slot, Datum* values) {
  auto* before = static_cast<Datum*>(
      palloc(sizeof(Datum) * static_cast<Size>(slot->tts_tupleDescriptor->natts)));
  const int count = std::min(slot->tts_tupleDescriptor->natts, RelationGetDescr(relation)->natts);
  std::memcpy(before, values, sizeof(Datum) * static_cast<Size>(count));
  Toaster(relation, values, slot->tts_isnull).run();
  for (int i = 0; i < count; ++i)
    if (values[i] != before[i] && before[i] != slot->tts_values[i])
      pfree(DatumGetPointer(before[i]));
  pfree(before);
}

}  // namespace

bool may_be_compressed(const RelationInfo& info, size_t varlena_bytes, size_t largest) {
  return largest > kLeastBytes && varlena_bytes + info.fixed_bytes > TOAST_TUPLE_THRESHOLD;
}

Datum* stored_values(Relation relation, TupleTableSlot* slot, const RelationInfo& info) {
  slot_getallattrs(slot);
  Datum* values = slot->tts_values;
  size_t bytes = 0, largest = 0;
  for (int i = 0; i < info.attributes; ++i) {
    if (info.attribute[i].length != -1 || slot->tts_isnull[i] || info.attribute[i].dropped)
      continue;
    auto* value = reinterpret_cast<varlena*>(DatumGetPointer(slot->tts_values[i]));
    // Expanded objects in memory, and what heap keeps out of line: compressed, perhaps.
    if (VARATT_IS_EXTERNAL(value)) {
      values = writable(slot, values);
      value = detoast_external_attr(value);
      values[i] = PointerGetDatum(value);
    }
    const size_t size = VARSIZE_ANY(value);
    bytes += size;
    largest = std::max(largest, size);
  }
  if (!may_be_compressed(info, bytes, largest)) return values;
  values = writable(slot, values);
  compress_large(relation, slot, values);
  return values;
}

void free_stored(TupleTableSlot* slot, const RelationInfo& info, Datum* values) {
  if (values == slot->tts_values) return;
  for (int i = 0; i < info.attributes; ++i)
    if (values[i] != slot->tts_values[i] && !slot->tts_isnull[i]) pfree(DatumGetPointer(values[i]));
  pfree(values);
}

}  // namespace datahike::am
