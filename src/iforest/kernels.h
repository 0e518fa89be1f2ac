// The inner loop of scoring, for every instruction set that the machine may have.
#pragma once

#include <cstddef>
#include <cstdint>

namespace datahike::iforest {

inline constexpr size_t kBlockStep = 128;  // kernels run over a multiple of so many rows

// One split of a tree, in the order in which a stack machine computes the leaves of a block of rows
// from below: the operands are leaves, or what the steps before it have left on the stack. Rank is
// int8_t or int16_t; leaves are numbered in it without a sign.
template <class Rank>
struct Step {
  enum Operands : uint8_t { Leaves, LeafAndTop, TopAndLeaf, Two };
  uint16_t column = 0;  // of ranks
  Rank threshold = 0;   // left if the rank is less
  Rank left = 0, right = 0;
  Operands operands = Leaves;
};

// A tree and a block of rows, aligned to 64 bytes.
template <class Rank>
struct Block {
  const Step<Rank>* steps;
  size_t count;
  const void* const* columns;  // of Rank
  size_t rows;                 // a multiple of kBlockStep
  size_t stride;               // from one place of the stack to the next
  Rank* stack;                 // the leaf that each row reaches is left in its first place
};

struct Kernels {
  const char* name;
  void (*bytes)(const Block<int8_t>& block);
  void (*words)(const Block<int16_t>& block);
  void operator()(const Block<int8_t>& block) const { bytes(block); }
  void operator()(const Block<int16_t>& block) const { words(block); }
};

const Kernels& kernels();
// All that this machine can run, for tests.
size_t kernel_targets();
const Kernels& kernels_of_target(size_t target);

}  // namespace datahike::iforest
