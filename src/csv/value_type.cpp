#include "csv/value_type.h"

#include <charconv>

namespace datahike::csv {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); i++) {
    const char c =
        text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    if (c != lower[i]) return false;
  }
  return true;
}

// Reads from the front of a field; what does not match leaves `ok` false.
struct Reader {
  std::string_view rest;
  bool ok = true;

  bool take(char c) {
    if (rest.empty() || rest.front() != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(char c) { ok = take(c) && ok; }
  size_t digits() {
    size_t n = 0;
    while (n < rest.size() && is_digit(rest[n])) n++;
    rest.remove_prefix(n);
    return n;
  }
  // `width` digits from `least` to `most`
  int number(size_t width, int least, int most) {
    int value = 0;
    for (size_t i = 0; i < width; i++) {
      if (rest.empty() || !is_digit(rest.front())) {
        ok = false;
        return least;
      }
      value = value * 10 + (rest.front() - '0');
      rest.remove_prefix(1);
    }
    ok = ok && value >= least && value <= most;
    return value;
  }
  bool done() const { return ok && rest.empty(); }
};

TypeSet number_types(std::string_view field) {
  if (equals_ignoring_case(field, "nan") || equals_ignoring_case(field, "infinity") ||
      equals_ignoring_case(field, "-infinity") || equals_ignoring_case(field, "inf") ||
      equals_ignoring_case(field, "-inf"))
    return set_of(ValueType::Double) | set_of(ValueType::Numeric);
  Reader reader{field};
  if (!reader.take('-')) reader.take('+');
  const std::string_view number = reader.rest;
  const size_t whole = reader.digits();
  if (whole > 1 && number.front() == '0') return 0;
  size_t fraction = 0;
  const bool point = reader.take('.');
  if (point) fraction = reader.digits();
  if (whole + fraction == 0) return 0;
  bool exponent = false;
  if (reader.take('e') || reader.take('E')) {
    exponent = true;
    if (!reader.take('-')) reader.take('+');
    const size_t digits = reader.digits();
    if (digits == 0 || digits > 3) return 0;  // numeric and double both take so many
  }
  if (!reader.done()) return 0;
  TypeSet types = set_of(ValueType::Numeric);
  double value;
  const std::string_view text = field.front() == '+' ? field.substr(1) : field;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  // Out of range for a double, above or below.
  const bool fits = read.ec == std::errc();
  // Leading zeros of a fraction ("0.000123") are no significant digits.
  size_t significant = 0;
  for (char c : number) {
    if (c == 'e' || c == 'E') break;
    if (is_digit(c) && (significant > 0 || c != '0')) significant++;
  }
  if (fits && significant <= 17 && (point || exponent || significant <= 15))
    types |= set_of(ValueType::Double);
  if (!point && !exponent) {
    int64_t integer;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), integer);
    if (parsed.ec == std::errc()) types |= set_of(ValueType::Bigint);
  }
  return types;
}

void read_date(Reader& reader) {
  const int year = reader.number(4, 1, 9999);
  reader.expect('-');
  const int month = reader.number(2, 1, 12);
  reader.expect('-');
  const int day = reader.number(2, 1, 31);
  if (!reader.ok) return;
  constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  reader.ok = day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

void read_time(Reader& reader) {
  reader.number(2, 0, 23);
  reader.expect(':');
  reader.number(2, 0, 59);
  if (!reader.take(':')) return;
  reader.number(2, 0, 59);
  // Microseconds: more digits would be rounded.
  if (reader.take('.')) {
    const size_t digits = reader.digits();
    reader.ok = reader.ok && digits >= 1 && digits <= 6;
  }
}

void read_offset(Reader& reader) {
  if (reader.take('Z') || reader.take('z')) return;
  if (!reader.take('+')) reader.expect('-');
  reader.number(2, 0, 15);
  if (reader.take(':') || !reader.rest.empty()) reader.number(2, 0, 59);
}

TypeSet time_types(std::string_view field) {
  Reader time{field};
  read_time(time);
  if (time.done()) return set_of(ValueType::Time);
  Reader reader{field};
  read_date(reader);
  if (!reader.ok) return 0;
  if (reader.done()) return set_of(ValueType::Date) | set_of(ValueType::Timestamp);
  if (!reader.take('T')) reader.expect(' ');
  read_time(reader);
  if (reader.done()) return set_of(ValueType::Timestamp);
  read_offset(reader);
  return reader.done() ? set_of(ValueType::TimestampTz) : 0;
}

bool is_uuid(std::string_view field) {
  if (field.size() != 36) return false;
  for (size_t i = 0; i < field.size(); i++) {
    const char c = field[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return false;
    } else if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F')) {
      return false;
    }
  }
  return true;
}

}  // namespace

TypeSet possible_types(std::string_view field) {
  TypeSet types = set_of(ValueType::Text);
  if (field.empty() || field.size() > 400) return types;
  if (equals_ignoring_case(field, "true") || equals_ignoring_case(field, "false"))
    return types | set_of(ValueType::Boolean);
  if (is_uuid(field)) return types | set_of(ValueType::Uuid);
  return types | number_types(field) | time_types(field);
}

ValueType narrowest(TypeSet types) {
  if (types == all_types) return ValueType::Text;
  for (int t = 0; t < value_types; t++)
    if (types & (1 << t)) return static_cast<ValueType>(t);
  return ValueType::Text;
}

const char* sql_name(ValueType type) {
  switch (type) {
    case ValueType::Boolean:
      return "boolean";
    case ValueType::Bigint:
      return "bigint";
    case ValueType::Double:
      return "double precision";
    case ValueType::Numeric:
      return "numeric";
    case ValueType::Date:
      return "date";
    case ValueType::Timestamp:
      return "timestamp";
    case ValueType::TimestampTz:
      return "timestamptz";
    case ValueType::Time:
      return "time";
    case ValueType::Uuid:
      return "uuid";
    case ValueType::Text:
      return "text";
  }
  return "text";
}

}  // namespace datahike::csv
