// The SQL functions that change facts.
#include "datom/json.h"
#include "datom/sql/pg_values.h"
#include "datom/sql/transact.h"

extern "C" {
#include "mb/pg_wchar.h"

PG_FUNCTION_INFO_V1(datahike_transact);
PG_FUNCTION_INFO_V1(datahike_transact_json);
PG_FUNCTION_INFO_V1(datahike_with_tx);
PG_FUNCTION_INFO_V1(datahike_with_tx_json);
PGDLLEXPORT Datum datahike_transact(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_transact_json(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_with_tx(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_with_tx_json(PG_FUNCTION_ARGS);
}

using namespace datahike;

namespace {

// EDN and stored strings are UTF-8.
Datum transact_edn(const char* given, bool keep) {
  const char* text = pg_server_to_any(given, static_cast<int>(std::strlen(given)), PG_UTF8);
  return pg::guard([=] {
    return facts::jsonb_datum(facts::transact(edn::read(text), datom::Notation::Edn, keep));
  });
}

Datum transact_json(Datum jsonb, bool keep) {
  return pg::guard([=] {
    edn::Value data = facts::argument_to_edn(JSONBOID, jsonb);
    return facts::jsonb_datum(facts::transact(data, datom::Notation::Json, keep));
  });
}

}  // namespace

Datum datahike_transact(PG_FUNCTION_ARGS) {
  return transact_edn(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
}

Datum datahike_transact_json(PG_FUNCTION_ARGS) { return transact_json(PG_GETARG_DATUM(0), true); }

Datum datahike_with_tx(PG_FUNCTION_ARGS) {
  return transact_edn(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
}

Datum datahike_with_tx_json(PG_FUNCTION_ARGS) { return transact_json(PG_GETARG_DATUM(0), false); }
