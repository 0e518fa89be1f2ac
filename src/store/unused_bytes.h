// Overwriting what LMDB leaves in the unused parts of pages that are in use.
//
// Where an entry is deleted, LMDB moves its neighbours together and leaves the old bytes in the
// gap; and a page that is written first has there what the buffer held before. Nobody reads the
// gap, but erased values must not stay in the file.
#pragma once

#include "store/environment.h"

namespace datahike::store {

// Writes zeros to the gaps of all pages of the last two states, to the ends of large values' pages,
// and makes a hole of what lies behind the last page. REQUIRES: as begin_write(). CorruptError
// where a page is not of the format that is known here: nothing is written to that page then.
void clear_unused_bytes(Environment& env);

}  // namespace datahike::store
