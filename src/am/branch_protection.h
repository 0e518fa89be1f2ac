// Protected branches: nobody changes their rows but by merging, and only the roles named for that.
#pragma once

#include <cstdint>

namespace datahike::am {

// Throws 42501 where the current role may not change rows of the branch: it is protected, and this
// transaction is not merging into it, or the role is none of those that may. Commands that rewrite
// a table without changing what is in it are not asked.
void require_may_change(int32_t branch);
// The same for who is about to merge.
void require_may_merge(int32_t branch);

// From now on changes of the branch's rows are a merge's, until the end is told, or until the
// subtransaction that is current ends in an error. A transaction with a merge parent on the branch
// is merging anyway. Of a dry run, which is rolled back, nobody is asked.
void begin_applying_merge(int32_t branch, bool dry_run) noexcept;
void end_applying_merge() noexcept;
void end_applying_merge_of(uint32_t subtransaction) noexcept;

}  // namespace datahike::am
