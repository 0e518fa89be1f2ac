// From a row in a segment to the columns of a foreign table, by the schema that a commit recorded.
#pragma once

#include "am/relation.h"
#include "pg/pg.h"
#include "store/segment.h"

namespace datahike::fdw {

// A column of a foreign table that is read, and where its values come from.
struct Column {
  int index;                              // among the foreign table's attributes, from 0
  int16_t number;                         // of the attribute that is read
  am::Attribute as;                       // what the foreign table declares
  const am::RecordedSchema::Column* was;  // what the commit recorded; nullptr: not needed
};

// What the rows of a scan are made of.
struct RowFormat {
  const std::vector<Column>& columns;
  const am::RecordedSchema& schema;
  Oid foreign_table;
  bool own_types;  // OIDs of types are those of this database
};
// What decode_row() has found out of the columns of the segment that it was last called for.
class SegmentColumns {
 public:
  struct Column {
    bool there = false;
    store::ColumnSpec spec;
    store::ColumnReader reader;
    bool same = false;   // as the foreign table declares it
    bool plain = false;  // stored without a short header
  };
  const std::vector<Column>& of(const RowFormat& format, const store::SegmentReader& segment);
  column::Scratch scratch;

 private:
  const uint8_t* bytes_ = nullptr;
  uint64_t checksum_ = 0;
  std::vector<Column> columns_;
};
// Puts the row's values into the slot's arrays, which say that all is NULL; by-reference values are
// made in `memory`. Values that were written with another type than the column's are cast, as the
// table's own are (am/convert.h).
// REQUIRES: `known` has been used with the same columns and schema only.
void decode_row(const RowFormat& format, SegmentColumns& known, const store::SegmentReader& segment,
                uint32_t row, TupleTableSlot* slot, MemoryContext memory);

// Whether values of the type are OIDs of a database's objects, which are shown by its catalogs:
// those of another database mean something else here. Of arrays as well.
bool names_objects(Oid type);

// The value as the column's type. By-reference results are in `memory`. May raise a PostgreSQL
// error; owns nothing with a destructor.
Datum convert_to(Datum value, Oid type, int32_t typmod, const FormData_pg_attribute& to,
                 Oid foreign_table, MemoryContext memory, bool* isnull);

}  // namespace datahike::fdw
