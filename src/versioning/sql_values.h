// Arguments and results of the SQL functions.
#pragma once

#include "pg/pg.h"
#include "store/environment.h"

namespace datahike::versioning {

// Those of texts and uuid_datum() may raise PostgreSQL errors; the others throw.
Datum uuid_datum(const store::Uuid& id);
char* optional_text(FunctionCallInfo fcinfo, int arg);  // nullptr where it is NULL
// ereport(ERROR, 22004) where the argument is NULL.
char* required_text(FunctionCallInfo fcinfo, int arg, const char* name);
// The elements of a text[], palloc'd; 22004 where it or one of them is NULL.
List* required_texts(FunctionCallInfo fcinfo, int arg, const char* name);
Datum uuid_array(const std::vector<store::Uuid>& ids);
Datum text_datum(const std::string& text);

// The store as it is now; made by the worker where there is none yet.
store::Environment& store_for_reading();

}  // namespace datahike::versioning
