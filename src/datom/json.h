// Values of facts as JSON, and JSON as EDN.
#pragma once

#include "datom/edn_values.h"

namespace datahike::datom {

// Objects become maps with strings as keys, arrays vectors, numbers with a fraction or an exponent
// and those beyond 64 bits decimals. ValueError where it is no JSON. REQUIRES: UTF-8.
edn::Value read_json(std::string_view text);

// Keywords as ":name", instants as "2025-01-31T12:00:00.5Z", bytes as "\x6869", what JSON has no
// number for ("NaN", "Infinity") as text, references and numbers as numbers, tuples as arrays.
void write_json(const Value& value, std::string& out);
void write_json_string(std::string_view text, std::string& out);

}  // namespace datahike::datom
