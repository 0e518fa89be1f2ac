// Rows that a unique check has found dead for good on a branch: a rowid never becomes live again on
// a branch that removed it. Keys that are updated again and again leave many such index entries,
// and every check walks over them. Setting the branch to another commit may: what is known is
// forgotten then, and counts only for who has the branch's lock, which keeps resets away.
#pragma once

#include <cstdint>

namespace datahike::am {

bool is_known_dead(int32_t branch, uint64_t rowid);
void remember_dead(int32_t branch, uint64_t rowid);
void forget_dead_rows();

}  // namespace datahike::am
