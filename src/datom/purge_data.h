// Transaction data that erases instead of changing: `:db.purge/entity`, `:db.purge/attribute`,
// `:db/purge`, `:db.history.purge/before`.
#pragma once

#include <optional>

#include "datalog/edn.h"
#include "datom/edn_values.h"

namespace datahike::datom {

struct Purge {
  // entity e; attribute e a; fact e a v; history before an instant
  enum class Kind : uint8_t { Entity, Attribute, Fact, HistoryBefore } kind;
  std::span<const edn::Value> arguments;  // of the data, which must live on
};

// Whether an operation is one of these, by its name without the colon.
bool is_purge(std::string_view operation);

// The purges that the data consists of, in its order; none: it has none. FactError 0A000 where it
// has others, too: what is erased is erased at once, what is transacted with the transaction.
// 22023: wrong number of arguments, or a name that is none.
std::vector<Purge> read_purges(const edn::Value& tx_data, Notation notation);

}  // namespace datahike::datom
