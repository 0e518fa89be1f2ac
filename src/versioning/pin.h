// Pinned views: datahike.commit_id and datahike.as_of.
#pragma once

#include "versioning/view.h"

namespace datahike::versioning {

// The commit that the settings pin. Errors: 42704 no such commit, or none that early.
store::Uuid pinned_commit(const SessionView& session);
// The same, decided once for each snapshot: an as_of may name a moving target.
store::Uuid chosen_commit(const SessionView& session);
View pinned_view(const SessionView& session);
View view_of_two_commits(const SessionView& session);  // a difference
// An overlay that holds exactly the head's commit.
std::shared_ptr<Overlay> overlay_of_head(const pg::Head& head);

}  // namespace datahike::versioning
