// Where the pieces that a vector scan reads come from: a table of this database, or one of another
// store that a foreign table shows.
#pragma once

#include "am/batch_cursor.h"
#include "exec/vector_scan.h"

namespace datahike::exec {

class Pieces {
 public:
  virtual ~Pieces() = default;
  // As BatchCursor::next().
  virtual std::vector<vector::Piece> next() = 0;
};
// For these columns, as indexes into the relation's description, ascending. The same each time,
// under the same snapshot and command.
std::unique_ptr<Pieces> open_pieces(VectorScan* scan, const std::vector<int>& attributes);

// A column that is returned as it is kept, and what it is in rows whose pieces have not got it.
struct ReturnedColumn {
  am::Attribute attribute;
  am::MissingValue missing;
};
std::vector<ReturnedColumn> returned_columns(VectorScan* scan, const List* numbers);

}  // namespace datahike::exec
