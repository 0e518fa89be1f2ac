// Functions of transaction data: SQL functions that a symbol names.
#pragma once

#include "datom/database.h"

namespace datahike::facts {

// Calls function `symbol` ("name" of schema public, or "schema/name") as the caller of transact().
// Arguments have the types that their values have in SQL: int, bigint, float8, numeric, boolean,
// text, timestamptz, uuid, bytea, jsonb of collections. It returns text, which is EDN, json or
// jsonb. Errors: 42883, 42501, 42804, and its own.
datom::Called call_function(const std::string& symbol, std::span<const edn::Value> arguments);

}  // namespace datahike::facts
