// The values of a row as they are to be stored: none is a TOAST pointer or an expanded object, and
// of a row that is too wide for heap the large ones are compressed as heap would compress them.
#pragma once

#include "am/relation.h"
#include "pg/pg.h"

namespace datahike::am {

// Each may raise a PostgreSQL error and owns nothing with a destructor.

// The slot's own array, or one that is palloc'd with those values that had to be made.
Datum* stored_values(Relation relation, TupleTableSlot* slot, const RelationInfo& info);
void free_stored(TupleTableSlot* slot, const RelationInfo& info, Datum* values);

// Whether stored_values() may make something of a row with so many bytes of varlenas, of which the
// largest has so many.
bool may_be_compressed(const RelationInfo& info, size_t varlena_bytes, size_t largest);

inline bool is_compressed(Datum value) {
  auto* p = reinterpret_cast<varlena*>(DatumGetPointer(value));
  return !VARATT_IS_EXTERNAL(p) && VARATT_IS_COMPRESSED(p);
}

}  // namespace datahike::am
