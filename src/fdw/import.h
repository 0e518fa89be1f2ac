// IMPORT FOREIGN SCHEMA.
#pragma once

#include "pg/pg.h"

extern "C" {
#include "foreign/fdwapi.h"
}

namespace datahike::fdw {

// The CREATE FOREIGN TABLE commands for the tables of a schema at the server's view.
List* import_schema(ImportForeignSchemaStmt* statement, Oid server);

}  // namespace datahike::fdw
