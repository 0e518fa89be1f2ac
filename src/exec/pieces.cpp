#include "exec/pieces.h"

#include "am/scan.h"
#include "fdw/other_pieces.h"

namespace datahike::exec {

namespace {

class OwnPieces : public Pieces {
 public:
  OwnPieces(VectorScan* scan, const am::RelationInfo& info, const std::vector<int>& attributes)
      : cursor_(am::begin_batch_scan(scan->scan, info), scan->relation, info, attributes,
                scan->row) {}
  std::vector<vector::Piece> next() override { return cursor_.next(); }

 private:
  am::BatchCursor cursor_;
};

class ForeignPieces : public Pieces {
 public:
  ForeignPieces(VectorScan* scan, const std::vector<int>& attributes)
      : pieces_(*scan->foreign, attributes, scan->row) {}
  std::vector<vector::Piece> next() override { return pieces_.next(); }

 private:
  fdw::OtherPieces pieces_;
};

}  // namespace

std::unique_ptr<Pieces> open_pieces(VectorScan* scan, const std::vector<int>& attributes) {
  if (scan->foreign) return std::make_unique<ForeignPieces>(scan, attributes);
  return std::make_unique<OwnPieces>(scan, am::relation_info(scan->relation), attributes);
}

std::vector<ReturnedColumn> returned_columns(VectorScan* scan, const List* numbers) {
  std::vector<ReturnedColumn> columns;
  ListCell* cell;
  foreach (cell, numbers) {
    const int attribute = lfirst_int(cell) - 1;
    if (scan->foreign) {
      columns.push_back({fdw::attribute_there(*scan->foreign, attribute), {}});
      continue;
    }
    const am::RelationInfo& info = am::relation_info(scan->relation);
    columns.push_back(
        {info.attribute[attribute], am::missing_value(scan->relation, info, attribute)});
  }
  return columns;
}

}  // namespace datahike::exec
