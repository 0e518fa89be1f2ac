// The heap table datahike.reflog: how branches came to name commits otherwise than by committing.
#pragma once

#include "pg/log.h"

namespace datahike::pg {

struct RefMove {
  int32_t branch = 0;
  uint64_t xid = 0;  // 64-bit, of the (sub)transaction: ascending for a branch
  uint32_t command = 0;
  int64_t time = 0;
  std::string operation;  // create, reset, fast-forward, rename
  std::string author;
  std::string message;
  std::optional<store::Uuid> from;  // none of a new branch
  uint64_t from_tx = 0;
  store::Uuid to{};
  uint64_t to_tx = 0;
  bool is_reset() const { return from && *from != to; }
};

// Fills in xid, command, time and author.
void write_ref_move(RefMove move);
// Those of a branch that are visible in `snapshot`, oldest first.
std::vector<RefMove> read_ref_moves(int32_t branch, Snapshot snapshot);
// Where the branch stood before the first reset that `latest` sees and `s` does not; nullopt:
// there is none.
std::optional<store::Uuid> commit_left_behind(int32_t branch, Snapshot s, Snapshot latest);

// Whether the branch has been fast-forwarded by a transaction that `s` does not see.
bool fast_forwarded_since(int32_t branch, Snapshot s);

}  // namespace datahike::pg
