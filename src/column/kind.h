// How a value is represented, whatever its SQL type.
#pragma once

#include <cstdint>

namespace datahike::column {

// The numbers are part of the segment format and of commit hashes.
enum class Kind : uint8_t {
  Int8 = 1,     // 1 byte by value, sign-extended to 64 bits (also bool and "char")
  Int16 = 2,    // 2 bytes
  Int32 = 3,    // 4 bytes (int4, date, oid, float-free)
  Int64 = 4,    // 8 bytes (int8, timestamp, money, ...)
  Float32 = 5,  // IEEE single, its bit pattern in the low 32 bits
  Float64 = 6,  // IEEE double, its bit pattern
  Fixed = 7,    // `width` bytes by reference (uuid, interval, name, point, ...)
  Bytes = 8,    // any number of bytes (text, numeric, bytea, json, arrays, composites, ...)
};

constexpr bool is_integer(Kind kind) { return kind <= Kind::Int64; }

// A word is a value of up to 64 bits by value; the other kinds are byte strings.
constexpr bool is_word(Kind kind) { return kind <= Kind::Float64; }

// Bytes that a word of this kind needs.
constexpr unsigned word_bytes(Kind kind) {
  switch (kind) {
    case Kind::Int8:
      return 1;
    case Kind::Int16:
      return 2;
    case Kind::Int32:
    case Kind::Float32:
      return 4;
    default:
      return 8;
  }
}

// The one 64-bit form of a word: integers sign-extended, a single zero-extended.
constexpr uint64_t normalised(Kind kind, uint64_t bits) {
  switch (kind) {
    case Kind::Int8:
      return static_cast<uint64_t>(static_cast<int8_t>(bits));
    case Kind::Int16:
      return static_cast<uint64_t>(static_cast<int16_t>(bits));
    case Kind::Int32:
      return static_cast<uint64_t>(static_cast<int32_t>(bits));
    case Kind::Float32:
      return static_cast<uint32_t>(bits);
    default:
      return bits;
  }
}

}  // namespace datahike::column
