// :order-by, :offset and :limit, of rows in memory or in files.
#pragma once

#include "datalog/query.h"
#include "datalog/row_set.h"

namespace datahike::datalog {

// REQUIRES: the variables of the rows are the elements of :find. OutOfMemory: nothing is done.
void sort_rows(const Query& query, Relation& rows);
// The same of rows in a file: sorted runs, which are merged, as many at a time as there is room
// for.
std::unique_ptr<RowFile> sort_file(const Query& query, Budget& budget, FileMaker& files,
                                   std::unique_ptr<RowFile> rows);

// Rows of so many columns in a file, whose blocks can be read by number.
std::unique_ptr<RowFile> make_row_file(Budget& budget, std::shared_ptr<TemporaryFile> file,
                                       size_t columns);

}  // namespace datahike::datalog
