// A table's schema as commits record it:
//
//   schema  := version:u8, namespace:sized, name:sized, columns:varint, column*, keys:varint, key*,
//              defaults:varint, default*         version 1, of older libraries, has no defaults
//   column  := number:varint, name:sized, type name:sized, type oid:varint, not null:u8
//   key     := attribute number of the primary key, in its order: varint
//   default := number:varint, type oid:varint, typmod:i32, kind:u8, value:sized
//              what rows have in a column that was added after them: 8 bytes of a by-value datum,
//              else the value's bytes, without a varlena's header
//   sized   := length:varint, bytes
#include "am/added_defaults.h"
#include "am/relation.h"
#include "pg/bridge.h"

namespace datahike::am {

namespace {

constexpr uint8_t kSchemaVersion = 2;

// Gathered by PostgreSQL calls into palloc'd memory, before any C++ object exists.
struct RawColumn {
  int16_t number;
  const char *name, *type_name;
  Oid type;
  bool not_null;
};
struct RawDefault {
  int16_t number;
  Oid type;
  int32_t typmod;
  store::Kind kind;
  const void* bytes;
  size_t length;
  Datum bits;  // of a by-value datum
};
struct RawSchema {
  const char *schema, *name;
  int columns;
  RawColumn* column;
  int keys;
  int16_t* key;
  int defaults;
  RawDefault* added;
};

void gather_default(RawSchema* raw, int16_t number, Oid type, int32_t typmod, Datum value) {
  RawDefault& d = raw->added[raw->defaults++];
  d = {number, type, typmod, store::Kind::Bytes, nullptr, 0, value};
  FormData_pg_attribute att{};
  get_typlenbyval(type, &att.attlen, &att.attbyval);
  att.atttypid = type;
  att.atttypmod = typmod;
  d.kind = describe_attribute(att).kind;
  if (att.attbyval) return;
  if (att.attlen == -1) value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
  d.bytes = att.attlen == -1 ? VARDATA_ANY(DatumGetPointer(value)) : DatumGetPointer(value);
  d.length = att.attlen == -1 ? VARSIZE_ANY_EXHDR(DatumGetPointer(value))
                              : static_cast<size_t>(att.attlen);
}

void gather_defaults(Relation relation, RawSchema* raw) {
  TupleDesc desc = RelationGetDescr(relation);
  const RelationInfo& info = relation_info(relation);
  raw->added = static_cast<RawDefault*>(palloc(sizeof(RawDefault) * (desc->natts + 1)));
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (att->attisdropped) continue;
    bool isnull = true;
    Datum value = att->atthasmissing ? getmissingattr(desc, att->attnum, &isnull) : 0;
    if (!isnull)
      gather_default(raw, att->attnum, att->atttypid, att->atttypmod, value);
    else if (const AddedDefault* added = find_added_default(info, att->attnum))
      gather_default(raw, att->attnum, added->type, added->typmod, added->value);
  }
}

RawSchema gather(Relation relation) {
  RawSchema raw{};
  Oid named =
      is_rewrite_target(relation) ? relation->rd_rel->relrewrite : RelationGetRelid(relation);
  raw.schema = get_namespace_name(get_rel_namespace(named));
  raw.name = get_rel_name(named);
  TupleDesc desc = RelationGetDescr(relation);
  raw.column = static_cast<RawColumn*>(palloc(sizeof(RawColumn) * (desc->natts + 1)));
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (att->attisdropped) continue;
    raw.column[raw.columns++] = {att->attnum, NameStr(att->attname),
                                 format_type_with_typemod(att->atttypid, att->atttypmod),
                                 att->atttypid, att->attnotnull};
  }
  Oid key = RelationGetPrimaryKeyIndex(relation);
  if (OidIsValid(key)) {
    Relation index = index_open(key, AccessShareLock);
    raw.keys = IndexRelationGetNumberOfKeyAttributes(index);
    raw.key = static_cast<int16_t*>(palloc(sizeof(int16_t) * raw.keys));
    for (int i = 0; i < raw.keys; ++i) raw.key[i] = index->rd_index->indkey.values[i];
    index_close(index, NoLock);
  }
  gather_defaults(relation, &raw);
  return raw;
}

}  // namespace

Bytes describe_schema(Relation relation) {
  RawSchema raw = pg::call([relation] { return gather(relation); });
  Bytes out;
  ByteWriter w(out);
  w.fixed<uint8_t>(kSchemaVersion);
  w.sized(std::string_view(raw.schema ? raw.schema : ""));
  w.sized(std::string_view(raw.name ? raw.name : RelationGetRelationName(relation)));
  w.varint(static_cast<uint64_t>(raw.columns));
  for (int i = 0; i < raw.columns; ++i) {
    const RawColumn& c = raw.column[i];
    w.varint(static_cast<uint64_t>(c.number));
    w.sized(std::string_view(c.name));
    w.sized(std::string_view(c.type_name));
    w.varint(c.type);
    w.fixed<uint8_t>(c.not_null);
  }
  w.varint(static_cast<uint64_t>(raw.keys));
  for (int i = 0; i < raw.keys; ++i) w.varint(static_cast<uint64_t>(raw.key[i]));
  w.varint(static_cast<uint64_t>(raw.defaults));
  for (int i = 0; i < raw.defaults; ++i) {
    const RawDefault& d = raw.added[i];
    w.varint(static_cast<uint64_t>(d.number));
    w.varint(d.type);
    w.fixed<int32_t>(d.typmod);
    w.fixed(static_cast<uint8_t>(d.kind));
    const void* bytes = d.bytes ? d.bytes : &d.bits;
    w.sized(ByteView(static_cast<const uint8_t*>(bytes), d.bytes ? d.length : sizeof d.bits));
  }
  return out;
}

RecordedSchema read_schema(ByteView schema) {
  ByteReader r(schema, "table schema");
  RecordedSchema parsed;
  parsed.knows_defaults = r.fixed<uint8_t>() >= kSchemaVersion;
  parsed.space = r.string();
  parsed.name = r.string();
  for (uint64_t columns = r.varint(); columns > 0; --columns) {
    auto number = static_cast<int16_t>(r.varint());
    RecordedSchema::Column& c = parsed.columns[number];
    c.name = r.string();
    c.type = r.string();
    c.type_oid = static_cast<Oid>(r.varint());
    c.not_null = r.fixed<uint8_t>() != 0;
  }
  for (uint64_t keys = r.varint(); keys > 0; --keys)
    parsed.key.push_back(static_cast<int16_t>(r.varint()));
  if (!parsed.knows_defaults) return parsed;
  for (uint64_t defaults = r.varint(); defaults > 0; --defaults) {
    auto number = static_cast<int16_t>(r.varint());
    RecordedDefault d;
    d.type = static_cast<Oid>(r.varint());
    d.typmod = r.fixed<int32_t>();
    d.kind = static_cast<store::Kind>(r.fixed<uint8_t>());
    ByteView value = r.sized();
    d.value.assign(value.begin(), value.end());
    if (d.kind <= store::Kind::Float64 && d.value.size() != sizeof(Datum))
      throw CorruptError("table schema: a default of wrong length");
    parsed.columns[number].added = std::move(d);
  }
  return parsed;
}

namespace {

std::string full_name(const RecordedSchema& schema) {
  return schema.space == "public" ? schema.name : schema.space + "." + schema.name;
}

std::string key_of(const RecordedSchema& schema) {
  std::string names;
  for (int16_t number : schema.key) {
    auto column = schema.columns.find(number);
    names +=
        (names.empty() ? "" : ", ") + (column == schema.columns.end() ? "?" : column->second.name);
  }
  return names.empty() ? "none" : "(" + names + ")";
}

}  // namespace

std::vector<std::string> schema_changes(ByteView before, ByteView after) {
  if (before.empty() || after.empty()) {
    if (before.empty() == after.empty()) return {};
    return {before.empty() ? "table created" : "table gone"};
  }
  RecordedSchema a = read_schema(before), b = read_schema(after);
  std::vector<std::string> changes;
  if (full_name(a) != full_name(b)) changes.push_back("table renamed from " + full_name(a));
  for (const auto& [number, old] : a.columns)
    if (!b.columns.count(number)) changes.push_back("column " + old.name + " dropped");
  for (const auto& [number, now] : b.columns) {
    auto at = a.columns.find(number);
    if (at == a.columns.end()) {
      changes.push_back("column " + now.name + " " + now.type +
                        (now.not_null ? " NOT NULL added" : " added"));
      continue;
    }
    const RecordedSchema::Column& old = at->second;
    if (old.name != now.name) changes.push_back("column " + old.name + " renamed to " + now.name);
    if (old.type != now.type)
      changes.push_back("column " + now.name + " from " + old.type + " to " + now.type);
    if (old.not_null != now.not_null)
      changes.push_back("column " + now.name + (now.not_null ? " NOT NULL" : " NULL allowed"));
  }
  if (key_of(a) != key_of(b))
    changes.push_back("primary key from " + key_of(a) + " to " + key_of(b));
  return changes;
}

std::vector<RecordedColumn> schema_columns(ByteView schema) {
  std::vector<RecordedColumn> columns;
  for (const auto& [number, column] : read_schema(schema).columns)
    columns.push_back({number, column.type_oid});
  return columns;
}

std::string schema_name(ByteView schema) { return full_name(read_schema(schema)); }

}  // namespace datahike::am
