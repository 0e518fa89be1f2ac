// Views that a statement names itself, beside the one of the session: at() and what is made of it.
//
// A scan's view follows from its snapshot. One that is to read something else gets a copy of the
// statement's snapshot, and that copy's address names the view. So whatever else is evaluated while
// such a scan runs (subqueries, functions) has the statement's own snapshot, and the session's
// view.
#pragma once

#include "versioning/view.h"

namespace datahike::versioning {

enum class NamedKind {
  // at(revision, as_of): the rows live there. A branch is read as the snapshot sees it, without the
  // transaction's own changes; any other revision is a commit. Without a revision the session's
  // view
  // counts, nullopt without an as_of either.
  Table,
  Commit,      // blame(revision): the rows live at the commit that it names
  History,     // versions(revision): every row version of the commit's ancestors
  Difference,  // the rows live at the first revision's commit and not at the second's
  Step,        // the same of a commit and a parent of it, given by their ids
  Server,      // what a foreign server names: view_of_options()
};
// The view that a call means, for a statement with that snapshot. What becomes a commit stays
// readable until the transaction ends. Errors: 42704, 22P02, 40001.
std::optional<SessionView> named_view_of(NamedKind kind, const char* first, const char* second,
                                         Snapshot snapshot);

// A view by the options of a foreign server; nullptr: not given. Without commit_id it is of the
// branch, or of the default one, with what this transaction has changed there: the settings of the
// session do not count.
struct ViewOptions {
  const char *branch = nullptr, *commit_id = nullptr, *as_of = nullptr, *since = nullptr;
};
SessionView view_of_options(const ViewOptions& options, Snapshot snapshot);

// Part of a view that is not to stay until the statement ends; nullptr: there is none.
std::shared_ptr<const void> hold_named_view(NamedKind kind, const std::optional<SessionView>& view);

// The commit that a revision names, nullptr: that of the session's view. Asked again for the same
// snapshot it is the same one, however the branch moves meanwhile.
store::Uuid statement_commit(const char* revision, const SessionView& session, Snapshot snapshot);

// Both must stay until forget_named_view(). Raise nothing but for want of memory.
void name_view(const SnapshotData* snapshot, const SessionView* view);
void forget_named_view(const SnapshotData* snapshot) noexcept;
const SessionView* named_view(const SnapshotData* snapshot);  // nullptr: it names none
// The branches of named views, each once.
std::vector<int32_t> named_branches();

}  // namespace datahike::versioning
