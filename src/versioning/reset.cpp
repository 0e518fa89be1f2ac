// A reset is a row of datahike.heads, like a new branch's first one, written under the branch's
// exclusive lock once everything before is folded. docs/protocol.md, section 11, says why that is
// enough.
#include "versioning/reset.h"

#include "am/pending.h"
#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/reflog.h"
#include "pg/shared.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "pg/subtransaction.h"
#include "versioning/collected.h"
#include "versioning/own_resets.h"

namespace datahike::versioning {

namespace {

void require_no_changes(int32_t branch) {
  if (!am::has_pending_on(branch)) return;
  throw pg::SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                     "this transaction has uncommitted changes on the branch", "COMMIT first.");
}

[[noreturn]] void moved_on() {
  throw pg::SqlError(ERRCODE_T_R_SERIALIZATION_FAILURE,
                     "could not serialize access: the branch has moved on", "Retry.");
}

// Where the branch stands, folded, once all its writers have ended.
pg::Head lock_and_fold(int32_t branch, const Reset& how) {
  pg::call([=] { pg::lock_branch_exclusively(branch); });
  if (!pg::call([=] { return pg::is_named_branch(branch); }))
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, "the branch has been deleted");
  if (how.when_locked) how.when_locked();
  wait_for_fold();
  Snapshot latest = pg::call([] { return pg::latest_snapshot(); });
  std::optional<pg::Head> head = pg::read_head(branch, latest);
  if (!head) throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, "the branch does not exist");
  return *head;
}

// For sessions that hold a view of the branch and have not seen this transaction in the ring.
void log_reset(int32_t branch, const store::Uuid& commit) {
  pg::LogRow row;
  row.xid = pg::widen_xid(pg::call([] { return GetTopTransactionId(); }));
  row.part = am::take_part_number(branch);
  row.kind = 's';
  row.lsn = GetXLogInsertRecPtr();
  row.time = GetCurrentTimestamp();
  row.parents = {commit};
  pg::write_log_row(branch, row);
}

}  // namespace

pg::Head head_at(int32_t branch, const store::Commit& commit) {
  pg::Head head;
  head.branch = branch;
  head.commit = commit.id;
  head.tx = commit.tx;
  head.next_tx = 0;  // says nothing about the store's counter
  head.time = commit.time;
  head.has_root = commit.keyframe;
  head.root = commit.root;
  head.fold = pg::widen_xid(pg::call([] { return GetCurrentTransactionId(); }));
  Snapshot s = pg::call([] { return pg::latest_snapshot(); });
  head.contained.xmax = pg::widen_xid(s->xmax);
  std::vector<uint64_t> running;
  for (uint32_t i = 0; i < s->xcnt; ++i) running.push_back(pg::widen_xid(s->xip[i]));
  uint64_t own = pg::widen_xid(pg::call([] { return GetTopTransactionId(); }));
  if (own < head.contained.xmax) running.push_back(own);
  head.contained.set_running(std::move(running));
  return head;
}

store::Commit commit_to_name(const store::Uuid& id) {
  if (!pg::try_store()) wait_for_fold();
  store::Environment& env = pg::open_store();
  std::optional<store::Commit> commit = store::load_commit(env, id);
  if (!commit) {
    env.refresh();
    commit = store::load_commit(env, id);
  }
  if (!commit) throw CorruptError("commit " + store::format_uuid(id) + " is missing in the store");
  require_all_kept(*commit);
  return *commit;
}

store::Uuid reset_branch(int32_t branch, const store::Uuid& id, const Reset& how) {
  if (IsolationIsSerializable())
    throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                       "a branch cannot be set to another commit in a SERIALIZABLE transaction",
                       "Use READ COMMITTED or REPEATABLE READ.");
  require_no_changes(branch);
  pg::Head from = lock_and_fold(branch, how);
  if (how.expected && *how.expected != from.commit) moved_on();
  if (IsolationUsesXactSnapshot() && branch_commit(branch, GetActiveSnapshot()) != from.commit)
    moved_on();
  if (from.commit == id) return id;
  store::Commit commit = commit_to_name(id);
  // In a transaction of its own, for its xid is newer than any fold of the branch: the newest head
  // is the one with the greatest xid.
  pg::in_subtransaction([&] {
    pg::call([] { GetCurrentTransactionId(); });
    log_reset(branch, commit.id);
    pg::Head head = head_at(branch, commit);
    head.next_tx = from.next_tx;  // the heads before may be purged
    pg::write_head(head);
    CommandId command = pg::call([] { return GetCurrentCommandId(true); });
    pg::RefMove move;
    move.branch = branch;
    move.operation = how.operation;
    move.message = how.message;
    move.from = from.commit;
    move.from_tx = from.tx;
    move.to = commit.id;
    move.to_tx = commit.tx;
    pg::write_ref_move(move);                                                  // ends the command
    pg::call([] { CacheInvalidateRelcacheByRelid(pg::extension().branch); });  // plans depend on it
    am::branch_was_reset(branch);
    note_own_reset(branch, command);
  });
  return from.commit;
}

}  // namespace datahike::versioning
