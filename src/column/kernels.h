// Loops over vectors of words, compiled for each instruction set by Highway and chosen at run time.
// Masks hold one bit for each row, lowest first; those that test values clear the bits of rows that
// fail, whatever they were, and leave the others. Vectors are aligned to 64 bytes and may be read
// and written up to the next multiple of 8 values.
#pragma once

#include <cstddef>
#include <cstdint>

#include "column/bytes.h"

namespace datahike::column {

// An interval of doubles in PostgreSQL's order: NaN equals itself and is above all others, and -0
// equals 0. An absent bound admits everything, NaN included.
struct FloatRange {
  bool has_low = false, has_high = false, low_open = false, high_open = false;
  double low = 0, high = 0;
};

struct Kernels {
  void (*test_range)(const int64_t* v, size_t n, int64_t low, int64_t high, uint64_t* mask);
  void (*test_not_equal)(const int64_t* v, size_t n, int64_t value, uint64_t* mask);
  // REQUIRES: no bound is NaN.
  void (*test_float_range)(const double* v, size_t n, const FloatRange& range, uint64_t* mask);
  void (*test_float_not_equal)(const double* v, size_t n, double value, uint64_t* mask);
  // Values first, first + 1, ... of `packed`, each of `width` bits (at most 57), plus base.
  // REQUIRES: 8 bytes may be read from the first byte of each.
  void (*unpack)(const uint8_t* packed, uint64_t first, unsigned width, uint64_t base, size_t n,
                 uint64_t* out);
  // Where `needle` first occurs in n bytes; nullptr: nowhere. REQUIRES: needle_bytes > 0.
  const uint8_t* (*find)(const uint8_t* bytes, size_t n, const uint8_t* needle,
                         size_t needle_bytes);
  size_t (*count_bits)(const uint64_t* mask, size_t words);
  // Bytes that do not continue a character of UTF-8.
  size_t (*count_characters)(const uint8_t* bytes, size_t n);
  void (*gather)(const uint64_t* v, const uint16_t* rows, size_t n, uint64_t* out);

  // Integer arithmetic; false if a result does not fit in `bytes` bytes (2, 4 or 8). For 2 and 4
  // the operands fit in `bytes`, too.
  bool (*add)(const int64_t* a, const int64_t* b, size_t n, unsigned bytes, int64_t* out);
  bool (*subtract)(const int64_t* a, const int64_t* b, size_t n, unsigned bytes, int64_t* out);
  bool (*multiply)(const int64_t* a, const int64_t* b, size_t n, unsigned bytes, int64_t* out);
  // Of doubles. They return whether all results are finite (and, of products, not 0), so that the
  // caller looks at the operands only then.
  bool (*add_float)(const double* a, const double* b, size_t n, double* out);
  bool (*subtract_float)(const double* a, const double* b, size_t n, double* out);
  bool (*multiply_float)(const double* a, const double* b, size_t n, double* out);
  void (*to_float)(const int64_t* v, size_t n, double* out);
  // Each as a double, divided; `out` may be where `v` is.
  void (*to_fraction)(const int64_t* v, size_t n, double divisor, double* out);

  int64_t (*sum)(const int64_t* v, size_t n);  // modulo 2^64
  int64_t (*min)(const int64_t* v, size_t n, int64_t start);
  int64_t (*max)(const int64_t* v, size_t n, int64_t start);

  // place * stride + (value - low); false if some value is not among the `width` ones from low on.
  bool (*places)(const uint64_t* v, size_t n, uint64_t low, uint32_t width, uint32_t stride,
                 uint32_t* place);
  // The same with `width` for values that are not among them.
  void (*places_or_none)(const uint64_t* v, size_t n, uint64_t low, uint32_t width, uint32_t stride,
                         uint32_t* place);
};

// Those of the best instruction set that this machine has.
const Kernels& kernels();
// All that this machine can run, for tests.
size_t kernel_targets();
const Kernels& kernels_of_target(size_t target);

// The rows whose bit is set, ascending; returns how many. `rows` has room for 64 per word.
size_t select_rows(const uint64_t* mask, size_t words, uint16_t* rows);

}  // namespace datahike::column
