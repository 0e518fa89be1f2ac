// A random graph of commits in a store, and what is known of it by the plainest of walks.
#pragma once

#include <algorithm>
#include <iterator>

#include "fold_world.h"

namespace datahike::store::test {

// A random graph of commits, folded in batches of many sizes, and who its ancestors are according
// to the plainest of walks.
class Graph {
 public:
  explicit Graph(uint64_t seed) : random_(seed) {
    heads_.push_back(store_.root().id);
    ancestors_[store_.root().id] = {store_.root().id};
    tx_[store_.root().id] = 1;
  }

  uint64_t pick(uint64_t n) { return random_() % n; }
  Environment& env() { return store_.env(); }
  const std::vector<Uuid>& commits() const { return commits_; }
  const std::vector<Uuid>& heads() const { return heads_; }
  TestStore& store() { return store_; }
  uint64_t next_tx() const { return next_tx_; }
  uint64_t tx_of(const Uuid& commit) const { return tx_.at(commit); }

  void branch_from(const Uuid& commit) { heads_.push_back(commit); }
  void reset(size_t branch, const Uuid& commit) { heads_[branch] = commit; }

  // `further[i]`: the other parents of the i-th commit.
  void commit(size_t branch, const std::vector<std::vector<Uuid>>& further) {
    std::vector<Transaction> batch(further.size());
    std::vector<const Transaction*> entries;
    for (size_t i = 0; i < further.size(); ++i) {
      batch[i].branch = static_cast<uint32_t>(branch);
      batch[i].entry.xid = next_tx_ + i;
      batch[i].entry.extra_parents = further[i];
      entries.push_back(&batch[i]);
    }
    std::vector<Uuid> ids;
    store_.fold(heads_[branch], next_tx_, entries, &ids);
    for (size_t i = 0; i < ids.size(); ++i) {
      std::set<Uuid>& of = ancestors_[ids[i]];
      of = ancestors_.at(heads_[branch]);
      for (const Uuid& parent : further[i]) of.merge(std::set<Uuid>(ancestors_.at(parent)));
      of.insert(ids[i]);
      tx_[ids[i]] = next_tx_++;
      first_parent_[ids[i]] = heads_[branch];
      commits_.push_back(ids[i]);
      heads_[branch] = ids[i];
    }
  }

  void grow() {
    const size_t branch = pick(heads_.size());
    if (pick(8) == 0) return branch_from(commits_.empty() ? heads_[0] : any());
    if (pick(15) == 0 && !commits_.empty()) return reset(branch, any());
    static constexpr size_t kSizes[] = {1, 1, 2, 5, 30};
    std::vector<std::vector<Uuid>> further(kSizes[pick(std::size(kSizes))]);
    for (auto& parents : further)
      while (!commits_.empty() && pick(4) == 0)
        parents.push_back(pick(3) ? heads_[pick(heads_.size())] : any());
    commit(branch, further);
  }

  const Uuid& any() { return commits_[pick(commits_.size())]; }

  bool is_ancestor(const Uuid& a, const Uuid& of) { return ancestors_.at(of).contains(a); }
  // The oldest commit on the line of `head` that is `a` or has it among its ancestors.
  std::optional<Uuid> first_with(const Uuid& a, const Uuid& head) {
    std::optional<Uuid> first;
    for (Uuid at = head; is_ancestor(a, at); at = first_parent_.at(at)) {
      first = at;
      if (!first_parent_.contains(at)) break;
    }
    return first;
  }
  std::optional<Uuid> common_ancestor(const Uuid& a, const Uuid& b) {
    std::optional<Uuid> best;
    for (const Uuid& id : ancestors_.at(a))
      if (ancestors_.at(b).contains(id) && (!best || tx_.at(id) > tx_.at(*best))) best = id;
    return best;
  }
  std::vector<Uuid> merge_bases(const Uuid& a, const Uuid& b) {
    std::vector<Uuid> common, best;
    for (const Uuid& id : ancestors_.at(a))
      if (ancestors_.at(b).contains(id)) common.push_back(id);
    for (const Uuid& id : common)
      if (std::none_of(common.begin(), common.end(),
                       [&](const Uuid& x) { return x != id && is_ancestor(id, x); }))
        best.push_back(id);
    std::sort(best.begin(), best.end(),
              [this](const Uuid& x, const Uuid& y) { return tx_.at(x) > tx_.at(y); });
    return best;
  }

 private:
  std::mt19937_64 random_;
  TestStore store_;
  std::vector<Uuid> commits_;
  std::vector<Uuid> heads_;  // by branch
  std::map<Uuid, std::set<Uuid>> ancestors_;
  std::map<Uuid, uint64_t> tx_;
  std::map<Uuid, Uuid> first_parent_;
  uint64_t next_tx_ = 2;
};

}  // namespace datahike::store::test
