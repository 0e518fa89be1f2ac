// Options of foreign servers and foreign tables of the wrapper "datahike", and their validator.
#pragma once

#include "pg/pg.h"
#include "versioning/named_view.h"

namespace datahike::fdw {

// Texts are palloc'd; nullptr: the option is not given.
struct ServerOptions {
  versioning::ViewOptions view;
  const char* store;     // directory of another store
  const char* database;  // another database of this cluster
  bool is_local() const { return !store && !database; }
  // Whether the server names a branch of this database and nothing else.
  bool is_writable() const {
    return is_local() && view.branch && !view.as_of && !view.since && !view.commit_id;
  }
};
// All may raise PostgreSQL errors and own nothing with a destructor.
ServerOptions server_options(Oid server);
bool is_our_server(Oid server);

// The table that a foreign table reads.
struct TableName {
  const char *space, *name;
};
TableName table_name(Oid foreign_table);  // HV000-class where the option is missing
// An option of a foreign table or of one of its columns; nullptr: it is not given.
const char* table_option(Oid foreign_table, const char* name);
const char* column_option(Oid foreign_table, AttrNumber column, const char* name);
// What EXPLAIN and errors call it: schema-qualified, quoted where needed.
char* quoted(const TableName& name);
// Whose privileges count: `user`, or the role that the user's mapping for the server names.
Oid reading_role(Oid server, Oid user);
// What the server reads, in words.
char* describe_view(const ServerOptions& options);

}  // namespace datahike::fdw
