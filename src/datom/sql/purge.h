// transact() of data that erases facts.
#pragma once

#include <span>
#include <string>

#include "datom/purge_data.h"

namespace datahike::facts {

// Erases what the purges name, at once and together, as purge() does: with its privileges, from
// every branch and all of history, whatever becomes of the transaction. Returns the report as JSON.
// REQUIRES: no transaction block, nor a subtransaction, around the call.
//
// With an entity go the facts that refer to it, and the entities that are or were components of it
// on some branch; with an attribute's facts the composite tuples made of them, and components.
// FactError: 0A000 rows of tables and built-in attributes; 02000; 22023; 42704; 55000 what
// defines an attribute that some branch still has.
std::string purge(std::span<const datom::Purge> purges, datom::Notation notation);

}  // namespace datahike::facts
