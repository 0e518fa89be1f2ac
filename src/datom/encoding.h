// Values as bytes whose order is the order of the values. The grammar is at the head of
// encoding.cpp.
#pragma once

#include "datom/value.h"

namespace datahike::datom {

// REQUIRES: not Nil. compare(encode(a), encode(b)) == compare(a, b) by bytes.
std::string encode(const Value& value);
// CorruptError where the bytes are no value.
Value decode(std::string_view bytes);

// What indexes hold of an encoded value: all of it up to kMostKey bytes, else its first
// kKeyPrefix bytes and the SHA-256 of all. Different values have different keys; keys order
// as values do, but for long ones that begin with the same kKeyPrefix bytes.
inline constexpr size_t kMostKey = 1000;
inline constexpr size_t kKeyPrefix = 969;  // with 32 bytes of hash 1001: longer than any whole key
std::string index_key(const std::string& encoded);
// Whether an index key is the whole encoded value.
inline bool is_whole(std::string_view key) { return key.size() <= kMostKey; }

// The least string of bytes that is greater than all with that prefix; nullopt: there is none.
std::optional<std::string> after_prefix(std::string prefix);

}  // namespace datahike::datom
