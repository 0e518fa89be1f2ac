// Attribute and entity predicates: SQL functions that a symbol names.
#pragma once

#include <string>

#include "datom/value.h"

namespace datahike::facts {

// Whether function `symbol` ("name", or "schema/name") with one argument holds for the value. The
// argument has the value's type: text for strings, keywords and symbols, int8 for longs and
// references, and so on. It must be IMMUTABLE and return boolean; NULL counts as false. It is
// called as its owner, in a security-restricted operation; the session's user needs the right to.
// Errors: 42883, 42501, 0A000.
bool call_predicate(const std::string& symbol, const datom::Value& v);

// The user whose rights count while transact() works as the owner of the facts. Returns that of
// before, which the caller puts back.
unsigned int exchange_calling_user(unsigned int user);

}  // namespace datahike::facts
