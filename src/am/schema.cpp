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

struct RecordedSchema {
  struct Column {
    std::string name, type;
    Oid type_oid;
    bool not_null;
  };
  std::string name;
  std::map<int16_t, Column> columns;  // by attribute number
  std::vector<int16_t> key;
};

RecordedSchema parse(ByteView schema) {
  ByteReader r(schema, "table schema");
  r.fixed<uint8_t>();
  RecordedSchema parsed;
  std::string space = r.string();
  std::string name = r.string();
  parsed.name = space == "public" ? name : space + "." + name;
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
  return parsed;
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
  RecordedSchema a = parse(before), b = parse(after);
  std::vector<std::string> changes;
  if (a.name != b.name) changes.push_back("table renamed from " + a.name);
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
  for (const auto& [number, column] : parse(schema).columns)
    columns.push_back({number, column.type_oid});
  return columns;
}

std::string schema_name(ByteView schema) { return parse(schema).name; }

}  // namespace datahike::am
