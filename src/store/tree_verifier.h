// Checks trees of nodes against the hashes that name them.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/environment.h"
#include "tree/node.h"

namespace datahike::store {

// Remembers what it has seen, so that trees which share nodes cost no more than their nodes.
class TreeVerifier {
 public:
  TreeVerifier(Environment& env, const std::function<void()>& pause) : env_(env), pause_(pause) {}
  // Checks every node below the ref that has not been met yet. Appends what is wrong.
  void check(const tree::NodeRef& root, std::vector<std::string>& problems);
  // Checks the checksums of nodes that no tree checked so far has.
  void check_others(const std::function<void(const std::string&)>& report);

 private:
  struct Pending {
    tree::NodeRef ref;
    int level;  // that it must have; -1 = any
  };
  // Checks one node and adds its children to `pending`.
  void check_node(const Pending& node, std::vector<Pending>& pending);

  Environment& env_;
  const std::function<void()>& pause_;
  std::unordered_map<uint64_t, uint64_t> seen_;  // by id: the first bytes of its hash
};

}  // namespace datahike::store
