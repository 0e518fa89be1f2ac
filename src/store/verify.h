// Verification: recomputes the hashes and checksums of a store and says where they do not match.
//
// Always: commit records (their hash covers parents, tx, time, author, message, delta and the
// digest of their rows), parents that are there and older, transaction numbers. Deep: every tree
// node's checksum, every reachable one's SHA-256 against its parent's, each keyframe's tree against
// the one before it and the deltas since, the rows of every commit against its digest, every
// segment's checksum, lineage against deltas, and the entries of map meta.
//
// Commits of which purge() has erased rows are reported as redacted: their rows are compared with
// the digest that the redaction records have, and the records with the digests of the commits.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "store/commit.h"
#include "store/environment.h"

namespace datahike::store {

struct Finding {
  std::optional<Uuid> commit;  // nullopt: damage in what belongs to no single commit
  bool corrupt = false;
  bool redacted = false;  // rows of it have been erased on purpose; the rest is whole
  std::string detail;
};

// Reports each commit once, oldest first, then what else is damaged. Reads the environment's
// present read transaction from beginning to end. `pause` is called often; it may throw to give up,
// but must leave the environment alone.
void verify(Environment& env, bool deep, const std::function<void(const Finding&)>& report,
            const std::function<void()>& pause);

}  // namespace datahike::store
