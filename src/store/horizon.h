// How far the history of a table has been collected, and which of its row versions nobody can read
// any more by that. Plain C++. The grammar of the entries in map meta is at the head of
// horizon.cpp.
//
// The rule. A table's horizon is at tx H. A commit can be read for this table when its tx is >= H,
// or when it is the last commit with tx <= H of a branch that still counts. So a row version is
// dead when it was there by H, and is in none of the live sets of those last commits: deltas only
// add rows that are new and remove others, hence what is not live at a line's last commit up to H
// is live nowhere on the line after it. Dead is for good, whatever happens later.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/environment.h"
#include "store/version.h"
#include "tree/live_set.h"

namespace datahike::store {

// What a fold had seen when it was done: where a horizon can lie. Times are microseconds since
// 2000-01-01 00:00 UTC, xids 64-bit.
struct FoldMark {
  uint64_t last_tx =
      0;              // every transaction contained has a commit with tx <= last_tx, no other has
  int64_t time = 0;   // the fold's clock
  uint64_t xmin = 0;  // every transaction below it had ended, and is contained if it committed
  uint64_t xmax = 0;  // what is contained is below
  bool operator==(const FoldMark&) const = default;
};
// Ascending. They thin out with age: neighbours are about a sixteenth of their age apart.
std::vector<FoldMark> read_fold_marks(Environment& env);
// REQUIRES: `mark` is the newest. Marks at or above `next_tx` belong to a fold that never committed
// and go.
void put_fold_mark(WriteBatch& batch, const FoldMark& mark, uint64_t next_tx);
// Exposed for tests: adds to an ascending list and thins it.
void add_fold_mark(std::vector<FoldMark>& marks, const FoldMark& mark);

// A live set of the table that must stay readable, and the commit that has it.
struct KeptVersion {
  uint64_t tx = 0;
  tree::NodeRef live;  // empty: no rows
};

struct Horizon {
  FoldMark mark;  // H = mark.last_tx
  std::vector<KeptVersion> kept;
};
std::optional<Horizon> read_horizon(Environment& env, uint64_t table);
void visit_horizons(Environment& env,
                    const std::function<void(uint64_t table, const Horizon&)>& visit);
// The entry of map meta that is there once rows of the table have been collected: its indexes may
// have entries for them.
std::string erased_rows_key(uint64_t table);
void put_horizon(WriteBatch& batch, uint64_t table, const Horizon& horizon);

// The dead row versions of one table under one horizon.
class DeadVersions {
 public:
  // It remembers 16 KB for each block of 65536 rowids that it is asked about, of so many at most.
  static constexpr size_t kFewBlocks = 128;
  DeadVersions(uint64_t table, Horizon horizon, size_t most_blocks = kFewBlocks)
      : table_(table), horizon_(std::move(horizon)), most_blocks_(most_blocks) {}

  enum class Verdict {
    Kept,      // somebody may read it
    Dead,      // nobody can, ever again
    NotStored  // the store has no such row: not folded, running, or rolled back
  };
  Verdict judge(Environment& env, uint64_t rowid);
  // As judge() == Dead, but remembers what is not, for callers that ask again and again.
  bool is_dead(Environment& env, uint64_t rowid);

  const Horizon& horizon() const { return horizon_; }

 private:
  // What is known of the rowids with the same high bits.
  struct Block {
    tree::Container live;   // in any of the kept versions
    tree::Container asked;  // and was not dead
  };
  Block& block(Environment& env, uint64_t high);
  Verdict judge(Environment& env, Block& block, uint64_t rowid);

  uint64_t table_;
  Horizon horizon_;
  size_t most_blocks_;
  std::unordered_map<uint64_t, std::unique_ptr<Block>> blocks_;
  uint64_t last_high_ = UINT64_MAX;
  Block* last_block_ = nullptr;
  SegmentReader segment_;  // looked at last, while the environment's generation is the same
  uint64_t generation_ = UINT64_MAX;
};

}  // namespace datahike::store
