// Setting a branch to another commit: force_branch(), and merges that need no commit of their own.
#pragma once

#include "versioning/view.h"

namespace datahike::versioning {

// How a reset goes about a branch that is being written: it waits until the writers have ended, as
// ALTER TABLE does.
struct Reset {
  const char* operation = "reset";  // for the reflog: reset, fast-forward
  std::string message;
  // Where the branch must stand: 40001 where it has moved on. nullopt: wherever it stands.
  std::optional<store::Uuid> expected;
  // Called when the branch's lock is there, to ask once more whether it may be set.
  std::function<void()> when_locked;
};

// From now on the branch is at `commit`, for this transaction, and for everybody once it commits;
// ROLLBACK and ROLLBACK TO undo it. What it was at stays readable by commit id. Returns where it
// stood. The caller has checked who may.
// Errors: 55000 this transaction has uncommitted changes on the branch; 40001 it has moved on since
// the snapshot of a REPEATABLE READ transaction, or from `expected`; 0A000 in SERIALIZABLE
// transactions; 72000 the commit's history has been collected; 40P01.
store::Uuid reset_branch(int32_t branch, const store::Uuid& commit, const Reset& how);

// The head that a branch gets which is set to a commit. Every transaction that has not ended, this
// one included, may still write to it; its snapshot must not claim to contain them.
pg::Head head_at(int32_t branch, const store::Commit& commit);
// A commit that a branch or tag is to name.
store::Commit commit_to_name(const store::Uuid& id);

}  // namespace datahike::versioning
