// A slot's row as one self-contained tuple.
#pragma once

#include "am/relation.h"
#include "pg/pg.h"

namespace datahike::am {

// In the pending memory context, with the values as they are stored (compress.h). May raise a
// PostgreSQL error; owns nothing with a destructor.
MinimalTuple flatten(Relation relation, TupleTableSlot* slot, const RelationInfo& info);

}  // namespace datahike::am
