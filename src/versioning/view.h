// What a statement reads: which branch or commit the session's settings name, and what of it a
// snapshot sees.
//
// The kinds of views, by what is set in a SessionView:
//   branch                 live rows of the branch, this transaction's own changes included
//   commit_id, as_of       live rows of a commit; pinned
//   since                  of these, those that are not live at the line's last commit up to it
//   history                every row version that a commit of the ancestry made, with `since` those
//                          that a later one made; pinned. What is unique in every commit is not
//                          unique here: plans must not rely on it
//                          (pg/planner_hooks.cpp).
//   without                the difference: rows live at commit_id and not at this other commit
// All but the first are read-only. The last three are computed (computed.h).
#pragma once

#include "pg/log.h"
#include "pg/pg.h"
#include "pg/settings.h"
#include "versioning/overlay.h"

namespace datahike::versioning {

struct ComputedFrom;  // computed.h

// What the settings say. A pinned session reads what one commit knows; a session with `pinned_by`
// writes nothing.
struct SessionView {
  int32_t branch = -1;  // of datahike.branch; -1 = there is none of that name
  bool pinned = false;
  bool committed = false;           // a branch without this transaction's own changes
  const char* pinned_by = nullptr;  // the setting's name; nullptr: it may write
  char commit_id[40] = "";          // datahike.commit_id
  char as_of[pg::kMostAsOf] = "";   // datahike.as_of
  char since[pg::kMostAsOf] = "";   // datahike.since
  bool history = false;             // datahike.history
  char without[40] = "";            // a commit id; no setting
  bool step = false;                // `without` and commit_id are likely parent and child
  // Whether the rows are not just those live in a branch or commit. Such views are not shared with
  // parallel workers.
  bool is_computed() const { return *without || *since || history; }
};
// Views that no setting names, for use_session_view().
SessionView view_at_commit(const store::Uuid& commit);
SessionView view_of_difference(const store::Uuid& commit, const store::Uuid& without);
SessionView view_of_history(const store::Uuid& commit);

// Of the query that is running: it keeps what the settings said when it was started, as a cursor
// must. Errors: 42704 unknown branch.
const SessionView& session_view();
// What the settings say now; never raises the error of an unknown branch.
SessionView current_settings();
// The view of the query that runs from now on; nullptr = what the settings say. Returns the one
// before.
const SessionView* use_session_view(const SessionView* view);
const SessionView* view_of_running_query();  // nullptr: none runs, what the settings say counts
// ereport-style refusal of a write under a read-only view: throws SqlError 25006.
void require_writable(const SessionView& session, const char* what);

// The first `limit` deltas of an overlay. The overlay lives at least to the end of the statement.
struct View {
  Overlay* overlay = nullptr;
  uint32_t limit = 0;
  int32_t branch = 0;
  bool pinned = false;                          // own pending writes are not part of it
  uint64_t tx = 0;                              // of the commit, where it is one
  const ComputedFrom* computed_from = nullptr;  // of a computed view
  bool to_now = false;     // pinned, up to what the branch is in the snapshot: others may add to it
  bool committed = false;  // a branch, but own pending writes are not part of it
};

// The view that an MVCC snapshot names (named_view.h), else the session's under it.
View view_for(Snapshot snapshot);
// The newest committed state of a branch; a new look at each call.
View latest_view(int32_t branch);
// A commit's state, whatever the session's settings. Pins it: see pg/pins.h.
View view_of_commit(const store::Uuid& commit);
// The state of a branch under a snapshot, whatever the settings.
View branch_view(int32_t branch, Snapshot snapshot);
// The same, and the head that it lies over: of its rows those in log transactions are not in there.
View branch_view(int32_t branch, Snapshot snapshot, pg::Head& head);

// What a view has of a table, in a few words: two of the same kind are equal only if the views have
// the same rows of it, but for a transaction's own pending changes and what purge() has erased.
// Those of a computed view are not `known`.
struct TableState {
  bool known = false;
  uint64_t overlay = 0;   // its serial
  uint32_t sequence = 0;  // of the last delta in view that touches the table
  bool operator==(const TableState&) const = default;
};
TableState state_of(const View& view, uint64_t table_id);

// A row version, found by rowid alone.
struct FoundRow {
  store::SegmentReader segment;
  uint32_t row = 0;
  bool in_store = false;  // the segment points into the store's map
};
// Looks in the view's log transactions, then in the store. nullopt if there is no such row version.
std::optional<FoundRow> find_row(const View& view, TableOverlay& table, uint64_t table_id,
                                 uint64_t rowid);
// A row of an added run.
FoundRow load_row(const AddedRun& run, uint64_t table_id, uint64_t rowid);

// The table's schema as last recorded in the view; nullopt if it never was.
std::optional<Bytes> recorded_schema(const View& view, uint64_t table_id);

// How a row was superseded on a branch, for a row that the view does not see live.
std::optional<store::Lineage> find_lineage(const View& view, uint64_t table_id, uint64_t rowid);

// Waits until everything that a snapshot taken before the call sees is folded. Interruptible.
// Raises the worker's error when it fails.
void wait_for_fold();
// The newest head of the session's branch or the pinned commit; folds first. In REPEATABLE READ the
// commit must be exactly what the snapshot sees: 40001 where the snapshot is no prefix of the
// chain.
store::Uuid current_commit(Snapshot snapshot);
// The same for a branch, whatever the settings.
store::Uuid commit_of_branch(int32_t branch, Snapshot snapshot);
// The commit of a branch that holds exactly what the snapshot sees of it; folds first. nullopt:
// there is none.
std::optional<store::Uuid> branch_commit(int32_t branch, Snapshot snapshot);
// The newest commit of a branch, folded.
store::Uuid branch_head(int32_t branch);

// Keeps an overlay that a scan may still point to.
void retain_overlay(std::shared_ptr<Overlay> overlay);
void begin_using_views();  // a scan starts
void end_using_views();
void release_views(bool transaction_ends);  // forgets overlays that no scan uses

}  // namespace datahike::versioning
