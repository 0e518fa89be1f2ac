#include "versioning/named_view.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/settings.h"
#include "versioning/pin.h"
#include "versioning/revision.h"

namespace datahike::versioning {

namespace {

std::unordered_map<const SnapshotData*, const SessionView*> named;

void pin_to(SessionView& session, const store::Uuid& commit) {
  strlcpy(session.commit_id, store::format_uuid(commit).c_str(), sizeof session.commit_id);
  session.as_of[0] = 0;
  session.pinned = true;
  session.pinned_by = "the revision";
}

}  // namespace

std::optional<SessionView> view_of_revision(const char* revision, const char* as_of) {
  if (!revision && !as_of) return std::nullopt;
  SessionView session = current_settings();
  if (revision) {
    int32_t of_session = session.branch;
    session = SessionView();
    int64_t branch = pg::call([=] { return pg::find_branch(revision); });
    if (branch >= 0) {
      session.branch = static_cast<int32_t>(branch);
      session.committed = true;
    } else {
      session.branch = std::max(of_session, 0);  // of no concern: the view is a commit
      pin_to(session, resolve_revision(revision));
    }
  } else if (session.pinned) {
    pin_to(session, pinned_commit(session));
  }
  if (as_of) {
    pg::AsOf at;
    if (std::strlen(as_of) >= pg::kMostAsOf || !pg::parse_as_of(as_of, &at))
      throw pg::SqlError(ERRCODE_INVALID_TEXT_REPRESENTATION,
                         std::string("invalid value for as_of: \"") + as_of + "\"",
                         "Give a timestamp, a date or a transaction number.");
    if (session.branch < 0) session_view();  // raises the error that names the branch
    strlcpy(session.as_of, as_of, sizeof session.as_of);
    pin_to(session, pinned_commit(session));
  }
  if (session.pinned) view_of_commit(*store::parse_uuid(session.commit_id));
  return session;
}

void name_view(const SnapshotData* snapshot, const SessionView* view) { named[snapshot] = view; }

void forget_named_view(const SnapshotData* snapshot) noexcept { named.erase(snapshot); }

const SessionView* named_view(const SnapshotData* snapshot) {
  if (named.empty()) return nullptr;
  auto found = named.find(snapshot);
  return found == named.end() ? nullptr : found->second;
}

std::vector<int32_t> named_branches() {
  std::set<int32_t> branches;
  for (const auto& [snapshot, view] : named)
    if (!view->pinned) branches.insert(view->branch);
  return {branches.begin(), branches.end()};
}

}  // namespace datahike::versioning
