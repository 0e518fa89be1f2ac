// Nodes in this process's memory: for trees that nobody else reads.
#pragma once

#include <string>
#include <vector>

#include "tree/node.h"

namespace datahike::tree {

class MemoryNodes : public NodeSink {
 public:
  ByteView node(uint64_t id) override {
    if (id == 0 || id > nodes_.size())
      throw CorruptError("node " + std::to_string(id) + " in memory: missing");
    return nodes_[id - 1];
  }
  uint64_t put_node(ByteView bytes) override {
    nodes_.emplace_back(bytes.begin(), bytes.end());
    return nodes_.size();
  }

 private:
  std::vector<Bytes> nodes_;  // node n is at n - 1
};

}  // namespace datahike::tree
