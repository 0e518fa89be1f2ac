#include "versioning/named_view.h"

#include <deque>

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/settings.h"
#include "versioning/pin.h"
#include "versioning/revision.h"

namespace datahike::versioning {

namespace {

std::unordered_map<const SnapshotData*, const SessionView*> named;

// What decides which commit a revision is, and the answer.
struct Decided {
  LocalTransactionId transaction;
  TransactionId xmax;
  uint32_t running;
  CommandId command;
  bool has_revision;
  std::string revision;
  SessionView session;
  store::Uuid commit;

  bool same_as(const Decided& other) const {
    return transaction == other.transaction && xmax == other.xmax && running == other.running &&
           command == other.command && has_revision == other.has_revision &&
           revision == other.revision && session.branch == other.session.branch &&
           std::strcmp(session.commit_id, other.session.commit_id) == 0 &&
           std::strcmp(session.as_of, other.session.as_of) == 0;
  }
};
constexpr size_t kMostDecided = 32;
std::deque<Decided> decided;  // newest first

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
SessionView pinned_as(const SessionView& session) {
  SessionView pinned = pinned_to(pinned_commit(session));
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
  if (!revision && session.pinned) session = pinned_as(session);
  strlcpy(session.as_of, as_of, sizeof session.as_of);
  session.pinned = true;
  return pinned_as(session);
}

}  // namespace

store::Uuid statement_commit(const char* revision, const SessionView& session, Snapshot s) {
  Decided wanted{MyProc->lxid,
                 s->xmax,
                 s->xcnt,
                 s->curcid,
                 revision != nullptr,
                 revision ? revision : "",
                 revision ? SessionView() : session,
                 {}};
  for (const Decided& known : decided)
    if (known.same_as(wanted)) return known.commit;
  wanted.commit = revision ? resolve_revision(revision) : commit_of_session(session, s);
  decided.push_front(wanted);
  if (decided.size() > kMostDecided) decided.pop_back();
  return wanted.commit;
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
    default:
      return view_of_table(first, second, snapshot);
  }
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
