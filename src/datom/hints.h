// Built-in attributes of attributes: how they appear in tables of facts (src/fdw, set_hint()).
#pragma once

#include "datom/attribute.h"

namespace datahike::datom {

inline constexpr int64_t kSqlColumn = id_of(Builtin::TxInstant) + 1;  // the column's name
inline constexpr int64_t kSqlHidden = kSqlColumn + 1;                 // whether it is left out
inline constexpr int64_t kSqlReferences =
    kSqlColumn + 2;  // of a reference: by which attribute of its target it is shown
inline constexpr int64_t kSqlTable = kSqlColumn + 3;  // the table's name, instead of the namespace

}  // namespace datahike::datom
