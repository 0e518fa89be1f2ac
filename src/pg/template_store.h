// CREATE DATABASE carries the store of its template. The copy is made when the new database's row
// is there and before its files are, while PostgreSQL's lock keeps everybody out of the template,
// and is durable before the command commits. Without the commit its directory is removed; one that
// a crash leaves behind belongs to no database, and goes when another one gets its OID.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

// The databases that the current command creates have this template; InvalidOid: none is created.
// REQUIRES: the template's worker is kept out.
void set_template(Oid database, const char* name);
void copy_template_store(Oid new_database);  // may raise a PostgreSQL error
// When the new database's files are there. May raise a PostgreSQL error.
void make_sequences_log();
void end_database_creation(bool committed);  // at the end of the transaction; raises nothing
// Removes what there is under the OID of a database that is no more, or not yet.
void remove_store(Oid database);

}  // namespace datahike::pg
