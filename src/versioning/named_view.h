// Views that a statement names itself, beside the one of the session: at() and what is made of it.
//
// A scan's view follows from its snapshot. One that is to read something else gets a copy of the
// statement's snapshot, and that copy's address names the view. So whatever else is evaluated while
// such a scan runs (subqueries, functions) has the statement's own snapshot, and the session's
// view.
#pragma once

#include "versioning/view.h"

namespace datahike::versioning {

// The view that a revision names, with `as_of` where it is given; nullptr revision: the session's.
// A branch is read as the statement's snapshot sees it, without the transaction's own changes; any
// other revision becomes a commit at once, which stays readable until the transaction ends. nullopt
// where both are nullptr. Errors: 42704, 22P02.
std::optional<SessionView> view_of_revision(const char* revision, const char* as_of);

// Both must stay until forget_named_view(). Raise nothing but for want of memory.
void name_view(const SnapshotData* snapshot, const SessionView* view);
void forget_named_view(const SnapshotData* snapshot) noexcept;
const SessionView* named_view(const SnapshotData* snapshot);  // nullptr: it names none
// The branches of named views, each once.
std::vector<int32_t> named_branches();

}  // namespace datahike::versioning
