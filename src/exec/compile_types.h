// What compile.cpp and compile_filters.cpp share: how SQL types are held in vectors.
#pragma once

#include <optional>

#include "exec/compile.h"
#include "pg/bridge.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "utils/pg_locale.h"
}

namespace datahike::exec {

inline bool is_integer(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }

// Types that are held as integers and compared as such.
inline bool is_int_like(Oid type) {
  return is_integer(type) || type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID ||
         type == BOOLOID || type == OIDOID;
}

inline bool is_float(Oid type) { return type == FLOAT4OID || type == FLOAT8OID; }

// Whether values of both types are compared by their words.
inline bool comparable(Oid a, Oid b) {
  return (is_integer(a) && is_integer(b)) || (is_float(a) && is_float(b)) ||
         (a == b && is_int_like(a) && a != OIDOID);
}

inline uint8_t bytes_of(Oid type) {
  switch (type) {
    case BOOLOID:
      return 1;
    case INT2OID:
      return 2;
    case INT4OID:
    case DATEOID:
      return 4;
    default:
      return 8;
  }
}

// As a column's word has it.
inline uint64_t word_of(Datum value, Oid type) {
  switch (type) {
    case BOOLOID:
      return DatumGetBool(value);
    case INT2OID:
      return static_cast<uint64_t>(int64_t{DatumGetInt16(value)});
    case INT4OID:
    case DATEOID:
      return static_cast<uint64_t>(int64_t{DatumGetInt32(value)});
    case OIDOID:  // sign-extended, as columns are (column/kind.h)
      return static_cast<uint64_t>(int64_t{static_cast<int32_t>(DatumGetObjectId(value))});
    case FLOAT4OID: {
      double wide = DatumGetFloat4(value);
      return DatumGetUInt64(Float8GetDatum(wide));
    }
    default:
      return DatumGetUInt64(value);
  }
}

inline constexpr int kMostDecimalFactor = 18;  // 10^18 fits into 63 bits
// value * 10^scale, if that is an integer that decimals can have (compile_decimals.cpp).
// REQUIRES: scale <= kMostDecimalFactor.
std::optional<int64_t> decimal_word(Datum numeric, int scale);

inline Node* strip(Node* node) {
  while (node && IsA(node, RelabelType))
    node = reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(node)->arg);
  return node;
}

inline bool is_deterministic(Oid collation) {
  return OidIsValid(collation) &&
         pg::call([=] { return get_collation_isdeterministic(collation); });
}

inline std::string text_of(Datum value) {
  auto* detoasted = pg::call([=] { return PG_DETOAST_DATUM_PACKED(value); });
  return std::string(VARDATA_ANY(detoasted), VARSIZE_ANY_EXHDR(detoasted));
}

}  // namespace datahike::exec
