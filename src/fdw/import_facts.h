// IMPORT FOREIGN SCHEMA datahike: facts as foreign tables.
#pragma once

#include "fdw/options.h"

namespace datahike::fdw {

// One table for each namespace of attributes at the server's view, as set_hint() has shaped it, and
// one for each index: eavt, aevt, avet, vaet. Commands that create them. Plain PostgreSQL code.
List* import_facts(ImportForeignSchemaStmt* statement, const char* server,
                   const ServerOptions& options);

}  // namespace datahike::fdw
