// Groups the rows of pieces and accumulates what a program asks for.
#pragma once

#include <functional>

#include "column/vector/groups.h"
#include "column/vector/states.h"

namespace datahike::vector {

// Which groups are computed: those in one of so many ranges of their keys' hashes.
struct Part {
  unsigned number = 0, of = 1;
  size_t most_bytes = SIZE_MAX;  // that its groups may need
};

// The groups of a part need more memory than they may: they are to be computed in smaller parts.
struct TooManyGroups {};

class Aggregation {
 public:
  explicit Aggregation(const Program& program, Part part = {});
  ~Aggregation();
  // What the keys' zone maps say of these pieces, the first ones.
  void expect(std::span<const Piece> pieces);
  // `poll` is called now and then: it may throw. Throws ValueError, Unbounded, CorruptError and
  // TooManyGroups.
  void add(const Piece& piece, const std::function<void()>& poll);
  // Only the piece's first rows, as a sample.
  void add_first_chunk(const Piece& piece);

  // Takes over what `later` has, whose rows come after these. Throws InRowOrder, TooManyGroups.
  void merge(Aggregation& later);

  uint32_t groups() const { return program_.keys.empty() ? 1 : groups_.size(); }
  bool key_is_null(uint32_t group, unsigned key) const { return groups_.is_null(group, key); }
  uint64_t key_word(uint32_t group, unsigned key) const { return groups_.word(group, key); }
  ByteView key_text(uint32_t group, unsigned key) const {
    return texts_[key].text(static_cast<uint32_t>(groups_.word(group, key)));
  }
  const State& state(int accumulator) const { return *states_[accumulator]; }
  const Counters& counters() const { return counters_; }
  size_t bytes() const;

 private:
  void add_chunk();
  void keep_part();
  void check_size() const;
  void add_matches(const std::function<void()>& poll);
  void resize(uint32_t groups);
  uint64_t add_from_zones();

  const Program& program_;
  Part part_;
  Evaluator evaluator_;
  Groups groups_;
  std::vector<TextNumbers> texts_;  // of each key
  std::vector<Vector> text_keys_;   // likewise, of the chunk at hand
  std::vector<TextHashes> hashes_;  // of each key
  std::vector<std::unique_ptr<State>> states_;
  std::vector<char> done_;  // states that zone maps have answered for the piece at hand
  uint32_t sized_ = 0;
  Counters counters_;
};

}  // namespace datahike::vector
