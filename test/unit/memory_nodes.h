// Nodes kept in memory, for tests: counts reads and writes, and lets a test damage a node.
#pragma once

#include <map>
#include <string>

#include "tree/node.h"

namespace datahike::test {

class MemoryNodes : public tree::NodeSink {
 public:
  ByteView node(uint64_t id) override {
    ++reads;
    auto found = nodes.find(id);
    if (found == nodes.end()) throw CorruptError("node " + std::to_string(id) + ": missing");
    return found->second;
  }
  uint64_t put_node(ByteView bytes) override {
    uint64_t id = nodes.empty() ? 1 : nodes.rbegin()->first + 1;
    nodes[id] = Bytes(bytes.begin(), bytes.end());
    ++writes;
    return id;
  }

  std::map<uint64_t, Bytes> nodes;
  size_t reads = 0;
  size_t writes = 0;
};

}  // namespace datahike::test
