// Comparing the versions of a row.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

// Whether two versions differ in a column of the kind that RelationGetIndexAttrBitmap() names.
// May raise a PostgreSQL error; owns nothing with a destructor.
bool columns_differ(Relation relation, IndexAttrBitmapKind kind, TupleTableSlot* before,
                    TupleTableSlot* after);

}  // namespace datahike::am
