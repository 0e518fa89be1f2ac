// What a transaction of facts changes, as changes of datahike.facts.
#pragma once

#include "datom/transaction.h"

namespace datahike::facts {

// Another transaction has changed the same facts meanwhile: with a newer snapshot it may work out.
struct FactsChanged {};

// Throws FactsChanged, and what PostgreSQL raises: 23505 of unique attributes, 40001.
void write_changes(const datom::Report& report, int64_t tx);

}  // namespace datahike::facts
