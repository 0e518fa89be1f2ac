// The live rows of a table view as pieces of segments, for execution by column: the rows of the
// tree, then those of unfolded transactions, then this transaction's own, as RowCursor has them.
#pragma once

#include "am/fetch.h"
#include "column/vector/piece.h"

namespace datahike::am {

class BatchCursor {
 public:
  // `columns`: the attributes that the pieces are read for, as indexes into the relation's
  // description, ascending. A piece has them under their present type, or has not got them where
  // its rows are older (missing_value). `slot`: for rows that have to be converted one by one.
  // `entities`: the pieces are also read for which entities their rows are.
  BatchCursor(const TableView& view, Relation relation, const RelationInfo& info,
              std::vector<int> columns, TupleTableSlot* slot, bool entities = false);
  // The next pieces; none at the end. Those that lie in the store are valid until its generation
  // changes (store/environment.h). Another cursor with the same arguments, under the same snapshot
  // and command, returns the same pieces with the same numbers. May run functions of users, to
  // convert old rows, and raise errors of theirs.
  std::vector<vector::Piece> next();

 private:
  enum Phase { Base, Overlay, Own, End };
  void next_of_base();
  void next_of_overlay();
  void next_of_own();
  void add_run(uint64_t first, uint64_t rows);  // but for the redacted ones
  void add_rows(uint64_t first, const uint64_t* bits, uint64_t count);
  void open_piece(uint64_t rowid);
  void close_piece();
  bool is_old(const store::SegmentReader& segment) const;
  void convert(const std::vector<uint64_t>& rowids);
  void convert_piece(const vector::Piece& piece);
  void append_row(uint64_t entity, store::SegmentBuilder& builder);
  std::vector<vector::Piece> renewed(vector::Piece piece, uint64_t generation) const;
  void add_piece(vector::Piece piece, uint64_t generation);
  [[noreturn]] void missing(uint64_t rowid) const;
  void revalidate();
  bool is_full() const;

  TableView view_;
  Relation relation_;
  const RelationInfo& info_;
  std::vector<int> columns_;
  TupleTableSlot* slot_;
  bool entities_;
  bool missing_converts_ = false;  // a column's default has another type than the column
  std::vector<uint64_t> removed_;  // ascending
  Phase phase_ = Base;
  std::unique_ptr<tree::ContainerCursor> containers_;
  tree::Container container_;
  versioning::AddedRuns::iterator run_;
  uint64_t own_from_ = 0;  // own runs from this rowid on are to be read
  // The piece that is being put together.
  vector::Piece piece_;
  bool has_piece_ = false;
  // The store's generation when a piece's segment was found in it.
  static constexpr uint64_t kNotInStore = UINT64_MAX;
  uint64_t generation_ = kNotInStore;
  uint32_t pieces_ = 0;  // returned so far
  std::vector<vector::Piece> out_;
  std::vector<uint64_t> generations_;
};

// The value that rows from before the attribute was added have, if it is of the attribute's type.
struct MissingValue {
  bool null = true;
  Datum value = 0;
  bool converts = false;  // it is of another type
};
MissingValue missing_value(Relation relation, const RelationInfo& info, int attribute);

}  // namespace datahike::am
