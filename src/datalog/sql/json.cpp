#include "datalog/sql/json.h"

#include <charconv>
#include <cmath>

#include "datalog/edn_text.h"

namespace datahike::query {

using edn::Kind;
using edn::Value;

namespace {

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00";
          edn::append_hex(out, std::string_view(&c, 1));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}
  Value value(uint32_t depth = 0) {
    if (depth > edn::kMostDepth)
      throw LimitError("values nest deeper than " + std::to_string(edn::kMostDepth) + " levels");
    skip();
    switch (text_[at_]) {
      case '{': {
        std::vector<edn::Entry> entries;
        for (++at_; !closed('}');) {
          Value key = Value::string(string());
          skip();
          ++at_;  // the colon
          entries.emplace_back(std::move(key), value(depth + 1));
        }
        return Value::map(std::move(entries));
      }
      case '[': {
        std::vector<Value> items;
        for (++at_; !closed(']');) items.push_back(value(depth + 1));
        return Value::vector(std::move(items));
      }
      case '"':
        return Value::string(string());
      case 't':
        at_ += 4;
        return Value::boolean(true);
      case 'f':
        at_ += 5;
        return Value::boolean(false);
      case 'n':
        at_ += 4;
        return Value();
      default:
        return number();
    }
  }

 private:
  void skip() {
    while (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r' ||
           text_[at_] == ',')
      ++at_;
  }
  bool closed(char c) {
    skip();
    if (text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::string string() {
    skip();
    std::string out;
    for (++at_; text_[at_] != '"'; ++at_) {
      if (text_[at_] != '\\') {
        out += text_[at_];
        continue;
      }
      switch (text_[++at_]) {
        case 'n':
          out += '\n';
          break;
        case 't':
          out += '\t';
          break;
        case 'r':
          out += '\r';
          break;
        case 'b':
          out += '\b';
          break;
        case 'f':
          out += '\f';
          break;
        case 'u': {
          char32_t code = *edn::hex_number(text_.substr(at_ + 1, 4));
          at_ += 4;
          if (code >= 0xd800 && code < 0xdc00) {
            char32_t low = *edn::hex_number(text_.substr(at_ + 3, 4));
            at_ += 6;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          }
          edn::append_utf8(out, code);
          break;
        }
        default:
          out += text_[at_];
      }
    }
    ++at_;
    return out;
  }

  Value number() {
    size_t end = at_;
    while (end < text_.size() &&
           std::string_view("+-.eE0123456789").find(text_[end]) != std::string_view::npos)
      ++end;
    std::string text(text_.substr(at_, end - at_));
    at_ = end;
    if (text.find_first_of(".eE") == std::string::npos) {
      int64_t i;
      auto read = std::from_chars(text.data(), text.data() + text.size(), i);
      return read.ec == std::errc() ? Value::integer(i) : Value::bigint(text);
    }
    Value exact = Value::bigdec(text);
    size_t digits = 0;
    for (char c : exact.text()) digits += c >= '0' && c <= '9';
    return digits <= 15 ? Value::real(exact.to_double()) : exact;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

void append_json(std::string& out, const Value& v) {
  switch (v.kind()) {
    case Kind::Nil:
      out += "null";
      return;
    case Kind::Boolean:
      out += v.as_boolean() ? "true" : "false";
      return;
    case Kind::Long:
    case Kind::BigInt:
    case Kind::BigDec:
      out += plain_text(v);
      return;
    case Kind::Double:
      if (std::isfinite(v.as_real()))
        out += plain_text(v);
      else
        append_quoted(out, plain_text(v));
      return;
    case Kind::List:
    case Kind::Vector:
    case Kind::Set: {
      out += '[';
      bool first = true;
      for (const Value& item : v.items()) {
        if (!std::exchange(first, false)) out += ", ";
        append_json(out, item);
      }
      out += ']';
      return;
    }
    case Kind::Map: {
      out += '{';
      bool first = true;
      for (const edn::Entry& e : v.entries()) {
        if (!std::exchange(first, false)) out += ", ";
        append_quoted(out, plain_text(e.first));
        out += ": ";
        append_json(out, e.second);
      }
      out += '}';
      return;
    }
    default:
      append_quoted(out, plain_text(v));
  }
}

std::string plain_text(const Value& v) {
  std::string out;
  switch (v.kind()) {
    case Kind::Nil:
      return "";
    case Kind::Boolean:
      return v.as_boolean() ? "true" : "false";
    case Kind::Long:
      return std::to_string(v.as_integer());
    case Kind::String:
    case Kind::Symbol:
    case Kind::BigInt:
    case Kind::BigDec:
      return v.text();
    case Kind::Keyword:
      return ":" + v.text();
    case Kind::Double: {
      if (std::isnan(v.as_real())) return "NaN";
      if (std::isinf(v.as_real())) return v.as_real() < 0 ? "-Infinity" : "Infinity";
      char text[64];
      auto end = std::to_chars(text, text + sizeof text, v.as_real()).ptr;
      return std::string(text, end);
    }
    case Kind::Char:
      edn::append_utf8(out, v.as_character());
      return out;
    case Kind::Instant:
      edn::append_instant(out, v.as_instant());
      return out;
    case Kind::Uuid:
      edn::append_uuid(out, v.text());
      return out;
    case Kind::Bytes:
      out = "\\x";
      edn::append_hex(out, v.text());
      return out;
    case Kind::Tagged:
      return edn::write(v);
    default:
      append_json(out, v);
      return out;
  }
}

Value value_of_json(std::string_view text) { return JsonReader(text).value(); }

}  // namespace datahike::query
