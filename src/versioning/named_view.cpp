#include "versioning/named_view.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/settings.h"
#include "versioning/decided.h"
#include "versioning/pin.h"
#include "versioning/revision.h"
#include "versioning/step_view.h"

namespace datahike::versioning {

namespace {

std::unordered_map<const SnapshotData*, const SessionView*> named;

store::Uuid commit_of_session(const SessionView& session, Snapshot snapshot) {
  const SessionView* before = use_session_view(&session);
  try {
    store::Uuid commit = current_commit(snapshot);
    use_session_view(before);
    return commit;
  } catch (...) {
    use_session_view(before);
    throw;
  }
}

SessionView pinned_to(const store::Uuid& commit) {
  view_of_commit(commit);  // pins it
  return view_at_commit(commit);
}

// The commit that a session's view, narrowed by as_of, reads. Its since and history stay.
SessionView pinned_as(const SessionView& session, Snapshot s) {
  SessionView pinned =
      pinned_to(decided_once(s, nullptr, session, [&] { return pinned_commit(session); }));
  pinned.history = session.history;
  strlcpy(pinned.since, session.since, sizeof pinned.since);
  return pinned;
}

std::optional<SessionView> view_of_table(const char* revision, const char* as_of, Snapshot s) {
  if (!revision && !as_of) return std::nullopt;
  SessionView session = current_settings();
  int64_t branch = revision ? pg::call([=] { return pg::find_branch(revision); }) : -1;
  if (branch >= 0) {
    session = SessionView();
    session.branch = static_cast<int32_t>(branch);
    session.committed = true;
  } else if (revision) {
    session = pinned_to(statement_commit(revision, session, s));
  }
  if (!as_of) return session;
  pg::AsOf at;
  if (std::strlen(as_of) >= pg::kMostAsOf || !pg::parse_as_of(as_of, &at))
    throw pg::SqlError(ERRCODE_INVALID_TEXT_REPRESENTATION,
                       std::string("invalid value for as_of: \"") + as_of + "\"",
                       "Give a timestamp, a date or a transaction number.");
  if (session.branch < 0) session_view();  // raises the error that names the branch
  if (!revision && session.pinned) session = pinned_as(session, s);
  strlcpy(session.as_of, as_of, sizeof session.as_of);
  session.pinned = true;
  return pinned_as(session, s);
}

store::Uuid commit_of_id(const char* text) {
  if (!text) throw pg::SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "a commit must not be null");
  return *store::parse_uuid(text);
}

}  // namespace

store::Uuid statement_commit(const char* revision, const SessionView& session, Snapshot s) {
  return decided_once(s, revision, session, [&] {
    return revision ? resolve_revision(revision) : commit_of_session(session, s);
  });
}

std::optional<SessionView> named_view_of(NamedKind kind, const char* first, const char* second,
                                         Snapshot snapshot) {
  SessionView session = current_settings();
  switch (kind) {
    case NamedKind::Commit:
      return pinned_to(statement_commit(first, session, snapshot));
    case NamedKind::History: {
      store::Uuid commit = statement_commit(first, session, snapshot);
      pinned_to(commit);
      return view_of_history(commit);
    }
    case NamedKind::Difference: {
      store::Uuid commit = statement_commit(first, session, snapshot);
      store::Uuid without = statement_commit(second, session, snapshot);
      pinned_to(without);
      pinned_to(commit);
      return view_of_difference(commit, without);
    }
    case NamedKind::Step: {
      SessionView view = view_of_difference(commit_of_id(first), commit_of_id(second));
      view.step = true;
      return view;
    }
    default:
      return view_of_table(first, second, snapshot);
  }
}

SessionView view_of_options(const ViewOptions& options, Snapshot s) {
  SessionView session;
  if (options.commit_id) {
    session = pinned_to(statement_commit(options.commit_id, current_settings(), s));
  } else {
    const char* name = options.branch ? options.branch : pg::kDefaultBranch;
    session.branch = static_cast<int32_t>(pg::call([=] { return pg::find_branch(name); }));
    if (session.branch < 0)
      throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                         std::string("branch \"") + name + "\" does not exist",
                         "datahike.branches() lists the branches.");
    if (options.as_of) {
      strlcpy(session.as_of, options.as_of, sizeof session.as_of);
      session.pinned = true;
      session = pinned_as(session, s);
    }
  }
  if (!options.since) return session;
  strlcpy(session.since, options.since, sizeof session.since);
  session.pinned_by = "a server's view";
  return session;
}

std::shared_ptr<const void> hold_named_view(NamedKind kind,
                                            const std::optional<SessionView>& view) {
  if (kind != NamedKind::Step) return nullptr;
  return hold_step_view(*store::parse_uuid(view->commit_id), *store::parse_uuid(view->without));
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
