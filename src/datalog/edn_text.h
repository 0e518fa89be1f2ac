// The text forms of characters, instants, uuids and bytes, both ways.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace datahike::edn {

inline constexpr std::pair<std::string_view, char32_t> kNamedCharacters[] = {
    {"newline", '\n'}, {"space", ' '},     {"tab", '\t'},
    {"return", '\r'},  {"formfeed", '\f'}, {"backspace", '\b'}};

// Exactly these hexadecimal digits, at most eight.
std::optional<char32_t> hex_number(std::string_view digits);
std::optional<std::string> parse_hex(std::string_view text);  // pairs of digits
void append_hex(std::string& out, std::string_view bytes);

// The code point at `*at`, which moves behind it; nullopt: no valid UTF-8.
std::optional<char32_t> decode_utf8(std::string_view text, size_t* at);
void append_utf8(std::string& out, char32_t code);

// RFC 3339, of which anything behind the year may be missing, with up to six digits of a second's
// fraction: microseconds since 1970-01-01 UTC. Years of more than four digits have a sign.
// "infinity" and "-infinity" are the greatest and the least instant. Years -4713 .. 294246.
std::optional<int64_t> parse_instant(std::string_view text);
void append_instant(std::string& out, int64_t microseconds);

std::optional<std::string> parse_uuid_text(std::string_view text);  // 16 bytes
void append_uuid(std::string& out, std::string_view bytes);

}  // namespace datahike::edn
