// A table's schema as commits record it:
//
//   schema := version:u8 = 1, namespace:sized, name:sized, columns:varint, column*, keys:varint,
//   key* column := number:varint, name:sized, type name:sized, type oid:varint, not null:u8 key :=
//   attribute number of the primary key, in its order: varint sized  := length:varint, bytes
#include "am/relation.h"
#include "pg/bridge.h"

namespace datahike::am {

namespace {

// Gathered by PostgreSQL calls into palloc'd memory, before any C++ object exists.
struct RawColumn {
  int16_t number;
  const char *name, *type_name;
  Oid type;
  bool not_null;
};
struct RawSchema {
  const char *schema, *name;
  int columns;
  RawColumn* column;
  int keys;
  int16_t* key;
};

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
  return raw;
}

}  // namespace

Bytes describe_schema(Relation relation) {
  RawSchema raw = pg::call([relation] { return gather(relation); });
  Bytes out;
  ByteWriter w(out);
  w.fixed<uint8_t>(1);
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
  return out;
}

namespace {

std::vector<RecordedColumn> read_columns(ByteReader& r) {
  r.fixed<uint8_t>();
  r.sized();
  r.sized();
  std::vector<RecordedColumn> columns(std::min<uint64_t>(r.varint(), MaxHeapAttributeNumber));
  for (RecordedColumn& c : columns) {
    c.number = static_cast<int16_t>(r.varint());
    r.sized();
    r.sized();
    c.type = static_cast<Oid>(r.varint());
    r.fixed<uint8_t>();
  }
  return columns;
}

}  // namespace

std::vector<RecordedColumn> schema_columns(ByteView schema) {
  ByteReader r(schema, "table schema");
  return read_columns(r);
}

std::vector<int16_t> schema_key(ByteView schema) {
  ByteReader r(schema, "table schema");
  read_columns(r);
  std::vector<int16_t> key(std::min<uint64_t>(r.varint(), INDEX_MAX_KEYS));
  for (int16_t& number : key) number = static_cast<int16_t>(r.varint());
  return key;
}

std::string schema_name(ByteView schema) {
  ByteReader r(schema, "table schema");
  r.fixed<uint8_t>();
  std::string space = r.string();
  std::string name = r.string();
  return space == "public" ? name : space + "." + name;
}

}  // namespace datahike::am
