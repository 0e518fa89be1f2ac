// Which types a field of a CSV file could be of, by its text alone: types are inferred from a
// sample of the file's lines.
#pragma once

#include <cstdint>
#include <string_view>

namespace datahike::csv {

// In the order in which a column takes the first that fits all its fields.
enum class ValueType : uint8_t {
  Boolean,      // true, false
  Bigint,       // without leading zeros, which numbers of articles and post codes have
  Double,       // up to the 17 digits that doubles are written with; NaN, infinities
  Numeric,      // digits beyond that
  Date,         // ISO 8601, as all times here: other orders of day and month are ambiguous
  Timestamp,    // dates too: at midnight
  TimestampTz,  // with an offset or Z
  Time,
  Uuid,
  Text,
};
constexpr int value_types = static_cast<int>(ValueType::Text) + 1;

// A set of types: bit 1 << type.
using TypeSet = uint16_t;
constexpr TypeSet all_types = (1 << value_types) - 1;
constexpr TypeSet set_of(ValueType type) {
  return static_cast<TypeSet>(1 << static_cast<int>(type));
}

// The types whose input functions take `field` and lose nothing of it. Always has Text.
TypeSet possible_types(std::string_view field);

// The first of a set; Text where `types` is the set of a column without a value (all_types).
ValueType narrowest(TypeSet types);

// As SQL writes it: "bigint", "double precision".
const char* sql_name(ValueType type);

}  // namespace datahike::csv
