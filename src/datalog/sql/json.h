// Values as JSON and back. Keywords are strings with their colon, instants, uuids and bytes strings
// as SQL writes them, sets arrays, symbols strings; numbers stay exact, NaN and infinities are
// strings.
#pragma once

#include "datalog/edn.h"

namespace datahike::query {

void append_json(std::string& out, const edn::Value& value);
// Text for columns: strings bare, everything else as append_json() has it, collections as JSON.
std::string plain_text(const edn::Value& value);
// REQUIRES: valid JSON, as jsonb writes it. Whole numbers become longs or bigints, others doubles
// where these have all their digits, else bigdecs; objects maps with strings as keys. LimitError
// where it nests deeper than edn::kMostDepth.
edn::Value value_of_json(std::string_view text);

}  // namespace datahike::query
