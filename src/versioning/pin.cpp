#include "versioning/pin.h"
#include "versioning/redacted.h"

#include "datom/sql/ids.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/pins.h"
#include "pg/settings.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "versioning/decided.h"

namespace datahike::versioning {

namespace {

struct PinnedOverlay {
  store::Uuid commit;
  uint64_t tx;
  uint64_t pinned_tx;    // of the commit whose tree it is read from
  uint64_t collections;  // pg::collections() before it was known to be there
  std::shared_ptr<Overlay> overlay;
};
constexpr size_t kPinnedOverlays = 4;
std::vector<PinnedOverlay> pinned_overlays;  // most recently used first

std::shared_ptr<Overlay> overlay_of_state(const store::CommitState& state) {
  auto overlay = std::make_shared<Overlay>(pg::try_store(), state.root);
  for (const auto& delta : state.deltas) overlay->apply(*delta);
  return overlay;
}

// The head of the chain that as_of looks back on; folded far enough to hold everything up to `at`.
store::Uuid as_of_head(const SessionView& session, const pg::AsOf& at) {
  pg::Head head = newest_head(session.branch);
  bool settled = at.is_tx ? at.tx < head.tx : at.time < head.time;
  if (settled) return head.commit;
  wait_for_fold();
  return newest_head(session.branch).commit;
}

store::Environment& store_with_commits() {
  if (store::Environment* env = pg::try_store()) {
    env->refresh();
    return *env;
  }
  wait_for_fold();  // the worker makes the store
  return pg::open_store();
}

Snapshot snapshot_of_query() {
  if (ActiveSnapshotSet() && IsMVCCSnapshot(GetActiveSnapshot())) return GetActiveSnapshot();
  return pg::call([] { return pg::latest_snapshot(); });
}

}  // namespace

pg::Head newest_head(int32_t branch) {
  Snapshot s = pg::call([] { return pg::latest_snapshot(); });
  std::optional<pg::Head> head = pg::read_head(branch, s);
  if (!head) throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, "the branch no longer exists");
  return *head;
}

std::shared_ptr<Overlay> overlay_of_head(const pg::Head& head) {
  store::Environment* env = pg::try_store();
  if (env) env->refresh();
  if (head.has_root) {
    if (!head.root.empty() && !env) pg::open_store();  // raises the error that names the directory
    return std::make_shared<Overlay>(env, head.root);
  }
  return overlay_of_state(store::load_state(pg::open_store(), head.commit));
}

store::Uuid pinned_commit(const SessionView& session) {
  if (!*session.commit_id && !*session.as_of)
    return commit_of_branch(session.branch, snapshot_of_query());
  std::optional<store::Uuid> commit;
  if (*session.commit_id) commit = store::parse_uuid(session.commit_id);
  pg::AsOf at;
  bool has_as_of = *session.as_of != 0;
  if (has_as_of && !pg::parse_as_of(session.as_of, &at))
    throw pg::SqlError(ERRCODE_INVALID_TEXT_REPRESENTATION,
                       std::string("invalid value for datahike.as_of: ") + session.as_of);
  if (has_as_of) facts::settle_tx(at);
  store::Environment& env = store_with_commits();
  if (commit && !store::load_commit(env, *commit))
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                       "commit " + store::format_uuid(*commit) + " does not exist",
                       "datahike.log() lists the commits.");
  if (!has_as_of) return *commit;
  store::Uuid head = commit ? *commit : as_of_head(session, at);
  std::optional<store::Uuid> found = at.is_tx ? store::commit_as_of_tx(env, head, at.tx)
                                              : store::commit_as_of_time(env, head, at.time);
  if (!found)
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                       std::string("nothing had been committed as of ") + session.as_of);
  return *found;
}

namespace {

// The tx of the commit whose tree a commit's state is read from.
uint64_t keyframe_tx(store::Environment& env, const store::Uuid& id) {
  store::Commit commit = store::load_known_commit(env, id);
  while (!commit.keyframe) commit = store::load_known_commit(env, store::first_parent(commit));
  return commit.tx;
}

// Pins a commit together with what its state is read from. The store is looked at again after
// the pin, for that comes too late for what has been collected before: see pins.h.
uint64_t pin_with_keyframe(store::Environment& env, const store::Uuid& id) {
  for (uint64_t tx = keyframe_tx(env, id);;) {
    pg::call([=] { pg::pin_commit(tx); });
    env.refresh();
    if (!store::load_commit(env, id)) store::throw_collected(id);
    const uint64_t now = keyframe_tx(env, id);
    if (now >= tx) return tx;
    tx = now;
  }
}

}  // namespace

store::Commit pin_named_commit(const store::Uuid& id) {
  store::Environment& env = store_with_commits();
  const uint64_t tx = store::load_known_commit(env, id).tx;
  pg::call([=] { pg::pin_commit(tx); });
  env.refresh();  // not before the pin: see pins.h
  return store::load_known_commit(env, id);
}

View view_of_commit(const store::Uuid& commit) {
  refresh_redacted_rows();
  for (size_t i = 0; i < pinned_overlays.size(); ++i) {
    if (pinned_overlays[i].commit != commit) continue;
    std::rotate(pinned_overlays.begin(), pinned_overlays.begin() + static_cast<ptrdiff_t>(i),
                pinned_overlays.begin() + static_cast<ptrdiff_t>(i) + 1);
    PinnedOverlay& known = pinned_overlays.front();
    pg::call([&] { pg::pin_commit(known.pinned_tx); });
    if (known.collections == pg::collections())
      return {known.overlay.get(), known.overlay->size(), 0, true, known.tx};
    // Something has been collected since, perhaps the tree that the overlay lies on.
    retain_overlay(known.overlay);
    pinned_overlays.erase(pinned_overlays.begin());
    break;
  }
  store::Environment& env = store_with_commits();
  const uint64_t pinned_tx = pin_with_keyframe(env, commit);
  const uint64_t collections = pg::collections();
  uint64_t tx = store::load_known_commit(env, commit).tx;
  std::shared_ptr<Overlay> overlay = overlay_of_state(store::load_state(env, commit));
  if (pinned_overlays.size() == kPinnedOverlays) {
    retain_overlay(pinned_overlays.back().overlay);
    pinned_overlays.pop_back();
  }
  pinned_overlays.insert(pinned_overlays.begin(), {commit, tx, pinned_tx, collections, overlay});
  return {overlay.get(), overlay->size(), 0, true, tx};
}

store::Uuid chosen_commit(const SessionView& session) {
  static struct {
    SessionView session;  // of which branch, commit_id and as_of count
    store::Uuid commit{};
    TransactionId xmax = 0;
    uint32_t running = 0;
    CommandId command = 0;
    LocalTransactionId transaction = 0;
  } last;
  Snapshot s = ActiveSnapshotSet() ? GetActiveSnapshot() : nullptr;
  bool same = s && last.transaction == MyProc->lxid && last.xmax == s->xmax &&
              last.running == s->xcnt && last.command == s->curcid &&
              last.session.branch == session.branch &&
              std::strcmp(last.session.commit_id, session.commit_id) == 0 &&
              std::strcmp(last.session.as_of, session.as_of) == 0;
  if (!same) {
    store::Uuid commit =
        s ? decided_once(s, nullptr, session, [&] { return pinned_commit(session); })
          : pinned_commit(session);
    last = {session, commit, s ? s->xmax : 0, s ? s->xcnt : 0, s ? s->curcid : 0, MyProc->lxid};
  }
  return last.commit;
}

View pinned_view(const SessionView& session) {
  View view = view_of_commit(chosen_commit(session));
  view.branch = session.branch;
  return view;
}

namespace {

const SessionView* of_running_query = nullptr;

const SessionView& settings_view() {
  static struct {
    uint64_t settings = 0, branches = 0;
    SessionView session;
  } last;
  // A branch made in a transaction that aborts is forgotten with its invalidation.
  if (last.settings == pg::settings_generation() && last.branches == pg::branches_generation())
    return last.session;
  SessionView session;
  const char* name = pg::setting_branch;
  session.branch = static_cast<int32_t>(
      pg::call([name] { return pg::extension_installed() ? pg::find_branch(name) : -1; }));
  strlcpy(session.commit_id, pg::setting_commit_id ? pg::setting_commit_id : "",
          sizeof session.commit_id);
  strlcpy(session.as_of, pg::setting_as_of ? pg::setting_as_of : "", sizeof session.as_of);
  strlcpy(session.since, pg::setting_since ? pg::setting_since : "", sizeof session.since);
  session.history = pg::setting_history;
  session.pinned = *session.commit_id || *session.as_of || session.history;
  if (*session.commit_id)
    session.pinned_by = "datahike.commit_id";
  else if (*session.as_of)
    session.pinned_by = "datahike.as_of";
  else if (session.history)
    session.pinned_by = "datahike.history";
  else if (*session.since)
    session.pinned_by = "datahike.since";
  // A name that is not found, perhaps for want of the extension, is looked up again.
  uint64_t branches = session.branch >= 0 ? pg::branches_generation() : 0;
  last = {pg::settings_generation(), branches, session};
  return last.session;
}

}  // namespace

SessionView current_settings() { return settings_view(); }

SessionView view_at_commit(const store::Uuid& commit) {
  SessionView session;
  // A commit's rows do not depend on the branch.
  session.branch = std::max(settings_view().branch, 0);
  session.pinned = true;
  session.pinned_by = "a commit's view";
  strlcpy(session.commit_id, store::format_uuid(commit).c_str(), sizeof session.commit_id);
  return session;
}

SessionView view_of_history(const store::Uuid& commit) {
  SessionView session = view_at_commit(commit);
  session.history = true;
  return session;
}

SessionView view_of_difference(const store::Uuid& commit, const store::Uuid& without) {
  SessionView session = view_at_commit(commit);
  strlcpy(session.without, store::format_uuid(without).c_str(), sizeof session.without);
  return session;
}

const SessionView* use_session_view(const SessionView* view) {
  return std::exchange(of_running_query, view);
}

const SessionView* view_of_running_query() { return of_running_query; }

const SessionView& session_view() {
  const SessionView& session = of_running_query ? *of_running_query : settings_view();
  if (session.branch >= 0) return session;
  throw pg::SqlError(
      ERRCODE_UNDEFINED_OBJECT, std::string("branch \"") + pg::setting_branch + "\" does not exist",
      "datahike.branches() lists the branches; RESET datahike.branch returns to the default.");
}

void require_writable(const SessionView& session, const char* what) {
  if (!session.pinned_by) return;
  throw pg::SqlError(ERRCODE_READ_ONLY_SQL_TRANSACTION,
                     std::string("cannot ") + what + " while " + session.pinned_by + " is set",
                     std::string("RESET ") + session.pinned_by + " to write again.");
}

}  // namespace datahike::versioning
