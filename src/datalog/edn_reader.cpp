// The reader. What Clojure's reader knows beyond the notation (ratios, radixes, metadata, reader
// macros) is refused by name; of it #:namespace{...} and ##Inf, ##-Inf, ##NaN are read.
//
// Tags that are read as values of their own: #inst, #uuid, #bytes "hexadecimal digits".
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>

#include "datalog/edn.h"
#include "datalog/edn_text.h"

namespace datahike::edn {

namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  // The next value; nullopt at the end of the text or before a closing delimiter.
  std::optional<Value> next() {
    for (;;) {
      skip_blank();
      if (at_ >= text_.size() || is_closing(text_[at_])) return std::nullopt;
      if (text_.substr(at_, 2) != "#_") return value();
      size_t begin = at_;
      at_ += 2;
      Deeper deeper(*this);
      if (!next()) fail("#_ has nothing to discard", begin);
    }
  }
  void expect_end() {
    skip_blank();
    if (at_ < text_.size()) fail(std::string("unexpected \"") + text_[at_] + "\"", at_);
  }
  size_t offset() const { return at_; }

 private:
  // Recursion of the reader itself, which a value that is never made does not bound.
  struct Deeper {
    explicit Deeper(Reader& r) : reader(r) {
      if (++r.depth_ > kMostDepth)
        throw LimitError("values nest deeper than " + std::to_string(kMostDepth) + " levels");
    }
    ~Deeper() { --reader.depth_; }
    Reader& reader;
  };

  [[noreturn]] void fail(std::string message, size_t offset) const {
    throw ReadError(std::move(message), offset);
  }
  static bool is_closing(char c) { return c == ')' || c == ']' || c == '}'; }
  static bool is_blank(char c) {
    return c == ' ' || c == ',' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
  }
  static bool ends_token(char c) {
    return is_blank(c) || is_closing(c) || (c && std::strchr("()[]{}\";", c));
  }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : 0; }

  void skip_blank() {
    while (at_ < text_.size()) {
      if (text_[at_] == ';') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (is_blank(text_[at_])) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string_view token() {
    size_t begin = at_;
    while (at_ < text_.size() && !ends_token(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Value value() {
    char c = text_[at_];
    switch (c) {
      case '"':
        return Value::string(string());
      case '\\':
        return character();
      case ':':
        return keyword();
      case '(':
        return Value::list(items(')'));
      case '[':
        return Value::vector(items(']'));
      case '{':
        return map("");
      case '#':
        return dispatch();
      case '^':
        fail("metadata is not read", at_);
      case '@':
      case '`':
      case '~':
        fail(std::string("\"") + c + "\" begins no value", at_);
      default:
        break;
    }
    if (is_digit(c) || ((c == '-' || c == '+') && is_digit(peek(1)))) return number();
    return symbol();
  }

  std::vector<Value> items(char closing) {
    Deeper deeper(*this);
    size_t begin = at_++;
    std::vector<Value> found;
    while (std::optional<Value> v = next()) found.push_back(std::move(*v));
    close(closing, begin);
    return found;
  }

  void close(char closing, size_t begin) {
    if (at_ >= text_.size())
      fail(std::string("\"") + text_[begin] + "\" is not closed by \"" + closing + "\"", begin);
    if (text_[at_] != closing)
      fail(std::string("\"") + text_[at_] + "\" does not close \"" + text_[begin] + "\"", at_);
    ++at_;
  }

  // Names without a namespace get the one that is given.
  Value map(std::string_view name_space) {
    size_t begin = at_;
    std::vector<Value> all = items('}');
    if (all.size() % 2) fail("a map has a key without a value", begin);
    std::vector<Entry> entries;
    for (size_t i = 0; i < all.size(); i += 2) {
      Value key = std::move(all[i]);
      if (!name_space.empty() && (key.is(Kind::Keyword) || key.is(Kind::Symbol)) &&
          key.name_space().empty()) {
        std::string full = std::string(name_space) + "/" + key.text();
        key = key.is(Kind::Keyword) ? Value::keyword(full) : Value::symbol(full);
      }
      entries.emplace_back(std::move(key), std::move(all[i + 1]));
    }
    size_t count = entries.size();
    Value made = Value::map(std::move(entries));
    if (made.entries().size() != count) fail("a map has a key twice", begin);
    return made;
  }

  Value dispatch() {
    size_t begin = at_;
    char c = peek(1);
    if (c == '{') {
      ++at_;
      std::vector<Value> all = items('}');
      size_t count = all.size();
      Value made = Value::set(std::move(all));
      if (made.items().size() != count) fail("a set has a value twice", begin);
      return made;
    }
    if (c == '#') return symbolic();
    if (c == ':') {
      at_ += 2;
      std::string_view name_space = token();
      skip_blank();
      if (name_space.empty() || peek() != '{')
        fail("#: is not followed by a namespace and a map", begin);
      return map(name_space);
    }
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
      fail("# begins neither a set nor a tag", begin);
    ++at_;
    std::string tag(token());
    Deeper deeper(*this);
    std::optional<Value> tagged = next();
    if (!tagged) fail("tag #" + tag + " has no value", begin);
    return with_tag(tag, std::move(*tagged), begin);
  }

  Value symbolic() {
    size_t begin = at_;
    at_ += 2;
    std::string_view name = token();
    if (name == "Inf") return Value::real(std::numeric_limits<double>::infinity());
    if (name == "-Inf") return Value::real(-std::numeric_limits<double>::infinity());
    if (name == "NaN") return Value::real(std::numeric_limits<double>::quiet_NaN());
    fail("unknown symbolic value ##" + std::string(name), begin);
  }

  Value with_tag(const std::string& tag, Value v, size_t begin) {
    bool known = tag == "inst" || tag == "uuid" || tag == "bytes";
    if (!known) return Value::tagged(tag, std::move(v));
    if (!v.is(Kind::String)) fail("#" + tag + " is not followed by a string", begin);
    if (tag == "inst") {
      if (auto t = parse_instant(v.text())) return Value::instant(*t);
    } else if (tag == "uuid") {
      if (auto u = parse_uuid_text(v.text())) return Value::uuid(*u);
    } else if (auto b = parse_hex(v.text())) {
      return Value::bytes(*b);
    }
    fail("#" + tag + " \"" + v.text().substr(0, 50) + "\" cannot be read", begin);
  }

  Value number() {
    size_t begin = at_;
    std::string text(token());
    std::string_view t = text;
    if (t[0] == '+' || t[0] == '-') t.remove_prefix(1);
    size_t whole = 0, i = 0;
    while (i < t.size() && is_digit(t[i])) ++i;
    whole = i;
    bool real = false;
    if (i < t.size() && t[i] == '.') {
      real = true;
      for (++i; i < t.size() && is_digit(t[i]);) ++i;
    }
    if (i < t.size() && (t[i] == 'e' || t[i] == 'E')) {
      real = true;
      ++i;
      if (i < t.size() && (t[i] == '+' || t[i] == '-')) ++i;
      size_t digits = i;
      while (i < t.size() && is_digit(t[i])) ++i;
      if (i == digits) fail("malformed number " + text.substr(0, 50), begin);
    }
    std::string suffix(t.substr(i));
    if (suffix.starts_with('/')) fail("ratios are not read: " + text.substr(0, 50), begin);
    bool bad = (whole > 1 && t[0] == '0') || (suffix == "N" && real) ||
               !(suffix.empty() || suffix == "N" || suffix == "M");
    if (bad) fail("malformed number " + text.substr(0, 50), begin);
    if (!suffix.empty()) text.pop_back();
    if (suffix == "M") return Value::bigdec(text);
    if (suffix == "N") return Value::bigint(text);
    if (real) return Value::real(std::strtod(text.c_str(), nullptr));
    errno = 0;
    long long i64 = std::strtoll(text.c_str(), nullptr, 10);
    return errno == ERANGE ? Value::bigint(text) : Value::integer(i64);
  }

  Value keyword() {
    size_t begin = at_++;
    std::string_view name = token();
    if (name.empty() || name[0] == ':' || name[0] == '/' || name.back() == '/')
      fail("malformed keyword :" + std::string(name.substr(0, 50)), begin);
    check_name(name, begin);
    return Value::keyword(std::string(name));
  }

  Value symbol() {
    size_t begin = at_;
    std::string_view name = token();
    if (name == "nil") return Value();
    if (name == "true") return Value::boolean(true);
    if (name == "false") return Value::boolean(false);
    if (name.empty()) fail("no value begins here", begin);
    if (name != "/" && (name[0] == '/' || name.back() == '/'))
      fail("malformed symbol " + std::string(name.substr(0, 50)), begin);
    check_name(name, begin);
    return Value::symbol(std::string(name));
  }

  void check_name(std::string_view name, size_t begin) {
    for (size_t i = 0; i < name.size(); ++i) {
      auto c = static_cast<unsigned char>(name[i]);
      if (c < 0x21 || c == 0x7f || c == '\\' || c == '@' || c == '^' || c == '`' || c == '~')
        fail("unexpected character in a name", begin + i);
    }
  }

  Value character() {
    size_t begin = at_++;
    if (at_ >= text_.size()) fail("\\ is not followed by a character", begin);
    size_t first = at_;
    std::optional<char32_t> c = decode_utf8(text_, &at_);
    if (!c) fail("invalid UTF-8", first);
    if (*c <= 0x20) fail("\\ is not followed by a character", begin);
    while (at_ < text_.size() && !ends_token(text_[at_])) ++at_;
    std::string_view name = text_.substr(first, at_ - first);
    size_t end = 0;
    decode_utf8(name, &end);
    if (end == name.size()) return Value::character(*c);
    for (const auto& [named, character] : kNamedCharacters)
      if (name == named) return Value::character(character);
    if (name[0] == 'u' && name.size() == 5)
      if (auto code = hex_number(name.substr(1));
          code && *code && (*code < 0xd800 || *code > 0xdfff))
        return Value::character(*code);
    fail("unknown character \\" + std::string(name.substr(0, 50)), begin);
  }

  std::string string() {
    size_t begin = at_++;
    std::string out;
    for (;;) {
      if (at_ >= text_.size()) fail("a string is not closed", begin);
      char c = text_[at_++];
      if (c == '"') return out;
      if (c == 0) fail("a string holds a null character", at_ - 1);
      if (c == '\\')
        escape(out);
      else
        out += c;
    }
  }

  void escape(std::string& out) {
    size_t begin = at_ - 1;
    char c = peek();
    ++at_;
    switch (c) {
      case 't':
        out += '\t';
        return;
      case 'r':
        out += '\r';
        return;
      case 'n':
        out += '\n';
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case '\\':
      case '"':
        out += c;
        return;
      case 'u':
        break;
      default:
        fail("unknown escape in a string", begin);
    }
    auto unit = [&]() -> std::optional<char32_t> {
      auto code = at_ + 4 <= text_.size() ? hex_number(text_.substr(at_, 4)) : std::nullopt;
      at_ += 4;
      return code;
    };
    std::optional<char32_t> code = unit();
    if (code && *code >= 0xd800 && *code < 0xdc00 && peek() == '\\' && peek(1) == 'u') {
      at_ += 2;
      std::optional<char32_t> low = unit();
      if (low && *low >= 0xdc00 && *low < 0xe000)
        code = 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
    }
    if (!code || *code == 0 || (*code >= 0xd800 && *code < 0xe000))
      fail("malformed \\u in a string", begin);
    append_utf8(out, *code);
  }

  std::string_view text_;
  size_t at_ = 0;
  uint32_t depth_ = 0;
};

}  // namespace

std::vector<Value> read_all(std::string_view text) {
  Reader reader(text);
  std::vector<Value> all;
  while (std::optional<Value> v = reader.next()) all.push_back(std::move(*v));
  reader.expect_end();
  return all;
}

Value read(std::string_view text) {
  Reader reader(text);
  std::optional<Value> v = reader.next();
  if (!v) {
    reader.expect_end();
    throw ReadError("there is no value", reader.offset());
  }
  if (size_t second = reader.offset(); reader.next())
    throw ReadError("there is more than one value", second);
  reader.expect_end();
  return *v;
}

}  // namespace datahike::edn
