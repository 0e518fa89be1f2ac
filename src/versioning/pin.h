// Pinned views: datahike.commit_id and datahike.as_of, and what is computed from them.
#pragma once

#include "store/version.h"
#include "versioning/view.h"

namespace datahike::versioning {

// The commit that the settings pin: with datahike.history alone the branch's, as the active
// snapshot sees it. Errors: 42704 no such commit, or none that early.
store::Uuid pinned_commit(const SessionView& session);
// The same, decided once for each snapshot: an as_of may name a moving target.
store::Uuid chosen_commit(const SessionView& session);
// A commit that is going to be named, by a branch or as another one's parent: until the transaction
// ends it is not collected. Errors: 72000.
store::Commit pin_named_commit(const store::Uuid& id);
View pinned_view(const SessionView& session);
View view_of_two_commits(const SessionView& session);  // a difference
View since_view(const SessionView& session, Snapshot snapshot);
View history_view(const SessionView& session);
// The newest head of a branch.
pg::Head newest_head(int32_t branch);
// An overlay that holds exactly the head's commit.
std::shared_ptr<Overlay> overlay_of_head(const pg::Head& head);

}  // namespace datahike::versioning
