// The resets of branches that this transaction has made and not undone. What they are for everybody
// is a row of datahike.heads; here is what its caches, and the ring, have to know of it.
#pragma once

#include "pg/pg.h"

namespace datahike::versioning {

// A number for the last reset of the branch by a command before `before`; 0: there is none.
// InvalidCommandId: of all so far.
uint64_t own_reset(int32_t branch, CommandId before);
void note_own_reset(int32_t branch, CommandId command);
std::vector<int32_t> branches_reset();  // each once
bool any_own_reset() noexcept;

// Callbacks. They return whether a reset was undone.
void commit_resets_of(SubTransactionId sub, SubTransactionId parent);
bool undo_resets_of(SubTransactionId sub);
void forget_own_resets();

}  // namespace datahike::versioning
