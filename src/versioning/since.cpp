// Views after a point: datahike.since, and datahike.history.
//
// The point is a tx or a time; what came after it on a line are the commits behind the line's last
// commit at or before it. Of a branch's newest transactions, those not folded yet have no tx; they
// come after every point before the head. Where the point is not before it the worker folds first,
// and then says which commits they became.
#include "datom/sql/ids.h"
#include "pg/bridge.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "versioning/computed.h"
#include "versioning/pin.h"
#include "versioning/sql_values.h"
#include "versioning/step_view.h"

namespace datahike::versioning {

namespace {

pg::AsOf parse_since(const SessionView& session) {
  pg::AsOf at;
  if (!pg::parse_as_of(session.since, &at))
    throw pg::SqlError(ERRCODE_INVALID_TEXT_REPRESENTATION,
                       std::string("invalid value for datahike.since: ") + session.since);
  facts::settle_tx(at);
  return at;
}

// The line's last commit at or before the point; nullopt: everything came after it.
std::optional<store::Uuid> last_up_to(const store::Uuid& head, const pg::AsOf& at) {
  store::Environment& env = store_for_reading();
  return at.is_tx ? store::commit_as_of_tx(env, head, at.tx)
                  : store::commit_as_of_time(env, head, at.time);
}

View empty_view() {
  static const auto nothing = std::make_shared<Overlay>(nullptr, tree::NodeRef{});
  return {nothing.get(), 0};
}

View rows_after(const View& view, const store::Uuid& head, const pg::AsOf& at) {
  std::optional<store::Uuid> base = last_up_to(head, at);
  ComputedFrom from;
  from.rows_of = view;
  from.without = base ? view_of_commit(*base) : empty_view();
  return computed_view(from);
}

// The branch where the point is at its head or later. Own changes will have a later tx and time
// than anything by now.
View unfolded_after(View view, const pg::AsOf& at) {
  wait_for_fold();
  bool own;
  if (at.is_tx)
    own = at.tx < pg::read_next_tx(pg::call([] { return pg::latest_snapshot(); }));
  else
    own = at.time < GetCurrentTimestamp();
  if (!own) view.pinned = true;
  ComputedFrom from;
  from.rows_of = view;
  from.unfolded_after = at;
  View after = computed_view(from);
  after.to_now = !own;
  return after;
}

}  // namespace

View view_of_two_commits(const SessionView& session) {
  if (session.step)
    if (std::optional<View> view = step_view(*store::parse_uuid(session.commit_id),
                                             *store::parse_uuid(session.without), session.branch))
      return *view;
  ComputedFrom from;
  from.without = view_of_commit(*store::parse_uuid(session.without));
  from.rows_of = pinned_view(session);
  return computed_view(from);
}

View since_view(const SessionView& session, Snapshot snapshot) {
  pg::AsOf at = parse_since(session);
  if (session.pinned) {
    View view = pinned_view(session);
    return rows_after(view, chosen_commit(session), at);
  }
  pg::Head head;
  View view = branch_view(session.branch, snapshot, head);
  bool before_head = at.is_tx ? at.tx < head.tx : at.time < head.time;
  return before_head ? rows_after(view, head.commit, at) : unfolded_after(view, at);
}

View history_view(const SessionView& session) {
  ComputedFrom from;
  from.rows_of = pinned_view(session);
  from.history_of = chosen_commit(session);
  if (*session.since) {
    pg::AsOf at = parse_since(session);
    if (at.is_tx) {
      from.after_tx = at.tx;
    } else {
      std::optional<store::Uuid> base = last_up_to(*from.history_of, at);
      if (base) from.after_tx = store::load_known_commit(pg::open_store(), *base).tx;
      from.after_time = at.time;
    }
  }
  View history = computed_view(from);
  history.to_now = !*session.commit_id && !*session.as_of;
  return history;
}

}  // namespace datahike::versioning
