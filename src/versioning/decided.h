// Which commit a revision, or a view, means to a statement: what names a moving target is resolved
// once for a snapshot.
#pragma once

#include "versioning/view.h"

namespace datahike::versioning {

// What `resolve` has answered for the same question under the same snapshot of this transaction.
// The question is the revision; without one (nullptr) the session's branch, commit_id and as_of.
store::Uuid decided_once(Snapshot snapshot, const char* revision, const SessionView& session,
                         const std::function<store::Uuid()>& resolve);

}  // namespace datahike::versioning
