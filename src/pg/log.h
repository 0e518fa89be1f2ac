// The heap tables datahike.tx_log and datahike.heads: reading under a snapshot, and writing.
// Both are read with SnapshotAny and a visibility test of our own, so that no SIREAD locks are
// taken.
#pragma once

#include <algorithm>
#include <vector>

#include "pg/pg.h"
#include "store/environment.h"
#include "store/fold.h"
#include "tree/node.h"

namespace datahike::pg {

// What a fold's snapshot contains: xids below xmax that are not in xip.
struct FoldSnapshot {
  uint64_t xmax = 0;
  std::vector<uint64_t> xip;  // ascending, each once
  // A snapshot has an xid twice that is about to be prepared, while PostgreSQL hands it from the
  // session to the prepared transaction; a head from before this was looked at may have it so.
  void set_running(std::vector<uint64_t> xids) {
    xip = std::move(xids);
    std::sort(xip.begin(), xip.end());
    xip.erase(std::unique(xip.begin(), xip.end()), xip.end());
  }
  bool contains(uint64_t xid) const {
    return xid < xmax && !std::binary_search(xip.begin(), xip.end(), xid);
  }
};

struct Head {
  int32_t branch = 0;
  uint64_t fold = 0;
  store::Uuid commit{};
  uint64_t tx = 0, next_tx = 0;
  int64_t time = 0;
  bool has_root = false;
  tree::NodeRef root;
  FoldSnapshot contained;
};

// The newest head of a branch visible in `snapshot`; nullopt if the branch did not exist in it.
std::optional<Head> read_head(int32_t branch, Snapshot snapshot);
// The next tx number of the store: the greatest of all heads' visible in `snapshot`.
uint64_t read_next_tx(Snapshot snapshot);
void write_head(const Head& head);

// One row of the log.
struct LogRow {
  uint64_t xid = 0;
  uint32_t part = 0;
  char kind = 'd';  // 'd' carries a delta, 'r' rows alone, 's' a reset of the branch
  uint64_t lsn = 0;
  int64_t time = 0;
  std::string author, message;
  Bytes delta;
  Bytes rows;  // only where asked for
  // Of a merge: those besides the branch's previous commit. Of a reset: where the branch goes.
  std::vector<store::Uuid> parents;
};

// Delta rows of a branch that are visible in `snapshot` and not in `contained`, in order of lsn.
// The rows column is read only where it is stored inline. Rows of the current transaction are
// skipped.
std::vector<LogRow> read_log(int32_t branch, const FoldSnapshot& contained, Snapshot snapshot);
// The same for one transaction, and its resets of the branch.
std::vector<LogRow> read_log_of(int32_t branch, uint64_t xid, Snapshot snapshot);
// The rows column of one part of a committed transaction or of the current one; nullopt if the log
// has been purged of it, which happens only after it has reached the store. With SnapshotAny: of a
// prepared one.
std::optional<Bytes> read_log_part(int32_t branch, uint64_t xid, uint32_t part,
                                   Snapshot snapshot = SnapshotSelf);

void write_log_row(int32_t branch, const LogRow& row);

// Removes the log rows that `head` contains and the heads before it; returns how many rows.
// REQUIRES: every snapshot in use sees `head`.
uint64_t purge_log(const Head& head);
void forget_heads(int32_t branch);  // all of a branch's that the active snapshot sees
// The newest head of a branch whose fold is older than `horizon`.
std::optional<Head> read_head_before(int32_t branch, uint64_t horizon, Snapshot snapshot);
// Every branch that has a head, deleted ones included.
std::vector<int32_t> branches_with_heads(Snapshot snapshot);
uint64_t count_log_rows();  // an estimate from the table's statistics
bool log_is_empty(Snapshot snapshot);

}  // namespace datahike::pg
