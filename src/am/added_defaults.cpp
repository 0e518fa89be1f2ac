// In datahike.relation:
//
//   added_defaults := entry*
//   entry          := number:int16, type:uint32, typmod:int32, length:uint32, value
//   value          := 8 bytes of a by-value datum | the bytes of a fixed-length one
//                     | a varlena with its 4-byte header, neither compressed nor toasted
//
// Integers are the machine's own and unaligned: the catalog never leaves it.
#include "am/added_defaults.h"

#include "pg/bridge.h"
#include "pg/catalog.h"

extern "C" {
#include "lib/stringinfo.h"
}

namespace datahike::am {

namespace {

constexpr int kHead = sizeof(int16_t) + sizeof(Oid) + sizeof(int32_t) + sizeof(uint32_t);

struct Head {
  int16_t number;
  Oid type;
  int32_t typmod;
  uint32_t length;
};

template <class T>
const char* take(const char* p, T* out) {
  std::memcpy(out, p, sizeof(T));
  return p + sizeof(T);
}

const char* read_head(const char* p, Head* head) {
  p = take(p, &head->number);
  p = take(p, &head->type);
  p = take(p, &head->typmod);
  return take(p, &head->length);
}

bool is_kept(const StringInfo kept, int16_t number) {
  const char* p = kept->data;
  while (p < kept->data + kept->len) {
    Head head;
    p = read_head(p, &head);
    if (head.number == number) return true;
    p += head.length;
  }
  return false;
}

void append(StringInfo kept, const FormData_pg_attribute& att, Datum value) {
  const void* bytes = &value;
  uint32_t length = sizeof(Datum);
  if (!att.attbyval) {
    if (att.attlen == -1) value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
    bytes = DatumGetPointer(value);
    length = static_cast<uint32_t>(datumGetSize(value, false, att.attlen));
  }
  appendBinaryStringInfo(kept, reinterpret_cast<const char*>(&att.attnum), sizeof(int16_t));
  appendBinaryStringInfo(kept, reinterpret_cast<const char*>(&att.atttypid), sizeof(Oid));
  appendBinaryStringInfo(kept, reinterpret_cast<const char*>(&att.atttypmod), sizeof(int32_t));
  appendBinaryStringInfo(kept, reinterpret_cast<const char*>(&length), sizeof length);
  appendBinaryStringInfo(kept, static_cast<const char*>(bytes), static_cast<int>(length));
}

void append_missing(StringInfo kept, TupleDesc desc) {
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (!att->atthasmissing || att->attisdropped || is_kept(kept, att->attnum)) continue;
    bool isnull;
    Datum value = getmissingattr(desc, att->attnum, &isnull);
    if (!isnull) append(kept, *att, value);
  }
}

void save(Relation relation, TupleDesc before) {
  StringInfoData kept;
  initStringInfo(&kept);
  Oid relid = RelationGetRelid(relation);
  if (bytea* stored = pg::find_table(relid).added_defaults)
    appendBinaryStringInfo(&kept, VARDATA(stored), static_cast<int>(VARSIZE(stored) - VARHDRSZ));
  int length = kept.len;
  append_missing(&kept, before);
  append_missing(&kept, RelationGetDescr(relation));
  if (kept.len == length) return;
  auto* value = static_cast<bytea*>(palloc(static_cast<Size>(kept.len) + VARHDRSZ));
  SET_VARSIZE(value, static_cast<Size>(kept.len) + VARHDRSZ);
  std::memcpy(VARDATA(value), kept.data, static_cast<size_t>(kept.len));
  pg::set_added_defaults(relid, value);
}

}  // namespace

void save_added_defaults(Relation relation, TupleDesc before) {
  pg::call([=] { save(relation, before); });
}

AddedDefaults* load_added_defaults(const bytea* stored) {
  if (!stored) return nullptr;
  const char* p = VARDATA(stored);
  const char* end = p + (VARSIZE(stored) - VARHDRSZ);
  int count = 0;
  size_t values = 0;
  for (const char* at = p; at + kHead <= end; ++count) {
    Head head;
    at = read_head(at, &head) + head.length;
    values += MAXALIGN(head.length);
  }
  size_t array = MAXALIGN(offsetof(AddedDefaults, entry) + sizeof(AddedDefault) * count);
  auto* chunk = static_cast<char*>(MemoryContextAllocZero(TopMemoryContext, array + values));
  auto* loaded = reinterpret_cast<AddedDefaults*>(chunk);
  char* place = chunk + array;
  for (loaded->count = 0; loaded->count < count;) {
    Head head;
    p = read_head(p, &head);
    AddedDefault& d = loaded->entry[loaded->count++];
    d = {head.number, head.type, head.typmod, PointerGetDatum(place)};
    std::memcpy(place, p, head.length);
    if (get_typbyval(head.type)) std::memcpy(&d.value, place, sizeof d.value);
    place += MAXALIGN(head.length);
    p += head.length;
  }
  return loaded;
}

const AddedDefault* find_added_default(const RelationInfo& info, int16_t number) {
  if (!info.added_defaults) return nullptr;
  for (int i = 0; i < info.added_defaults->count; ++i)
    if (info.added_defaults->entry[i].number == number) return &info.added_defaults->entry[i];
  return nullptr;
}

}  // namespace datahike::am
