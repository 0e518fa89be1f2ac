#include "datalog/edn_text.h"

#include <cstdio>
#include <limits>

namespace datahike::edn {

namespace {

constexpr int64_t kDay = 86400000000;

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back: Howard Hinnant,
// "chrono-compatible low-level date algorithms".
int64_t days_from_civil(int64_t y, int64_t m, int64_t d) {
  y -= m <= 2;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t year_of_era = y - era * 400;
  int64_t day_of_year = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

struct Date {
  int64_t year, month, day;
};
Date civil_from_days(int64_t z) {
  z += 719468;
  int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  int64_t day_of_era = z - era * 146097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t mp = (5 * day_of_year + 2) / 153;
  int64_t month = mp < 10 ? mp + 3 : mp - 9;
  return {year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * mp + 2) / 5 + 1};
}

bool is_leap(int64_t y) { return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0); }
int days_in(int64_t y, int64_t m) {
  constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return days[m - 1] + (m == 2 && is_leap(y));
}

// Takes numbers and punctuation off the front of a text.
struct Scanner {
  std::string_view text;
  bool failed = false;
  bool take(char c) {
    if (text.empty() || text[0] != c) return false;
    text.remove_prefix(1);
    return true;
  }
  int64_t number(size_t least, size_t most) {
    int64_t n = 0;
    size_t digits = 0;
    while (digits < most && !text.empty() && text[0] >= '0' && text[0] <= '9') {
      n = n * 10 + (text[0] - '0');
      text.remove_prefix(1);
      ++digits;
    }
    failed |= digits < least;
    return n;
  }
  int64_t number(size_t digits, int64_t low, int64_t high) {
    int64_t n = number(digits, digits);
    failed |= n < low || n > high;
    return n;
  }
};

}  // namespace

std::optional<char32_t> hex_number(std::string_view digits) {
  char32_t n = 0;
  for (char c : digits) {
    int d = digit_of(c);
    if (d < 0) return std::nullopt;
    n = n * 16 + static_cast<char32_t>(d);
  }
  return n;
}

std::optional<std::string> parse_hex(std::string_view text) {
  if (text.size() % 2) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    auto byte = hex_number(text.substr(i, 2));
    if (!byte) return std::nullopt;
    bytes += static_cast<char>(*byte);
  }
  return bytes;
}

void append_hex(std::string& out, std::string_view bytes) {
  for (char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[c & 15];
  }
}

std::optional<char32_t> decode_utf8(std::string_view text, size_t* at) {
  auto byte = [&](size_t i) -> uint32_t {
    return *at + i < text.size() ? static_cast<unsigned char>(text[*at + i]) : 0;
  };
  uint32_t first = byte(0);
  size_t length = first < 0x80   ? 1
                  : first < 0xc2 ? 0
                  : first < 0xe0 ? 2
                  : first < 0xf0 ? 3
                  : first < 0xf5 ? 4
                                 : 0;
  if (length == 0 || *at >= text.size()) return std::nullopt;
  uint32_t code = length == 1 ? first : first & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return std::nullopt;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
    return std::nullopt;
  *at += length;
  return code;
}

void append_utf8(std::string& out, char32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

std::optional<int64_t> parse_instant(std::string_view text) {
  if (text == "infinity") return std::numeric_limits<int64_t>::max();
  if (text == "-infinity") return std::numeric_limits<int64_t>::min();
  Scanner s{text};
  bool negative = s.take('-'), signed_year = negative || s.take('+');
  int64_t year = s.number(4, signed_year ? 6 : 4);
  if (negative) year = -year;
  int64_t month = 1, day = 1, of_day = 0, zone = 0;
  if (s.take('-')) month = s.number(2, 1, 12);
  if (s.failed) return std::nullopt;
  if (s.take('-')) day = s.number(2, 1, days_in(year, month));
  if (s.take('T')) {
    of_day = s.number(2, 0, 23) * 3600000000;
    if (s.take(':')) of_day += s.number(2, 0, 59) * 60000000;
    if (s.take(':')) {
      of_day += s.number(2, 0, 59) * 1000000;
      if (s.take('.')) {
        size_t before = s.text.size();
        int64_t fraction = s.number(1, 6);
        for (size_t digits = before - s.text.size(); digits < 6; ++digits) fraction *= 10;
        of_day += fraction;
        while (!s.text.empty() && s.text[0] == '0') s.text.remove_prefix(1);  // of nanoseconds
      }
    }
    bool east = s.take('+');
    if (east || s.take('-')) {
      zone = s.number(2, 0, 23) * 60;
      if (!s.take(':')) return std::nullopt;
      zone = (zone + s.number(2, 0, 59)) * (east ? 60000000 : -60000000);
    } else {
      s.take('Z');
    }
  }
  if (s.failed || !s.text.empty() || year < -4713 || year > 294246) return std::nullopt;
  return days_from_civil(year, month, day) * kDay + of_day - zone;
}

void append_instant(std::string& out, int64_t t) {
  if (t == std::numeric_limits<int64_t>::max() || t == std::numeric_limits<int64_t>::min()) {
    out += t > 0 ? "infinity" : "-infinity";
    return;
  }
  int64_t days = t / kDay - (t % kDay < 0), of_day = t - days * kDay;
  Date date = civil_from_days(days);
  const char* sign = date.year < 0 ? "-" : date.year > 9999 ? "+" : "";
  char text[80];
  int64_t second = of_day / 1000000, fraction = of_day % 1000000;
  std::snprintf(text, sizeof text, "%s%04lld-%02lld-%02lldT%02lld:%02lld:%02lld", sign,
                static_cast<long long>(date.year < 0 ? -date.year : date.year),
                static_cast<long long>(date.month), static_cast<long long>(date.day),
                static_cast<long long>(second / 3600), static_cast<long long>(second / 60 % 60),
                static_cast<long long>(second % 60));
  out += text;
  if (fraction % 1000)
    std::snprintf(text, sizeof text, ".%06lld-00:00", static_cast<long long>(fraction));
  else
    std::snprintf(text, sizeof text, ".%03lld-00:00", static_cast<long long>(fraction / 1000));
  out += text;
}

std::optional<std::string> parse_uuid_text(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash != (text[i] == '-')) return std::nullopt;
    if (!dash) digits += text[i];
  }
  return parse_hex(digits);
}

void append_uuid(std::string& out, std::string_view bytes) {
  for (auto [from, count] : {std::pair<size_t, size_t>{0, 4}, {4, 2}, {6, 2}, {8, 2}, {10, 6}}) {
    if (from) out += '-';
    append_hex(out, bytes.substr(from, count));
  }
}

}  // namespace datahike::edn
