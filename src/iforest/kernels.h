// The inner loop of scoring, for every instruction set that the machine may have.
#pragma once

#include <cstddef>
#include <cstdint>

namespace datahike::iforest {

inline constexpr size_t kBlockRows = 256;  // scored at once
inline constexpr size_t kBlockStep = 64;   // kernels run over a multiple of it

// One split of a tree, in the order in which a stack machine computes the leaves of a block of rows
// from below: the operands are leaves, or what the steps before it have left on the stack.
struct Step {
  enum Operands : uint8_t { Leaves, LeafAndTop, TopAndLeaf, Two };
  uint16_t column = 0;    // of ranks
  int16_t threshold = 0;  // left if the rank is less
  int16_t left = 0, right = 0;
  Operands operands = Leaves;
};

struct Kernels {
  const char* name;
  // For each of `rows` rows (a multiple of kBlockStep) the leaf that it reaches, at stack[0 ..]. A
  // column of ranks and a place of the stack are kBlockRows long; the stack has `depth` + 1 places.
  void (*leaves)(const Step* steps, size_t count, const int16_t* ranks, size_t rows,
                 int16_t* stack);
};

const Kernels& kernels();
// All that this machine can run, for tests.
size_t kernel_targets();
const Kernels& kernels_of_target(size_t target);

}  // namespace datahike::iforest
