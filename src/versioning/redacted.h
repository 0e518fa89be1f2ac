// Row versions that purge() has erased: live sets and deltas still name them, and every reader of
// those leaves them out. Rowids are unique within a database, so one set is enough.
//
// What this process knows is brought up to date whenever a view is made. That is soon enough: who
// erases rows has the table's exclusive lock until they are, so a view that is made under a lock of
// the table's own knows of all that came before it, and nothing comes while it is used.
#pragma once

#include "tree/rowid_set.h"

namespace datahike::versioning {

void refresh_redacted_rows();

extern const tree::RowidSet* known_redacted_rows;  // nullptr: none
inline bool is_redacted(uint64_t rowid) {
  return known_redacted_rows && known_redacted_rows->contains(rowid);
}
// Takes them out of a container of the rowids with these high bits.
void leave_out_redacted(uint64_t high, tree::Container& container);

}  // namespace datahike::versioning
