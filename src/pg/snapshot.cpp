#include "pg/snapshot.h"

namespace datahike::pg {

// GetLatestSnapshot() refuses parallel mode for want of a user. What it does is sound there: the
// catalog's snapshots are taken in the same way, by workers as well.
Snapshot latest_snapshot() {
  if (!IsInParallelMode()) return GetLatestSnapshot();
  static SnapshotData data{};
  data.snapshot_type = SNAPSHOT_MVCC;
  return GetSnapshotData(&data);
}

}  // namespace datahike::pg
