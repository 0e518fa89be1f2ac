// Folding: turning log entries of one branch into commits, segments and version trees.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store/commit.h"
#include "store/environment.h"
#include "store/version.h"

namespace datahike::store {

// A committed transaction of the log.
struct LogEntry {
  uint64_t xid = 0;
  int64_t time = 0;  // when it committed; the commit's time is max(time, previous + 1)
  std::string author, message;
  std::vector<Uuid> extra_parents;  // of a merge; each counts once
  Delta delta;                      // with places
};
// The bytes of the `rows` column of one part of the entry being folded; valid until the next call.
using PartLoader = std::function<ByteView(uint32_t part)>;

// Most commits between two keyframes. A commit is one sooner if since the last one so many ranges
// and rows have come and gone: a keyframe costs a node of up to 8 KB for each 65536 rowids among
// which there is a change.
inline constexpr unsigned kKeyframeInterval = 256;
inline constexpr size_t kKeyframeChanges = 1 << 16;

// Folds entries of one branch, in the order they are added, on top of `head`.
// The order must respect dependencies: who removes a row comes after who added it.
// After an error the folder and its batch must be dropped: the batch has part of an entry.
class Folder {
 public:
  // `head`: the branch's newest commit, and its state. It is in the store, but for the root commit
  // at the first fold, which is written then. `next_tx`: the store's next transaction number.
  Folder(WriteBatch& batch, uint32_t branch, const Commit& head, const CommitState& state,
         uint64_t next_tx);
  ~Folder();
  // Writes the entry's rows, lineage and commit record. Small neighbouring row ranges of the same
  // columns, also of different entries, become one segment.
  void add(const LogEntry& entry, const PartLoader& load_part);
  // Writes what is still open and the tree of the last commit, which becomes a keyframe.
  // Returns the new head; equal to the old one when nothing was added.
  Commit finish();
  uint64_t next_tx() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace datahike::store
