// Aggregating pieces with several threads, with the same result for any number of them.
//
// Few groups: pieces are taken together to morsels, by their numbers of rows alone. Each thread has
// a table of the groups that it has met, takes one morsel after the other, and sets aside what
// depends on the order of rows after each of them; that is merged in the order of the morsels. So a
// sum of floats is made of the morsels' sums, whoever computed them.
//
// Many groups, by a sample of the first rows: merging would cost more than it saves. Each thread
// reads all rows, in their order, and adds those up whose groups are in its part of the keys'
// hashes; two or three do so for different values alone, and leave the rest to one. So a sum of
// floats is that of the rows in their order. Where all groups need more memory than they may, they
// are computed in several passes over the rows, each for its part of them.
#pragma once

#include <functional>

#include "column/vector/aggregation.h"

namespace datahike::vector {

struct Execution {
  unsigned threads = 1;
  bool in_row_order = false;  // one row after the other, whatever it costs
  bool by_key = false;        // groups are many, whatever a sample says
  // The pass at hand and how many there are; more than one: by_key.
  unsigned pass = 0, passes = 1;
  size_t most_bytes = SIZE_MAX;  // of memory for groups
};

class ParallelAggregation {
 public:
  using Poll = std::function<void()>;
  // REQUIRES: `program` outlives it.
  ParallelAggregation(const Program& program, const Execution& execution);
  // Adds the pieces, whose rows come after those that were added. `poll` is called by this thread
  // now and then, and may throw: the others stop then. They call neither PostgreSQL nor LMDB, and
  // block all signals. Throws what Aggregation::add() does, and InRowOrder.
  void add(std::span<const Piece> pieces, const Poll& poll);
  bool by_key() const { return by_key_; }
  // The groups: each of them in one part.
  const std::vector<std::unique_ptr<Aggregation>>& parts() const { return parts_; }
  const Counters& counters() const { return parts_.front()->counters(); }

 private:
  void decide(std::span<const Piece> pieces);
  void add_all(std::span<const Piece> pieces, const Poll& poll);
  void add_by_key(std::span<const Piece> pieces, const Poll& poll);
  void add_morsels(std::span<const Piece> pieces, const Poll& poll);
  void add_morsels_here(std::span<const std::span<const Piece>> morsels, const Poll& poll);

  const Program& program_;
  Execution execution_;
  bool decided_ = false, by_key_ = false, in_row_order_ = false;
  std::vector<std::unique_ptr<Aggregation>> parts_;
};

// For a process that ends within `poll`, which neither returns nor throws then: afterwards no other
// thread reads the pieces that are being added, and they can go.
void stop_other_threads() noexcept;

}  // namespace datahike::vector
