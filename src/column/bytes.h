// Reading and writing integers in byte strings, with bounds checks on the way in.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/error.h"

namespace datahike {

static_assert(std::endian::native == std::endian::little, "the store format is little-endian");

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

// Appends to a byte vector. Fixed-width integers are little-endian; varints are LEB128.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}
  template <class T>
  void fixed(T v) {
    static_assert(std::is_trivially_copyable_v<T>);
    size_t at = out_.size();
    out_.resize(at + sizeof v);
    std::memcpy(out_.data() + at, &v, sizeof v);
  }
  void varint(uint64_t v) {
    while (v >= 0x80) {
      out_.push_back(static_cast<uint8_t>(v | 0x80));
      v >>= 7;
    }
    out_.push_back(static_cast<uint8_t>(v));
  }
  void raw(ByteView b) { out_.insert(out_.end(), b.begin(), b.end()); }
  // A length as varint, then the bytes.
  void sized(ByteView b) {
    varint(b.size());
    raw(b);
  }
  void sized(std::string_view s) {
    sized(ByteView(reinterpret_cast<const uint8_t*>(s.data()), s.size()));
  }
  size_t size() const { return out_.size(); }

 private:
  Bytes& out_;
};

// Reads a byte string from front to back; throws CorruptError("<what>: truncated") past its end.
class ByteReader {
 public:
  ByteReader(ByteView in, const char* what) : in_(in), what_(what) {}
  template <class T>
  T fixed() {
    T v;
    std::memcpy(&v, take(sizeof v).data(), sizeof v);
    return v;
  }
  uint64_t varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      uint8_t b = take(1)[0];
      v |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (!(b & 0x80)) return v;
    }
    throw CorruptError(std::string(what_) + ": integer too long");
  }
  ByteView take(uint64_t n) {
    if (n > in_.size() - at_) throw CorruptError(std::string(what_) + ": truncated");
    ByteView r = in_.subspan(at_, n);
    at_ += n;
    return r;
  }
  ByteView sized() { return take(varint()); }
  std::string string() {
    ByteView b = sized();
    return std::string(reinterpret_cast<const char*>(b.data()), b.size());
  }
  size_t left() const { return in_.size() - at_; }
  size_t position() const { return at_; }

 private:
  ByteView in_;
  const char* what_;
  size_t at_ = 0;
};

// Big-endian integers, so that byte order is numeric order in keys.
inline void put_big_endian(uint8_t* p, uint64_t v) {
  for (int i = 7; i >= 0; --i, v >>= 8) p[i] = static_cast<uint8_t>(v);
}
inline uint64_t get_big_endian(const uint8_t* p) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = v << 8 | p[i];
  return v;
}

inline std::string_view as_string_view(ByteView b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}
inline ByteView as_bytes(std::string_view s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

}  // namespace datahike
