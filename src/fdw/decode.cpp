#include "fdw/decode.h"

#include <algorithm>

#include "am/convert.h"
#include "pg/bridge.h"

extern "C" {
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/syscache.h"
}

namespace datahike::fdw {

namespace {

using store::Kind;

Datum make_fixed(ByteView bytes, MemoryContext memory) {
  auto* p = static_cast<char*>(MemoryContextAlloc(memory, bytes.size()));
  std::memcpy(p, bytes.data(), bytes.size());
  return PointerGetDatum(p);
}

// With a 1-byte header where PostgreSQL allows one.
Datum make_varlena(ByteView bytes, bool plain_storage, MemoryContext memory) {
  bool brief = bytes.size() + VARHDRSZ_SHORT <= VARATT_SHORT_MAX && !plain_storage;
  auto* p = static_cast<char*>(MemoryContextAllocHuge(memory, bytes.size() + VARHDRSZ));
  if (brief)
    SET_VARSIZE_SHORT(p, bytes.size() + VARHDRSZ_SHORT);
  else
    SET_VARSIZE(p, bytes.size() + VARHDRSZ);
  std::memcpy(brief ? VARDATA_SHORT(p) : VARDATA(p), bytes.data(), bytes.size());
  return PointerGetDatum(p);
}

Datum make_datum(ByteView bytes, Kind kind, bool plain_storage, MemoryContext memory) {
  return kind == Kind::Fixed ? make_fixed(bytes, memory)
                             : make_varlena(bytes, plain_storage, memory);
}

bool is_plain(Oid type) {
  return pg::call([=] { return get_typstorage(type) == TYPSTORAGE_PLAIN; });
}

struct Place {
  const RowFormat& format;
  const Column& column;
  TupleTableSlot* slot;
  MemoryContext memory;
};

// An OID that another database has given to a type of its own means something else here.
void require_known_type(const Place& place, Oid type) {
  if (place.format.own_types || type < FirstNormalObjectId) return;
  throw pg::SqlError(
      ERRCODE_FEATURE_NOT_SUPPORTED,
      "column \"" + place.column.was->name + "\" has values of a type of the other database's own",
      "Types that are not built in cannot be read from another store: leave the "
      "column out.");
}

// Its number alone can be read.
void require_own_objects(const Place& place, Oid type) {
  if (place.format.own_types || place.column.as.type == OIDOID) return;
  if (type == INT4OID || type == INT8OID || type == TEXTOID || !names_objects(type)) return;
  throw pg::SqlError(
      ERRCODE_FEATURE_NOT_SUPPORTED,
      "column \"" + place.column.was->name + "\" has values that are objects of the other database",
      "Declare the column as oid, or leave it out.");
}

size_t bytes_of(Kind kind) {
  switch (kind) {
    case Kind::Int8:
      return 1;
    case Kind::Int16:
      return 2;
    case Kind::Int32:
    case Kind::Float32:
      return 4;
    case Kind::Int64:
    case Kind::Float64:
      return 8;
    default:
      return 0;
  }
}

// In a damaged store, or one made to deceive, bytes must not pass for what a type's values are not.
void require_form(const Place& place, Oid type, Kind kind, size_t width) {
  struct Form {
    bool known, by_value;
    int16_t length;
  };
  const Form form = pg::call([=] {
    HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
    if (!HeapTupleIsValid(tuple)) return Form{};
    auto* entry = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
    const Form found{true, entry->typbyval, entry->typlen};
    ReleaseSysCache(tuple);
    return found;
  });
  if (!form.known) return;  // the cast says that the type has been dropped
  bool good = form.length == -1 && kind == Kind::Bytes;
  if (form.by_value)
    good = bytes_of(kind) == static_cast<size_t>(form.length);
  else if (form.length > 0)
    good = kind == Kind::Fixed && width == static_cast<size_t>(form.length);
  if (!good)
    throw CorruptError("values of column \"" + place.column.was->name + "\" of type " +
                       std::to_string(type) + " are in another form than that type has");
}

// Another store does not say in which encoding its text is.
void require_valid_text(const Place& place, Oid type, ByteView bytes) {
  if (place.format.own_types) return;
  if (type != TEXTOID && type != VARCHAROID && type != BPCHAROID && type != JSONOID &&
      type != XMLOID)
    return;
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  const int length = static_cast<int>(bytes.size());
  if (pg_verify_mbstr(GetDatabaseEncoding(), text, length, true)) return;
  pg::call([=] { pg_verify_mbstr(GetDatabaseEncoding(), text, length, false); });
}

void put(const Place& place, Datum value, Oid type, int32_t typmod) {
  int index = place.column.index;
  TupleTableSlot* slot = place.slot;
  slot->tts_isnull[index] = false;
  const am::Attribute& as = place.column.as;
  if (type == as.type && typmod == as.typmod) {
    slot->tts_values[index] = value;
    return;
  }
  FormData_pg_attribute* att = TupleDescAttr(slot->tts_tupleDescriptor, index);
  Oid foreign_table = place.format.foreign_table;
  MemoryContext memory = place.memory;
  slot->tts_values[index] = pg::call([=] {
    return convert_to(value, type, typmod, *att, foreign_table, memory, &slot->tts_isnull[index]);
  });
}

// The row was written before the column was added.
void put_added(const Place& place) {
  const am::RecordedSchema::Column& was = *place.column.was;
  if (!place.format.schema.knows_defaults)
    throw pg::SqlError(
        ERRCODE_FEATURE_NOT_SUPPORTED,
        "column \"" + was.name + "\" cannot be read of rows from before it was added",
        "The commit was recorded by an older library, without the value that such "
        "rows have.");
  if (!was.added) return;
  const am::RecordedDefault& d = *was.added;
  require_known_type(place, d.type);
  require_own_objects(place, d.type);
  require_form(place, d.type, d.kind, d.value.size());
  if (d.kind <= Kind::Float64) {
    if (d.value.size() != sizeof(Datum)) throw CorruptError("a default has the wrong length");
    Datum value;
    std::memcpy(&value, d.value.data(), sizeof value);
    put(place, value, d.type, d.typmod);
    return;
  }
  bool plain = d.kind == Kind::Bytes && is_plain(d.type);
  if (d.kind == Kind::Bytes) require_valid_text(place, d.type, d.value);
  put(place, make_datum(d.value, d.kind, plain, place.memory), d.type, d.typmod);
}

}  // namespace

bool names_objects(Oid type) {
  constexpr Oid kTypes[] = {REGPROCOID,           REGPROCEDUREOID,
                            REGOPEROID,           REGOPERATOROID,
                            REGCLASSOID,          REGTYPEOID,
                            REGROLEOID,           REGNAMESPACEOID,
                            REGCONFIGOID,         REGDICTIONARYOID,
                            REGCOLLATIONOID,      ACLITEMOID,
                            REGPROCARRAYOID,      REGPROCEDUREARRAYOID,
                            REGOPERARRAYOID,      REGOPERATORARRAYOID,
                            REGCLASSARRAYOID,     REGTYPEARRAYOID,
                            REGROLEARRAYOID,      REGNAMESPACEARRAYOID,
                            REGCONFIGARRAYOID,    REGDICTIONARYARRAYOID,
                            REGCOLLATIONARRAYOID, ACLITEMARRAYOID};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

Datum convert_to(Datum value, Oid type, int32_t typmod, const FormData_pg_attribute& to,
                 Oid foreign_table, MemoryContext memory, bool* isnull) {
  Datum converted = am::convert_value(value, type, typmod, to, foreign_table, isnull);
  if (*isnull || to.attbyval) return converted;
  MemoryContext before = MemoryContextSwitchTo(memory);
  if (to.attlen == -1) converted = PointerGetDatum(PG_DETOAST_DATUM(converted));
  converted = datumCopy(converted, false, to.attlen);
  MemoryContextSwitchTo(before);
  return converted;
}

// A value of a type that must not be read is an error, a column of NULLs is none: so whether a type
// may be read is asked where there is a value.
const std::vector<SegmentColumns::Column>& SegmentColumns::of(const RowFormat& format,
                                                              const store::SegmentReader& segment) {
  if (bytes_ == segment.raw().data() && checksum_ == segment.checksum()) return columns_;
  bytes_ = nullptr;
  columns_.assign(format.columns.size(), Column());
  for (size_t i = 0; i < columns_.size(); ++i) {
    const fdw::Column& wanted = format.columns[i];
    Column& column = columns_[i];
    const int at = segment.find(wanted.number);
    column.there = at >= 0;
    if (!column.there) continue;
    column.reader = segment.column_reader(at);
    column.spec = column.reader.spec();
    column.same = column.spec.type == wanted.as.type && column.spec.typmod == wanted.as.typmod;
    column.plain = wanted.as.plain_storage;
  }
  bytes_ = segment.raw().data();
  checksum_ = segment.checksum();
  return columns_;
}

void decode_row(const RowFormat& format, SegmentColumns& known, const store::SegmentReader& segment,
                uint32_t row, TupleTableSlot* slot, MemoryContext memory) {
  const std::vector<SegmentColumns::Column>& columns = known.of(format, segment);
  for (size_t i = 0; i < columns.size(); ++i) {
    const Place place{format, format.columns[i], slot, memory};
    const SegmentColumns::Column& column = columns[i];
    if (!column.there) {
      put_added(place);
      continue;
    }
    if (column.reader.is_null(row)) continue;
    const store::ColumnSpec& spec = column.spec;
    const am::Attribute& as = place.column.as;
    require_known_type(place, spec.type);
    require_own_objects(place, spec.type);
    if (column.same && (spec.kind != as.kind || spec.width != as.width))
      throw CorruptError("segment at row " + std::to_string(segment.first_rowid()) +
                         " holds values of type " + std::to_string(spec.type) +
                         " in another form than that type has");
    if (!column.same) require_form(place, spec.type, spec.kind, spec.width);
    if (spec.kind <= Kind::Float64) {
      put(place, static_cast<Datum>(column.reader.bits(row)), spec.type, spec.typmod);
      continue;
    }
    const bool plain = column.same ? column.plain : spec.kind == Kind::Bytes && is_plain(spec.type);
    const ByteView bytes = column.reader.bytes(row, known.scratch);
    if (spec.kind == Kind::Fixed && bytes.size() != spec.width)
      throw CorruptError("a value of column \"" + place.column.was->name +
                         "\" has the wrong length");
    if (spec.kind == Kind::Bytes) require_valid_text(place, spec.type, bytes);
    put(place, make_datum(bytes, spec.kind, plain, memory), spec.type, spec.typmod);
  }
}

}  // namespace datahike::fdw
