// Giving the disk space of a store's free pages back to the file system.
//
// LMDB never makes its file shorter, and does not read a free page before it has written it. So the
// pages become holes: the file keeps its length, and whoever has it open notices nothing. A page
// counts as free here if every reader, and also the last state but one (to which LMDB falls back
// should the newest header be damaged), can do without it.
#pragma once

#include <cstdint>

#include "store/environment.h"

namespace datahike::store {

// Where to go on, and what has been done.
struct FreePages {
  uint64_t next = 0;   // of LMDB's transactions, that freed them
  uint64_t bytes = 0;  // that are holes now; some may have been before
};

// Turns some thousands of free pages into holes; false when there are no more. REQUIRES: as
// begin_write(). IoError where the file system cannot.
bool punch_free_pages(Environment& env, FreePages& progress);

struct Space {
  uint64_t disk_bytes = 0;  // free in the file system
  uint64_t map_bytes = 0;   // of the map, behind what is in use
  uint64_t map_size = 0;
};
Space free_space(Environment& env);
// The number of the oldest state that a reader has in use; of the newest where there is none. Pages
// that later states have given up cannot be used again while it is.
uint64_t oldest_state_read(Environment& env);

}  // namespace datahike::store
