#include "versioning/merge_base.h"

#include <algorithm>
#include <map>

namespace datahike::versioning {

namespace {

class Builder {
 public:
  Builder(store::Ancestry& ancestry, MergeBase& base) : ancestry_(ancestry), base_(base) {}

  // Folded from the newest on, each with the merge bases that it has with those before it.
  int node_of(const std::vector<store::Uuid>& commits) {
    auto known = nodes_.find(commits);
    if (known != nodes_.end()) return known->second;
    int node = leaf(commits[0]);
    std::vector<store::Uuid> below;
    for (size_t i = 1; i < commits.size() && node != kNothingKnown; ++i) {
      below.clear();
      for (size_t j = 0; j < i; ++j)
        for (const store::Uuid& b : ancestry_.merge_bases(commits[j], commits[i]))
          below.push_back(b);
      int next = leaf(commits[i]);
      if (next == kNothingKnown) return remember(commits, kNothingKnown);
      int base = node_of(ancestry_.independent(below));
      node = add({-1, base, node, next});
    }
    return remember(commits, node);
  }

 private:
  int remember(const std::vector<store::Uuid>& commits, int node) { return nodes_[commits] = node; }
  int add(const MergeBase::Node& node) {
    if (base_.nodes == kMostBaseNodes) return kNothingKnown;
    base_.node[base_.nodes] = node;
    return base_.nodes++;
  }
  int leaf(const store::Uuid& commit) {
    store::Uuid* end = base_.commit + base_.commits;
    store::Uuid* at = std::find(base_.commit, end, commit);
    if (at == end && base_.commits == kMostBaseCommits) return kNothingKnown;
    if (at == end) base_.commit[base_.commits++] = commit;
    return add({static_cast<int>(at - base_.commit), 0, 0, 0});
  }

  store::Ancestry& ancestry_;
  MergeBase& base_;
  std::map<std::vector<store::Uuid>, int> nodes_;
};

}  // namespace

MergeBase base_of_commit(const store::Uuid& commit) {
  MergeBase base{};
  base.commits = base.nodes = 1;
  base.commit[0] = commit;
  return base;
}

MergeBase base_of_commits(store::Ancestry& ancestry, const std::vector<store::Uuid>& commits) {
  MergeBase base{};
  base.root = Builder(ancestry, base).node_of(commits);
  return base;
}

}  // namespace datahike::versioning
