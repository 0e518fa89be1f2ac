// Temporary files of queries: PostgreSQL's, in temp_tablespaces, counted by temp_file_limit and
// gone with the resource owner that they were made for, whatever ends it.
#pragma once

#include "datalog/row_file.h"
#include "pg/pg.h"

namespace datahike::query {

// In the memory context and for the resource owner that are current. What PostgreSQL raises where
// the disk or temp_file_limit (53400) ends.
std::unique_ptr<datalog::TemporaryFile> make_temporary_file(MemoryContext memory,
                                                            ResourceOwner owner);

void install_temporary_files();

}  // namespace datahike::query
