#include "am/dead_rows.h"

#include "am/rowid_marks.h"

namespace datahike::am {

namespace {
constexpr size_t kMostBlocks = 2048;  // 16 MB a session
RowidMarks known(kMostBlocks);
}  // namespace

void forget_dead_rows() { known.clear(); }

bool is_known_dead(int32_t branch, uint64_t rowid) { return known.test(branch, rowid); }

void remember_dead(int32_t branch, uint64_t rowid) { known.set(branch, rowid); }

}  // namespace datahike::am
