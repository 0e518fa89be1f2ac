#include "datom/json.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace datahike::datom {

namespace {

constexpr int kMostJsonDepth = 400;

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  edn::Value read() {
    edn::Value v = value(0);
    skip_space();
    if (at_ != text_.size()) fail();
    return v;
  }

 private:
  [[noreturn]] void fail() const {
    throw ValueError("invalid JSON at byte " + std::to_string(at_));
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (at_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  bool take(char c) {
    skip_space();
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail();
  }
  void expect_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) fail();
    at_ += word.size();
  }

  edn::Value value(int depth) {
    if (depth > kMostJsonDepth) throw ValueError("JSON is nested too deeply");
    skip_space();
    switch (peek()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return edn::Value::string(string());
      case 't':
        expect_word("true");
        return edn::Value::boolean(true);
      case 'f':
        expect_word("false");
        return edn::Value::boolean(false);
      case 'n':
        expect_word("null");
        return {};
      default:
        return number();
    }
  }

  edn::Value object(int depth) {
    std::vector<edn::Entry> entries;
    expect('{');
    if (take('}')) return edn::Value::map({});
    do {
      skip_space();
      edn::Value key = edn::Value::string(string());
      expect(':');
      entries.emplace_back(std::move(key), value(depth + 1));
    } while (take(','));
    expect('}');
    return edn::Value::map(std::move(entries));
  }

  edn::Value array(int depth) {
    std::vector<edn::Value> items;
    expect('[');
    if (take(']')) return edn::Value::vector({});
    do items.push_back(value(depth + 1));
    while (take(','));
    expect(']');
    return edn::Value::vector(std::move(items));
  }

  edn::Value number() {
    const size_t from = at_;
    while (at_ < text_.size() &&
           std::string_view("+-.eE0123456789").find(text_[at_]) != std::string_view::npos)
      ++at_;
    const std::string_view digits = text_.substr(from, at_ - from);
    int64_t n;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (error == std::errc() && end == digits.data() + digits.size()) return edn::Value::integer(n);
    return edn::Value::bigdec(decimal_text(parse_decimal(digits)));
  }

  uint32_t hex4() {
    uint32_t code = 0;
    if (at_ + 4 > text_.size()) fail();
    auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, code, 16);
    if (error != std::errc() || end != text_.data() + at_ + 4) fail();
    at_ += 4;
    return code;
  }

  void put_code_point(uint32_t c, std::string& out) {
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += static_cast<char>(0xc0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
      out += static_cast<char>(0xe0 | c >> 12);
      out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (c & 0x3f));
    } else {
      out += static_cast<char>(0xf0 | c >> 18);
      out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
      out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (c & 0x3f));
    }
  }

  void escape(std::string& out) {
    const char c = peek();
    ++at_;
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (size_t i = kFrom.find(c); i != std::string_view::npos && c != '\0') {
      out += kTo[i];
      return;
    }
    if (c != 'u') fail();
    uint32_t code = hex4();
    if (code >= 0xd800 && code < 0xdc00) {
      expect_word("\\u");
      uint32_t low = hex4();
      if (low < 0xdc00 || low > 0xdfff) fail();
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    put_code_point(code, out);
  }

  std::string string() {
    std::string out;
    if (peek() != '"') fail();
    for (++at_; peek() != '"';) {
      if (at_ >= text_.size()) fail();
      if (peek() == '\\') {
        ++at_;
        escape(out);
      } else {
        out += text_[at_++];
      }
    }
    ++at_;
    return out;
  }

  std::string_view text_;
  size_t at_ = 0;
};

void write_real(double d, bool single, std::string& out) {
  if (!std::isfinite(d)) {
    out += std::isnan(d) ? "\"NaN\"" : d > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    return;
  }
  char text[64];
  auto end = single ? std::to_chars(text, text + sizeof text, static_cast<float>(d)).ptr
                    : std::to_chars(text, text + sizeof text, d).ptr;
  out.append(text, end);
}

// #inst "..." as EDN writes it, without the tag.
void write_instant(const Value& value, std::string& out) {
  std::string text = edn::write(to_edn(value));
  out += text.substr(text.find('"'));
}

}  // namespace

edn::Value read_json(std::string_view text) { return JsonReader(text).read(); }

void write_json_string(std::string_view text, std::string& out) {
  out += '"';
  for (char c : text) {
    if (static_cast<unsigned char>(c) < ' ') {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

void write_json(const Value& value, std::string& out) {
  switch (value.type) {
    case Type::Nil:
      out += "null";
      break;
    case Type::Boolean:
      out += value.integer ? "true" : "false";
      break;
    case Type::Long:
    case Type::Ref:
      out += std::to_string(value.integer);
      break;
    case Type::Float:
    case Type::Double:
      write_real(value.real, value.type == Type::Float, out);
      break;
    case Type::BigInt:
    case Type::BigDec:
      out += value.text;
      break;
    case Type::Instant:
      write_instant(value, out);
      break;
    case Type::Uuid: {
      std::string text = edn::write(to_edn(value));
      out += text.substr(text.find('"'));
      break;
    }
    case Type::Keyword:
      write_json_string(":" + value.text, out);
      break;
    case Type::Bytes: {
      out += "\"\\\\x";
      constexpr std::string_view kHex = "0123456789abcdef";
      for (char c : value.text) {
        out += kHex[static_cast<uint8_t>(c) >> 4];
        out += kHex[static_cast<uint8_t>(c) & 15];
      }
      out += '"';
      break;
    }
    case Type::String:
    case Type::Symbol:
      write_json_string(value.text, out);
      break;
    case Type::Tuple:
      out += '[';
      for (size_t i = 0; i < value.elements.size(); ++i) {
        if (i) out += ", ";
        write_json(value.elements[i], out);
      }
      out += ']';
      break;
  }
}

}  // namespace datahike::datom
