// Attribute and entity predicates: SQL functions that a symbol names.
#pragma once

#include <string>

#include "datom/value.h"

namespace datahike::facts {

// Whether function `symbol` ("name", or "schema/name") with one argument holds for the value. The
// argument has the value's type: text for strings, keywords and symbols, int8 for longs and
// references, and so on. It must be IMMUTABLE and return boolean; NULL counts as false. It is
// called as the session's user, who needs the right to. Errors: 42883, 42501, 0A000.
bool call_predicate(const std::string& symbol, const datom::Value& v);

// The user whose rights count while transact() works as the owner of the facts.
void set_calling_user(unsigned int user);

}  // namespace datahike::facts
