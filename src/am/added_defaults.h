// The values of columns that were added with a constant default, for rows from before. PostgreSQL
// keeps them with the column until the table is rewritten; the rows of old commits never are, so
// then they are kept in datahike.relation. The byte format is at the head of added_defaults.cpp.
#pragma once

#include "am/relation.h"

namespace datahike::am {

struct AddedDefault {
  int16_t number;  // of the attribute
  Oid type;
  int32_t typmod;
  Datum value;
};
struct AddedDefaults {
  int count;
  AddedDefault entry[FLEXIBLE_ARRAY_MEMBER];
};

// Keeps what `before` and the relation's present description say, but for columns that are kept
// already.
void save_added_defaults(Relation relation, TupleDesc before);
// One palloc'd chunk of TopMemoryContext out of what the catalog holds. May raise a PostgreSQL
// error; owns nothing with a destructor.
AddedDefaults* load_added_defaults(const bytea* stored);
const AddedDefault* find_added_default(const RelationInfo& info, int16_t number);

}  // namespace datahike::am
