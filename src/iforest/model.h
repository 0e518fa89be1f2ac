// An isolation forest: random trees that separate rows from each other. Rows that few splits
// separate from all others are anomalies (Liu, Ting, Zhou 2008).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace datahike::iforest {

inline constexpr uint32_t kMostFeatures = 1000;
inline constexpr uint32_t kMostTrees = 10000;
inline constexpr uint32_t kMostSample = 65536;
inline constexpr uint32_t kMostGenerations = INT32_MAX;
inline constexpr unsigned kMostDepth = 16;  // of kMostSample rows

// A row goes left if and only if its value is less than the split, both as doubles; where it has no
// value (NULL or NaN), to the side that more training rows went to.
struct Node {
  int32_t feature = -1;  // -1: a leaf
  bool missing_left = false;
  uint32_t right = 0;  // of the tree's nodes; the left one is the next
  uint32_t size = 0;   // of a leaf: training rows in it
  double split = 0;
  bool operator==(const Node&) const = default;
};

struct Tree {
  uint32_t sample = 0;      // rows that it was grown from
  uint32_t generation = 0;  // the rotation that it was grown in; 0 = create_model()
  std::vector<Node> nodes;  // the first is the root
  bool operator==(const Tree&) const = default;
};

struct Model {
  std::vector<std::string> features;
  uint32_t sample_size = 0;  // as asked for
  uint64_t seed = 0;
  std::optional<double> contamination;
  uint32_t generation = 0;
  uint64_t grown = 0;          // trees ever grown, also those that rotations have replaced
  uint64_t training_rows = 0;  // that the query gave
  // Of the scores of the training rows.
  double least = 0, greatest = 1;
  double threshold = 0;     // if there is a contamination
  std::vector<Tree> trees;  // the oldest first
  bool operator==(const Model&) const = default;
};

}  // namespace datahike::iforest
