// Vectors that may become much larger than the processor's caches and are read at random: of huge
// pages then, where the system has such, so that what they need is found with fewer page tables.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace datahike::vector {

template <class T>
struct LargeAllocator {
  using value_type = T;
  static constexpr size_t kHugePage = size_t{2} << 20;
  static constexpr size_t kLarge = 2 * kHugePage;

  LargeAllocator() = default;
  template <class U>
  LargeAllocator(const LargeAllocator<U>&) {}

  T* allocate(size_t n) {
    if (n > SIZE_MAX / sizeof(T) - kHugePage) throw std::bad_alloc();
    const size_t bytes = n * sizeof(T);
    if (bytes < kLarge) return static_cast<T*>(::operator new(bytes));
    const size_t whole = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    void* memory = std::aligned_alloc(kHugePage, whole);
    if (!memory) throw std::bad_alloc();
    madvise(memory, whole, MADV_HUGEPAGE);  // refused: small pages do as well
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t n) {
    if (n * sizeof(T) < kLarge)
      ::operator delete(memory);
    else
      std::free(memory);
  }
  bool operator==(const LargeAllocator&) const = default;
};

template <class T>
using LargeVector = std::vector<T, LargeAllocator<T>>;

// Bytes of no value.
struct LargeFree {
  size_t bytes = 0;
  void operator()(uint8_t* memory) const { LargeAllocator<uint8_t>().deallocate(memory, bytes); }
};
using LargeBlock = std::unique_ptr<uint8_t[], LargeFree>;
inline LargeBlock make_large_block(size_t bytes) {
  return {LargeAllocator<uint8_t>().allocate(bytes), LargeFree{bytes}};
}

}  // namespace datahike::vector
