// Groups the rows of pieces and accumulates what a program asks for.
#pragma once

#include <functional>

#include "column/vector/groups.h"
#include "column/vector/packed_sums.h"
#include "column/vector/states.h"

namespace datahike::vector {

// Which groups are computed: those in one of so many ranges of their keys' hashes.
struct Part {
  unsigned number = 0, of = 1;
  size_t most_bytes = SIZE_MAX;  // that its groups may need
  // Where morsels are computed by several threads (parallel.h): how many morsels, and of how many
  // tables of groups there may be one for each thread. What groups need is reckoned by them then,
  // and by the groups alone, so that the number of threads does not decide whether it is too much.
  unsigned morsels = 0, tables = 0;
};

class Aggregation;
// What groups of another aggregation, and strings of their keys, are numbered in this one.
struct Translation {
  std::vector<uint32_t> groups;              // by group
  std::vector<std::vector<uint32_t>> texts;  // of each key, by number
};

// The groups of a part need more memory than they may: they are to be computed in smaller parts.
struct TooManyGroups {};

class Aggregation {
 public:
  explicit Aggregation(const Program& program, Part part = {});
  ~Aggregation();
  // What the keys' zone maps say of these pieces, the first ones.
  void expect(std::span<const Piece> pieces);
  // Memory for so many groups, if it should come to that many; as much as they may need at most.
  void reserve(double groups);
  // `poll` is called now and then: it may throw. Throws ValueError, Unbounded, CorruptError and
  // TooManyGroups.
  void add(const Piece& piece, const std::function<void()>& poll);
  // What rows that were added are packed in goes to the states. REQUIRES: before those are read.
  void finish() { packed_.flush(); }
  // Only the piece's first rows, as a sample.
  void add_first_chunk(const Piece& piece);

  void set_part(const Part& part) { part_ = part; }
  // Of the rows since the last call: what is to be merged in the order of the rows, or all. (Of all
  // rows: which groups there are.)
  States take_states(bool all);
  // Where one thread computes all morsels: sets aside what take_states(false) would return, added
  // to what was; and puts that back in the end.
  void end_morsel();
  void end_morsels();
  // Takes over the groups of `from` below `end` that are not in `known` yet. Throws TooManyGroups.
  void merge_groups(const Aggregation& from, uint32_t end, Translation& known);
  // Takes over what is known of groups, with the numbers that those have here. Throws InRowOrder.
  void merge_states(const States& later, std::span<const uint32_t> to);
  void merge_counters(const Aggregation& other);

  uint32_t groups() const { return program_.keys.empty() ? 1 : groups_.size(); }
  bool key_is_null(uint32_t group, unsigned key) const { return groups_.is_null(group, key); }
  uint64_t key_word(uint32_t group, unsigned key) const { return groups_.word(group, key); }
  ByteView key_text(uint32_t group, unsigned key) const {
    return texts_[key].text(static_cast<uint32_t>(groups_.word(group, key)));
  }
  uint8_t* key_text_header(uint32_t group, unsigned key) const {
    return texts_[key].header(static_cast<uint32_t>(groups_.word(group, key)));
  }
  const State& state(int accumulator) const { return *states_[accumulator]; }
  const Counters& counters() const { return counters_; }
  size_t bytes() const;

 private:
  void add_chunk();
  void assign_groups(uint32_t* groups);
  void assign_by_keys(uint32_t* groups);
  void assign_by_build_row(uint32_t* groups);
  bool assign_by_code(uint32_t* groups);
  void take_build();
  void keep_part();
  void check_size() const;
  bool is_too_large() const;
  bool is_morsel_too_large() const;
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
  // Groups by row of the build side, or by code of the piece at hand; kNone: not known.
  std::vector<uint32_t> known_groups_;
  bool by_build_row_ = false;
  unsigned build_part_ = 0;  // of the join, that these are of
  uint64_t codes_of_ = 0;    // the piece's number
  States states_;
  States set_aside_;
  PackedSums packed_;
  std::vector<char> done_;  // states that zone maps have answered for the piece at hand
  uint32_t sized_ = 0;
  Counters counters_;
};

}  // namespace datahike::vector
