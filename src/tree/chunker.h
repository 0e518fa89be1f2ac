// Where nodes end: cuts a sequence of entries into nodes by their content alone.
#pragma once

#include <cstdint>
#include <vector>

#include "tree/node.h"

namespace datahike::tree {

// Cuts the entries of one level into nodes and writes them. An entry ends its node if a hash of its
// key falls below a threshold that grows with the bytes the node has so far. So the cut after an
// entry depends on nothing but the entries since the cut before it: two sequences that share a cut
// and the entries after it share all further cuts, and sequences that differ in a few entries soon
// share a cut again.
class Chunker {
 public:
  Chunker(NodeSink& sink, uint8_t level) : sink_(sink) { open_.level = level; }
  void add(Entry entry);
  // True right behind a cut: what comes next starts a node.
  bool clean() const { return open_.entries.empty(); }
  // Ends the node that is open, if one is: the end of the sequence.
  void finish();
  // The nodes written, in order, as entries of the level above.
  std::vector<Entry>& nodes() { return nodes_; }

 private:
  NodeSink& sink_;
  Node open_;
  size_t bytes_ = 0;  // of the open node, as the cutting rule counts them
  std::vector<Entry> nodes_;
};

}  // namespace datahike::tree
