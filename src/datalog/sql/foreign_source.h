// Tables and facts of another store, which a foreign server of the wrapper "datahike" names: the
// directory of another cluster's, a backup, or another database of this cluster
// (fdw/other_store.h).
//
// Attributes are as in this database (table_source.h), but a table without a schema is one of
// schema public: there is no search path there. Tables are those that the commit has recorded. Rows
// are the same entities in every view of a store; entities of two stores have nothing to do with
// one another, even where their numbers are equal.
//
// Who has USAGE on the server may read all of it, as by foreign tables of his own; option database
// takes CONNECT there, too.
#pragma once

#include "datalog/sql/database.h"

namespace datahike::query {

// REQUIRES: `database` names a server. Throws: 42704 no such server, branch or commit, 42501 no
// right to use it, 42809 a server of another wrapper, 22023 it names a view of this database, 0A000
// since and history; what opening the store raises.
std::shared_ptr<datalog::Source> open_foreign_database(const DatabaseValue& database);

}  // namespace datahike::query
