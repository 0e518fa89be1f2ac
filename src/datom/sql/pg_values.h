// Values of facts as PostgreSQL's, and arguments of SQL functions as EDN.
#pragma once

#include "datom/edn_values.h"
#include "pg/bridge.h"

namespace datahike::facts {

// The type that a value has in SQL: bool, int8, numeric, float4, float8, timestamptz, uuid, text
// (strings, keywords without the colon, symbols), bytea; int8 for references; jsonb for tuples.
Oid sql_type(datom::Type type);
// In the current memory context. Throws what PostgreSQL raises.
Datum to_datum(const datom::Value& value);

// A jsonb of JSON text.
Datum jsonb_datum(const std::string& json);

// An argument of a function that takes any type: integers, text, booleans, numeric, floats,
// timestamps, uuid, bytea and jsonb; of other types 42804. Text is a string, whatever is in it.
edn::Value argument_to_edn(Oid type, Datum value);
// Argument `n` of a call; nil where it is NULL.
edn::Value argument_to_edn(FunctionCallInfo call, int n);

}  // namespace datahike::facts
