#include "column/vector/ranked_rows.h"

#include <algorithm>

#include "column/vector/row_order.h"

namespace datahike::vector {

RankedRows::RankedRows(const Program& program, Ranking ranking)
    : program_(program), ranking_(ranking), terms_(program.order.size()) {}

void RankedRows::resize(uint32_t groups) { groups_.resize(groups); }

size_t RankedRows::bytes() const { return groups_.capacity() * sizeof(Group) + kept_bytes_; }

void RankedRows::each(uint32_t group, const Visit& visit) const {
  uint32_t number = 1;
  for (const Peers& peers : groups_[group].peers) {
    for (const RowPlace place : peers.rows) visit(place, number);
    number += ranking_ == Ranking::Rank ? static_cast<uint32_t>(peers.rows.size()) : 1;
  }
}

// Whether what comes behind so many rows has a number above the greatest that is wanted.
bool RankedRows::is_complete(uint64_t rows, size_t peers) const {
  return (ranking_ == Ranking::Rank ? rows : peers) >= program_.first;
}

void RankedRows::insert(Group& group, const uint64_t* key, std::span<const RowPlace> rows) {
  const size_t kPeersBytes = sizeof(Peers) + (1 + terms_) * 8;
  auto at = std::lower_bound(group.peers.begin(), group.peers.end(), key,
                             [this](const Peers& peers, const uint64_t* other) {
                               return compare_rows(peers.key.data(), other, terms_) < 0;
                             });
  if (at == group.peers.end() || compare_rows(at->key.data(), key, terms_) != 0) {
    if (at == group.peers.end() && is_complete(group.rows, group.peers.size())) return;
    at = group.peers.insert(at, Peers{{key, key + 1 + terms_}, {}});
    kept_bytes_ += kPeersBytes;
  }
  const size_t before = at->rows.capacity();
  // Threads take stretches of the table by turns.
  const auto middle = at->rows.insert(at->rows.end(), rows.begin(), rows.end());
  if (middle != at->rows.begin() && *middle < middle[-1])
    std::inplace_merge(at->rows.begin(), middle, at->rows.end());
  kept_bytes_ += (at->rows.capacity() - before) * sizeof(RowPlace);
  group.rows += rows.size();
  while (is_complete(group.rows - group.peers.back().rows.size(), group.peers.size() - 1)) {
    Peers& last = group.peers.back();
    group.rows -= last.rows.size();
    kept_bytes_ -= kPeersBytes + last.rows.capacity() * sizeof(RowPlace);
    group.peers.pop_back();
  }
  if (is_complete(group.rows, group.peers.size())) group.bound = group.peers.back().key[1];
}

void RankedRows::add(Evaluator& rows, const uint32_t* groups) {
  const unsigned n = rows.selected();
  const RowOrder order(program_, rows);
  uint64_t key[1 + kMostOrder];
  for (unsigned i = 0; i < n; ++i) {
    Group& group = groups_[groups ? groups[i] : 0];
    if (order.first(i) > group.bound) continue;
    order.put(i, key);
    const RowPlace place{rows.piece().number, rows.row(i)};
    insert(group, key, std::span(&place, 1));
  }
}

void RankedRows::merge(State& other, std::span<const uint32_t> to) {
  auto& later = static_cast<RankedRows&>(other);
  for (uint32_t g = 0; g < to.size(); ++g)
    for (const Peers& peers : later.groups_[g].peers)
      insert(groups_[to[g]], peers.key.data(), peers.rows);
}

}  // namespace datahike::vector
