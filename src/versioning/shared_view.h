// The view of a parallel query, handed by its leader to the workers.
//
// Workers get the leader's settings, but must not go by them: a branch's name may be given to
// another branch meanwhile, an as_of may name a later commit, and the settings may not be those the
// query was started with. So the leader says which branch and commit it has chosen. The text
// travels as a setting, datahike.shared_view, which PostgreSQL copies when it launches the workers.
//
//   shared  = [ view ] [ "+" changes ]
//   view    = branch-id [ " " commit-id ]      a commit: the view is pinned to it; none: the query
//                                              reads no tables of ours, but its functions may
//   changes = a dsm_handle                     own changes of the transaction: am/shared_changes.h
#pragma once

#include "versioning/view.h"

namespace datahike::versioning {

inline constexpr const char* kSharedViewSetting = "datahike.shared_view";
inline constexpr size_t kMostSharedView = 64;

// Leader: `text` describes the view. An as_of is replaced by the commit it names, in `session` too:
// leader and workers read the same. Errors: those of naming the commit.
void share_view(SessionView& session, char (&text)[kMostSharedView]);
void share_changes(uint32_t handle, char (&text)[kMostSharedView]);  // after the view
// Worker: the leader's view; nullopt where it shares none.
std::optional<SessionView> shared_view();
std::optional<uint32_t> shared_changes();

}  // namespace datahike::versioning
