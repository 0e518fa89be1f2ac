// What the access method knows of a relation, cached with its relation cache entry.
#pragma once

#include "pg/pg.h"
#include "store/segment.h"

namespace datahike::am {

struct Attribute {
  int16_t number;  // from 1
  store::Kind kind;
  bool dropped;
  bool plain_storage;  // varlena of a type that must keep its 4-byte header
  int16_t length;      // attlen: > 0 fixed, -1 varlena
  uint16_t width;      // bytes of a Fixed value
  Oid type;
  int32_t typmod;
};

struct AddedDefaults;  // see added_defaults.h

// The rowid from which a table's TIDs count: that of the first row it can ever have.
enum class TidBase : uint64_t {};
// What is to be told apart, and is no row of a table: entities, places to wait at.
inline constexpr TidBase kNoTidBase{0};

// Valid to the end of the transaction.
struct RelationInfo {
  uint64_t table;    // stable table id
  uint64_t stamp;    // another one whenever the definition may have changed
  uint64_t horizon;  // rows below it may have been written with other types: see horizon.h
  const AddedDefaults* added_defaults;  // nullptr: none are kept
  uint64_t floor;                       // rows below it do not exist: see floor.h
  TidBase tid_base;
  bool publishes_rows;  // other sessions need the content of uncommitted rows: see rowids.h
  bool unique_in_part;  // perhaps: a unique index lacks rows, see omitted_rows.h
  int columns;          // attributes that are not dropped
  int attributes;
  size_t fixed_bytes;  // of a heap tuple at most, but for its varlenas
  Attribute attribute[FLEXIBLE_ARRAY_MEMBER];
};

// May raise a PostgreSQL error.
const RelationInfo& relation_info(Relation relation);
void end_relation_infos();  // at the end of the transaction
// Whether the relation is the transient target of a command that rewrites another one. Its rows
// become rows of that table at once: PostgreSQL swaps the two when it is done.
inline bool is_rewrite_target(Relation relation) {
  return OidIsValid(relation->rd_rel->relrewrite) &&
         relation->rd_rel->relpersistence != RELPERSISTENCE_TEMP;
}
// How values of an attribute are stored. May raise a PostgreSQL error (0A000: cstring).
Attribute describe_attribute(const FormData_pg_attribute& attribute);
std::vector<store::ColumnSpec> column_specs(const RelationInfo& info);

// The table's schema as commits record it: names, types, attribute numbers, primary key.
// Grammar at the head of schema.cpp.
Bytes describe_schema(Relation relation);
struct RecordedColumn {
  int16_t number;
  Oid type;
};
std::vector<RecordedColumn> schema_columns(ByteView schema);
// What rows have in a column that was added after they were written, unless that is NULL.
struct RecordedDefault {
  Oid type = InvalidOid;
  int32_t typmod = -1;
  store::Kind kind = store::Kind::Bytes;
  Bytes value;  // of a by-value kind: the datum
};
struct RecordedSchema {
  struct Column {
    std::string name, type;
    Oid type_oid = InvalidOid;
    bool not_null = false;
    std::optional<RecordedDefault> added;
  };
  std::string space, name;
  std::map<int16_t, Column> columns;  // by attribute number
  std::vector<int16_t> key;
  bool knows_defaults = false;  // an older library did not record them
};
RecordedSchema read_schema(ByteView schema);  // CorruptError
// Schema-qualified name in a recorded schema.
std::string schema_name(ByteView schema);
// What has changed between two recorded schemas, in words; an empty one: there was no table.
std::vector<std::string> schema_changes(ByteView before, ByteView after);

// Of a table by its OID, from the catalog. May raise a PostgreSQL error: it is no datahike table.
TidBase tid_base(Oid relation);

// rowid <-> TID. Offsets go up to 291, more breaks bitmaps and GIN's posting lists. A rowid below
// the base, which no table has, would get a TID from the end.
inline constexpr uint64_t kRowsPerBlock = 291;
inline constexpr uint64_t kMostTids = (uint64_t{MaxBlockNumber} + 1) * kRowsPerBlock;
inline ItemPointerData to_tid(TidBase base, uint64_t rowid) {
  auto first = static_cast<uint64_t>(base);
  uint64_t at = rowid >= first ? rowid - first : rowid + (kMostTids - first);
  ItemPointerData tid;
  ItemPointerSet(&tid, static_cast<BlockNumber>(at / kRowsPerBlock),
                 static_cast<OffsetNumber>(at % kRowsPerBlock + 1));
  return tid;
}
inline uint64_t to_rowid(TidBase base, const ItemPointerData& tid) {
  uint64_t rowid = static_cast<uint64_t>(base) +
                   uint64_t{ItemPointerGetBlockNumberNoCheck(&tid)} * kRowsPerBlock +
                   ItemPointerGetOffsetNumberNoCheck(&tid) - 1;
  return rowid < kMostTids ? rowid : rowid - kMostTids;
}
// Whether a TID that somebody gives can be a row's. The block after the last one would be the
// first.
inline bool is_rowid(const ItemPointerData& tid) {
  OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(&tid);
  return BlockNumberIsValid(ItemPointerGetBlockNumberNoCheck(&tid)) && offset >= 1 &&
         offset <= kRowsPerBlock;
}

// Refuses what this version does not do: 0A000 with a hint.
[[noreturn]] void not_supported(const char* feature, const char* hint);

}  // namespace datahike::am
