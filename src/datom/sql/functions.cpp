// The SQL functions that change facts.
#include "datom/json.h"
#include "datom/purge_data.h"
#include "datom/sql/pg_values.h"
#include "datom/sql/purge.h"
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

Datum transact(const edn::Value& data, datom::Notation notation, bool keep) {
  const std::vector<datom::Purge> purges = datom::read_purges(data, notation);
  if (purges.empty()) return facts::jsonb_datum(facts::transact(data, notation, keep));
  if (!keep)
    throw datom::FactError("0A000", "with_tx() cannot tell what purges would do",
                           "transact() erases.");
  pg::call([] {
    PreventCommandIfReadOnly("purging facts");
    PreventCommandDuringRecovery("purging facts");
    // What it erases stays erased, whatever becomes of the transaction.
    PreventInTransactionBlock(true, "transact() of what purges");
  });
  return facts::jsonb_datum(facts::purge(purges, notation));
}

// EDN and stored strings are UTF-8.
Datum transact_edn(const char* given, bool keep) {
  const char* text = pg_server_to_any(given, static_cast<int>(std::strlen(given)), PG_UTF8);
  return pg::guard([=] { return transact(edn::read(text), datom::Notation::Edn, keep); });
}

Datum transact_json(Datum jsonb, bool keep) {
  return pg::guard([=] {
    return transact(facts::argument_to_edn(JSONBOID, jsonb), datom::Notation::Json, keep);
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
