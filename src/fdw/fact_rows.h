// The rows of a foreign table of facts.
#pragma once

#include "datom/attribute.h"
#include "fdw/fact_scan.h"

extern "C" {
#include "utils/tuplestore.h"
}

namespace datahike::fdw {

// Throws what PostgreSQL raises; 42804: a column is not of its attribute's type, 42703: an index
// has no such column, 42501.
void put_fact_rows(const FactScanRequest& request, Tuplestorestate* rows);

// The type of the column that shows an attribute: of its values, an array of them with cardinality
// many, jsonb where the attribute has no type.
Oid fact_column_type(const datom::Attribute& attribute);

}  // namespace datahike::fdw
