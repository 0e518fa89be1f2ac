// The live rows of a table of another store as pieces of segments, for execution by column: what
// am/batch_cursor.h is for tables of this database.
#pragma once

#include "column/vector/piece.h"
#include "fdw/scan.h"

namespace datahike::fdw {

// A foreign table that shows a table of another store.
bool is_other_table(Relation relation);
// A scan that pieces are made of: keeps the state of the store in which it was opened. Errors and
// privileges as open_scan(). Plain PostgreSQL code; to be closed with close_scan().
Scan* open_other_table(Relation foreign, Snapshot snapshot, Oid user, List* columns,
                       MemoryContext memory);
// The attribute of the other store's table that the foreign table's has the values of, as the
// foreign table declares it. `attribute`: an index into the foreign table's description, that the
// scan was opened for.
am::Attribute attribute_there(const Scan& scan, int attribute);
// What these clauses leave out need not be read. Instead of what was given before.
// REQUIRES: in a guard.
void leave_out_rows(Scan& scan, List* clauses, Index relid);

class OtherPieces {
 public:
  // `columns`: the foreign table's attributes that the pieces are read for, as indexes into its
  // description, ascending, all of those that the scan was opened for. A piece has them under the
  // numbers of attribute_there() and with the foreign table's types. `slot`: of the foreign table,
  // for rows that have to be converted one by one.
  OtherPieces(Scan& scan, const std::vector<int>& columns, TupleTableSlot* slot);
  ~OtherPieces();
  OtherPieces(const OtherPieces&) = delete;
  OtherPieces& operator=(const OtherPieces&) = delete;
  // The next pieces; none at the end. Valid until the scan is closed. A second reader of the same
  // scan, with the same columns, gets the same ones with the same numbers. May raise errors of
  // casts.
  std::vector<vector::Piece> next();

 private:
  void add_container();
  void open_piece(uint64_t rowid);
  void close_piece();
  bool is_as_declared() const;
  bool has_valid_text(int at) const;
  void convert();
  void append_row(uint32_t row, store::SegmentBuilder& builder);

  Scan& scan_;
  std::vector<Column> columns_;
  SegmentColumns known_columns_;
  TupleTableSlot* slot_;
  MemoryContext memory_;  // of a row that is converted
  vector::Piece piece_;   // that is being put together
  bool has_piece_ = false;
  std::vector<vector::Piece> out_;
  size_t converted_bytes_ = 0;  // of them
  uint32_t pieces_ = 0;         // returned so far
};

}  // namespace datahike::fdw
