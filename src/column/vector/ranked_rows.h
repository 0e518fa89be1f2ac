// The first rows of each group as rank() and dense_rank() number them: those that are equal by the
// order have one number.
#pragma once

#include "column/vector/first_rows.h"

namespace datahike::vector {

class RankedRows final : public ChosenRows {
 public:
  // REQUIRES: `program` outlives it.
  RankedRows(const Program& program, Ranking ranking);
  void resize(uint32_t groups) override;
  void add(Evaluator& rows, const uint32_t* groups) override;
  void merge(State& later, std::span<const uint32_t> to) override;
  size_t bytes() const override;
  size_t bytes_of_group() const override { return sizeof(Group); }
  size_t own_bytes() const override { return kept_bytes_; }
  void each(uint32_t group, const Visit& visit) const override;

 private:
  // Rows that are equal: what they are compared by (row_order.h), and where they are.
  struct Peers {
    std::vector<uint64_t> key;
    std::vector<RowPlace> rows;  // as they come in the table
  };
  struct Group {
    std::vector<Peers> peers;  // in order
    uint64_t rows = 0;         // of all of them
    // A row whose first word is above that is not among the group's first ones.
    uint64_t bound = ~uint64_t{0};
  };
  // The rows of these peers, which become part of the group's.
  void insert(Group& group, const uint64_t* key, std::span<const RowPlace> rows);
  bool is_complete(uint64_t rows, size_t peers) const;

  const Program& program_;
  Ranking ranking_;
  size_t terms_;
  std::vector<Group> groups_;
  size_t kept_bytes_ = 0;  // of all peers, about
};

}  // namespace datahike::vector
