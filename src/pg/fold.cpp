// Order within a fold, which docs/protocol.md argues for: the fold lock, one snapshot, the xid;
// then the store's write batch, a WAL flush, the batch's commit, the heads, the transaction's
// commit.
#include "pg/fold.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/gc.h"
#include "pg/horizon.h"
#include "pg/incarnation.h"
#include "pg/log.h"
#include "pg/notify.h"
#include "pg/shared.h"
#include "pg/store.h"
#include "store/fold.h"

extern "C" {
#include "access/xlog_internal.h"
}

namespace datahike::pg {

namespace {

store::WriteBatch* open_batch = nullptr;

// Everything inserted into the WAL up to now is durable afterwards. The position may point behind a
// page header that nothing has been written after yet.
void flush_wal() {
  XLogRecPtr upto = GetXLogInsertRecPtr();
  if (upto % XLOG_BLCKSZ <= SizeOfXLogLongPHD) upto -= upto % XLOG_BLCKSZ;
  XLogFlush(upto);
}

FoldSnapshot contained_in(Snapshot s) {
  FoldSnapshot f;
  f.xmax = widen_xid(s->xmax);
  std::vector<uint64_t> running;
  for (uint32_t i = 0; i < s->xcnt; ++i) running.push_back(widen_xid(s->xip[i]));
  f.set_running(std::move(running));
  return f;
}

store::LogEntry to_entry(LogRow& row) {
  store::LogEntry entry;
  entry.xid = row.xid;
  entry.time = row.time;
  entry.author = std::move(row.author);
  entry.message = std::move(row.message);
  entry.extra_parents = std::move(row.parents);
  entry.delta = store::decode_delta(row.delta);
  return entry;
}

// A fold in the making: the batch is begun by the first branch that has something to fold.
class Fold {
 public:
  Fold(Snapshot snapshot, const FoldContext& context)
      : snapshot_(snapshot),
        context_(context),
        first_tx_(read_next_tx(snapshot)),
        next_tx_(first_tx_) {}

  void branch(int32_t branch) {
    std::optional<Head> head = read_head(branch, snapshot_);
    if (!head) return;
    std::vector<LogRow> rows = read_log(branch, head->contained, snapshot_);
    if (rows.empty()) return;
    begin();
    store::Commit base = head_commit(*head);
    store::CommitState state;
    if (head->has_root)
      state.root = head->root;
    else
      state = store::load_state(open_store_for_writing(), head->commit);
    store::Folder folder(*batch_, static_cast<uint32_t>(branch), base, state, next_tx_);
    for (LogRow& row : rows) add(folder, branch, row);
    store::Commit done = folder.finish();
    next_tx_ = folder.next_tx();
    publish(branch, done);
  }

  // Writes the store, then PostgreSQL's heads. False when there was nothing to fold.
  bool finish() {
    if (!batch_) return false;
    Bytes tx;
    ByteWriter(tx).fixed<uint64_t>(next_tx_);
    batch_->put_meta("next_tx", tx);
    put_mark();
    call([] { flush_wal(); });
    context_.crash_point("before_store_commit");
    context_.check_for_leave();
    commit_batch();
    context_.crash_point("after_store_commit");
    uint64_t fold = widen_xid(call([] { return GetCurrentTransactionId(); }));
    for (Head& head : heads_) {
      head.fold = fold;
      head.next_tx = next_tx_;
      write_head(head);
    }
    if (notifies()) notify_commits(first_tx_, next_tx_);
    context_.crash_point("after_heads");
    return true;
  }

 private:
  void begin() {
    if (batch_) return;
    batch_ = &begin_batch();
    // A fold whose transaction never committed left commits that no head names.
    std::optional<Bytes> last = batch_->meta("next_tx");
    if (last && ByteReader(*last, "meta next_tx").fixed<uint64_t>() > next_tx_)
      batch_->erase_commits_from(next_tx_);
  }

  store::Commit head_commit(const Head& head) {
    std::optional<Bytes> record = batch_->commit_record(head.commit);
    if (record) return store::decode_commit(*record, head.commit);
    store::Commit root = store::root_commit(head.time);
    if (root.id == head.commit) return root;
    throw CorruptError("commit " + store::format_uuid(head.commit) +
                       ", a branch's head, is missing in the store");
  }

  void add(store::Folder& folder, int32_t branch, LogRow& row) {
    uint64_t xid = row.xid, tx = folder.next_tx();
    std::map<uint32_t, Bytes> loaded;
    if (!row.rows.empty()) loaded[row.part] = std::move(row.rows);
    store::LogEntry entry = to_entry(row);
    for (const store::TableDelta& table : entry.delta.tables)
      context_.horizons.touched(table.table, tx);
    context_.gc.note(entry.delta);
    folder.add(entry, [&](uint32_t part) -> ByteView {
      context_.check_for_leave();
      auto at = loaded.find(part);
      if (at != loaded.end()) return at->second;
      std::optional<Bytes> rows = read_log_part(branch, xid, part);
      if (!rows)
        throw CorruptError("datahike.tx_log: a part of transaction " + std::to_string(xid) +
                           " is missing");
      loaded.clear();
      return loaded[part] = std::move(*rows);
    });
    context_.check_for_leave();
  }

  void put_mark() {
    FoldSnapshot contained = contained_in(snapshot_);
    uint64_t xmin = contained.xip.empty() ? contained.xmax : contained.xip.front();
    store::put_fold_mark(*batch_, {next_tx_ - 1, GetCurrentTimestamp(), xmin, contained.xmax},
                         first_tx_);
  }

  void publish(int32_t branch, const store::Commit& commit) {
    Head head;
    head.branch = branch;
    head.commit = commit.id;
    head.tx = commit.tx;
    head.time = commit.time;
    head.has_root = true;
    head.root = commit.root;
    head.contained = contained_in(snapshot_);
    heads_.push_back(std::move(head));
  }

  Snapshot snapshot_;
  const FoldContext& context_;
  uint64_t first_tx_;  // of this fold
  uint64_t next_tx_;
  store::WriteBatch* batch_ = nullptr;  // open_batch
  std::vector<Head> heads_;
};

}  // namespace

store::WriteBatch& begin_batch() {
  open_batch = open_store_for_writing().begin_write().release();
  return *open_batch;
}

void drop_batch() {
  delete open_batch;
  open_batch = nullptr;
}

void commit_batch() {
  open_batch->commit();
  drop_batch();
}

void ensure_store(Snapshot snapshot) {
  store::Environment& env = open_store_for_writing();
  call([] { forget_recorded_ids(); });
  int64_t branch = call([] { return find_branch(kDefaultBranch); });
  if (serves_installation(env, branch)) return;
  std::optional<Head> first = read_head(static_cast<int32_t>(branch), snapshot);
  // A store that has lost this installation's commits stays refused.
  if (!first || (first->tx != 1 && !env.commit(first->commit))) return;
  store::WriteBatch& batch = begin_batch();
  if (first->tx == 1) {
    store::Commit root = store::root_commit(first->time);
    batch.put_commit(root.id, root.tx, store::encode_commit(root));
  }
  adopt_for_installation(batch, branch);
  commit_batch();
}

bool fold_log(Snapshot snapshot, const FoldContext& context) {
  Fold fold(snapshot, context);
  for (int32_t branch : branches_with_heads(snapshot)) fold.branch(branch);
  return fold.finish();
}

}  // namespace datahike::pg
