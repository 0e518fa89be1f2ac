// Temporary files of Datalog's queries: PostgreSQL's (pg/temporary_file.h).
#pragma once

#include "datalog/row_file.h"
#include "pg/pg.h"

namespace datahike::query {

std::unique_ptr<datalog::TemporaryFile> make_temporary_file(MemoryContext memory,
                                                            ResourceOwner owner);

}  // namespace datahike::query
