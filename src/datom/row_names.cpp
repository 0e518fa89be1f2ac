// row name = 0x10 ( 0x00 entity | 0x01 schema table { column } )
// entity   = 8 bytes, big-endian: the number of a row that there was not
// column   = name ( 0x00 | 0x01 value )
// schema, table, name, value = length text; length: 4 bytes, big-endian; text: UTF-8
// It stands where a value of type Ref stands, by itself or as an element of a tuple (encoding.cpp).
#include "datom/row_names.h"

#include "datom/encoding.h"

namespace datahike::datom {

namespace {

constexpr int kMostTuples = 16;  // as encoding.cpp

[[noreturn]] void corrupt() { throw CorruptError("datahike.facts: a value's bytes are damaged"); }

void put_number(std::string& out, uint64_t n, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(n >> (8 * i) & 0xff);
}

void put_text(std::string& out, const std::string& text) {
  put_number(out, text.size(), 4);
  out += text;
}

struct Bytes {
  std::string_view rest;
  std::string_view take(size_t n) {
    if (rest.size() < n) corrupt();
    const std::string_view taken = rest.substr(0, n);
    rest.remove_prefix(n);
    return taken;
  }
  uint64_t number(size_t bytes) {
    uint64_t n = 0;
    for (const char c : take(bytes)) n = n << 8 | static_cast<uint8_t>(c);
    return n;
  }
  std::string text() { return std::string(take(number(4))); }
};

// Calls `element` for each element of a tuple, encoded.
void each_element(std::string_view tuple, const std::function<void(const std::string&)>& element) {
  std::string inner;
  for (size_t i = 1; i < tuple.size(); ++i) {
    if (tuple[i] != '\0') {
      inner += tuple[i];
      continue;
    }
    if (++i == tuple.size()) corrupt();
    if (tuple[i] == '\xff') {
      inner += '\0';
      continue;
    }
    if (tuple[i] != '\x01' || inner.empty()) corrupt();
    element(inner);
    inner.clear();
  }
  if (!inner.empty()) corrupt();
}

bool is_reference(std::string_view encoded) {
  return !encoded.empty() && (encoded[0] == kRowName || encoded[0] == static_cast<char>(Type::Ref));
}

std::string replaced(std::string_view encoded, const Replace& replace, int depth) {
  if (depth > kMostTuples) corrupt();
  if (is_reference(encoded)) return replace(encoded);
  if (encoded.empty() || encoded[0] != static_cast<char>(Type::Tuple)) return std::string(encoded);
  std::string out(1, encoded[0]);
  each_element(encoded, [&](const std::string& element) {
    for (const char c : replaced(element, replace, depth + 1)) {
      out += c;
      if (c == '\0') out += '\xff';
    }
    out.append("\0\x01", 2);
  });
  return out;
}

template <class Test>
bool has_reference(std::string_view encoded, Test&& test) {
  bool found = false;
  replace_references(encoded, [&](std::string_view reference) {
    found = found || test(reference);
    return std::string();
  });
  return found;
}

}  // namespace

std::string encode_row_name(const RowName& name) {
  std::string out(1, kRowName);
  if (!name.is_known()) {
    out += '\0';
    put_number(out, static_cast<uint64_t>(name.entity), 8);
    return out;
  }
  out += '\x01';
  put_text(out, name.schema);
  put_text(out, name.table);
  for (const auto& [column, value] : name.key) {
    put_text(out, column);
    out += value ? '\x01' : '\0';
    if (value) put_text(out, *value);
  }
  return out;
}

RowName decode_row_name(std::string_view encoded) {
  Bytes bytes{encoded};
  if (bytes.take(1)[0] != kRowName) corrupt();
  RowName name;
  if (bytes.take(1)[0] == '\0') {
    name.entity = static_cast<int64_t>(bytes.number(8));
    if (!bytes.rest.empty()) corrupt();
    return name;
  }
  name.schema = bytes.text();
  name.table = bytes.text();
  if (!name.is_known()) corrupt();
  while (!bytes.rest.empty()) {
    auto& [column, value] = name.key.emplace_back();
    column = bytes.text();
    if (bytes.take(1)[0] != '\0') value = bytes.text();
  }
  return name;
}

std::string describe(const RowName& name) {
  if (!name.is_known()) return "a row that was gone";
  std::string columns, values;
  for (const auto& [column, value] : name.key) {
    if (!columns.empty()) columns += ", ", values += ", ";
    columns += column;
    values += value ? *value : "NULL";
  }
  if (values.size() > 200) {
    size_t end = 200;
    while (end > 0 && (values[end] & 0xc0) == 0x80) --end;  // whole characters
    values = values.substr(0, end) + "...";
  }
  return name.schema + "." + name.table + " with (" + columns + ") = (" + values + ")";
}

void refuse_row_name(std::string_view encoded) {
  throw FactError("55000",
                  "a restored fact refers to " + describe(decode_row_name(encoded)) +
                      ", which has not been looked up",
                  "When all tables are restored, SELECT datahike.relink_rows().");
}

bool refers_to_rows(std::string_view encoded) {
  return has_reference(encoded, [](std::string_view reference) {
    return reference[0] == kRowName || is_row(decode(reference).integer);
  });
}

bool has_row_names(std::string_view encoded) {
  return has_reference(encoded,
                       [](std::string_view reference) { return reference[0] == kRowName; });
}

std::string replace_references(std::string_view encoded, const Replace& replace) {
  return replaced(encoded, replace, 0);
}

bool may_be_row_name(const Value& value) {
  if (value.type == Type::Ref) return is_row(value.integer);
  for (const Value& element : value.elements)
    if (may_be_row_name(element)) return true;
  return false;
}

}  // namespace datahike::datom
