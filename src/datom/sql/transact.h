// Transactions of facts, as transact() and with_tx() carry them out.
#pragma once

#include "datom/tx_data.h"

namespace datahike::facts {

// Carries it out within the SQL transaction; `keep` false: undoes it again. The report as JSON:
// {"tempids": {...}, "tx": n, "tx_data": [[e, ":attribute", v, tx, added], ...]}.
// Throws datom::FactError, pg::SqlError, and what PostgreSQL raises.
std::string transact(const edn::Value& tx_data, datom::Notation notation, bool keep);

// The last transaction of facts that is visible.
int64_t newest_tx();

}  // namespace datahike::facts
