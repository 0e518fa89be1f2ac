// Values that were written while their column had another type.
#pragma once

#include "am/relation.h"

namespace datahike::am {

// The value as the column's present type, by the assignment cast or, without one, the explicit cast
// (whose length coercion still refuses what does not fit). By-reference results live in memory that
// the next call may free. Errors: 42846 no such cast, 42704 the old type is gone, whatever the cast
// raises; they name the column and where the row was read. May raise a PostgreSQL error; owns
// nothing with a destructor.
Datum convert_value(Datum value, Oid type, int32_t typmod, const FormData_pg_attribute& to,
                    Oid relation, bool* isnull);
void forget_casts();  // at the end of the transaction

}  // namespace datahike::am
