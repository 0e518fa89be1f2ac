// SQL values as EDN values and back.
//
//   smallint, int, bigint, oid  long          numeric        bigdec (NaN and infinities: double)
//   real, double precision      double        boolean        boolean
//   text, varchar, name, enums  string        char(n)        string without the spaces at its end
//   timestamptz, timestamp (as UTC), date (midnight UTC)     instant
//   uuid                        uuid          bytea          bytes
//   json, jsonb                 its content   arrays         vectors
//   datahike.edn                what it says  anything else  string, as it is written
#pragma once

#include "datalog/relation.h"
#include "pg/pg.h"

namespace datahike::query {

using datalog::Column;
using edn::Kind;
using edn::Value;

// A value on its way out of a PostgreSQL frame: no destructors. By-reference parts are palloc'd.
struct Cell {
  enum Kind : uint8_t {
    Null,
    Integer,
    Real,
    Boolean,
    Instant,
    Text,
    Decimal,
    Uuid,
    Bytes,
    Json,
    Edn,
    Array
  };
  Kind kind = Null;
  union {
    int64 integer;  // Instant: microseconds since 1970, as EDN has it
    double real;
    bool boolean;
    const char* text;
    Cell* items;
  };
  size_t length = 0;  // of text or items
};
// How a type's values become cells: made once for a column.
struct CellType {
  Oid type = InvalidOid;  // base type
  bool is_edn = false;    // the domain datahike.edn
  bool is_array = false;
  Oid element = InvalidOid;
  FmgrInfo output;  // where the type has no cell of its own
};
void describe_type(Oid type, CellType* out);             // may raise a PostgreSQL error
Cell cell_of(Datum value, bool isnull, CellType* type);  // may raise a PostgreSQL error
Value value_of(const Cell& cell);                        // throws

// The value as one of a type, in the current memory context; nil is NULL. For frames with
// destructors.
Datum datum_of(const Value& value, Oid type, int32 typmod, bool* isnull);

// Text in the database's encoding to UTF-8 and back; throw.
std::string to_utf8(const char* text);
char* from_utf8(const std::string& text);  // palloc'd

// A type that SQL functions may be given the value as; InvalidOid: there is none.
Oid natural_type(const Value& value);

}  // namespace datahike::query
