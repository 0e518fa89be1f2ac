#include <charconv>
#include <cmath>

#include "datalog/edn.h"
#include "datalog/edn_text.h"

namespace datahike::edn {

namespace {

void write_real(double d, std::string& out) {
  if (std::isnan(d)) {
    out += "##NaN";
  } else if (std::isinf(d)) {
    out += d < 0 ? "##-Inf" : "##Inf";
  } else {
    char text[64];
    std::string_view shortest(text, std::to_chars(text, text + sizeof text, d).ptr - text);
    out += shortest;
    if (shortest.find_first_of(".e") == shortest.npos) out += ".0";
  }
}

void write_string(std::string_view text, std::string& out) {
  out += '"';
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        out += c;
    }
  }
  out += '"';
}

void write_character(char32_t c, std::string& out) {
  out += '\\';
  for (const auto& [name, character] : kNamedCharacters)
    if (c == character) {
      out += name;
      return;
    }
  if (c > 0x20 && c != 0x7f) {
    append_utf8(out, c);
    return;
  }
  out += "u00";
  append_hex(out, std::string(1, static_cast<char>(c)));
}

void write_items(std::string_view open, std::span<const Value> items, char close,
                 std::string& out) {
  out += open;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) out += ' ';
    write(items[i], out);
  }
  out += close;
}

}  // namespace

void write(const Value& v, std::string& out) {
  switch (v.kind()) {
    case Kind::Nil:
      out += "nil";
      return;
    case Kind::Boolean:
      out += v.as_boolean() ? "true" : "false";
      return;
    case Kind::Long:
      out += std::to_string(v.as_integer());
      return;
    case Kind::BigInt:
      (out += v.text()) += 'N';
      return;
    case Kind::Double:
      return write_real(v.as_real(), out);
    case Kind::BigDec:
      (out += v.text()) += 'M';
      return;
    case Kind::Char:
      return write_character(v.as_character(), out);
    case Kind::String:
      return write_string(v.text(), out);
    case Kind::Symbol:
      out += v.text();
      return;
    case Kind::Keyword:
      (out += ':') += v.text();
      return;
    case Kind::Instant:
      out += "#inst \"";
      append_instant(out, v.as_instant());
      out += '"';
      return;
    case Kind::Uuid:
      out += "#uuid \"";
      append_uuid(out, v.text());
      out += '"';
      return;
    case Kind::Bytes:
      out += "#bytes \"";
      append_hex(out, v.text());
      out += '"';
      return;
    case Kind::List:
      return write_items("(", v.items(), ')', out);
    case Kind::Vector:
      return write_items("[", v.items(), ']', out);
    case Kind::Set:
      return write_items("#{", v.items(), '}', out);
    case Kind::Map: {
      out += '{';
      bool first = true;
      for (const Entry& e : v.entries()) {
        if (!std::exchange(first, false)) out += ", ";
        write(e.first, out);
        out += ' ';
        write(e.second, out);
      }
      out += '}';
      return;
    }
    case Kind::Tagged:
      ((out += '#') += v.text()) += ' ';
      return write(v.tagged_value(), out);
  }
}

std::string write(const Value& value) {
  std::string out;
  write(value, out);
  return out;
}

}  // namespace datahike::edn
