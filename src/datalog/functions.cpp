#include "datalog/functions.h"

#include <algorithm>
#include <unordered_map>

#include "datalog/arithmetic.h"

namespace datahike::datalog {

namespace {

using Arguments = std::span<const Value>;

Value truth(bool b) { return Value::boolean(b); }

template <class Holds>
Value chain(Arguments a, Holds holds) {
  for (size_t i = 1; i < a.size(); ++i)
    if (!holds(a[i - 1], a[i])) return truth(false);
  return truth(true);
}
template <class Step>
Value fold(Arguments a, Step step) {
  Value r = a[0];
  for (size_t i = 1; i < a.size(); ++i) r = step(r, a[i]);
  return r;
}

[[noreturn]] void mismatch(const char* wanted, const Value& v) {
  throw QueryError(kMismatch, std::string("expected ") + wanted + ", found a " + name_of(v.kind()) +
                                  ": " + edn::write(v).substr(0, 100));
}
const std::string& text_of(const Value& v) {
  if (!v.is(Kind::String)) mismatch("a string", v);
  return v.text();
}
int64_t integer_of(const Value& v) {
  if (!v.is(Kind::Long)) mismatch("a long", v);
  return v.as_integer();
}
int sign_of(const Value& v) {
  if (!v.is_number()) mismatch("a number", v);
  return v.compare(Value::integer(0));
}

template <char (*Change)(char)>
Value change_case(Arguments a) {
  std::string text = text_of(a[0]);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80)
      throw QueryError(kUnsupported, "upper-case and lower-case know ASCII only",
                       "Call PostgreSQL's upper or lower, which know the database's locale.");
    c = Change(c);
  }
  return Value::string(text);
}
char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Byte offset of the n-th character; npos: there are fewer.
size_t offset_of(const std::string& text, int64_t n) {
  size_t at = 0;
  for (; n > 0 && at < text.size(); --n) do
      ++at;
    while (at < text.size() && (text[at] & 0xc0) == 0x80);
  return n == 0 ? at : std::string::npos;
}

Value subs(Arguments a) {
  const std::string& text = text_of(a[0]);
  int64_t from = integer_of(a[1]);
  size_t begin = from < 0 ? std::string::npos : offset_of(text, from), end = text.size();
  if (a.size() == 3)
    end = integer_of(a[2]) < from ? std::string::npos : offset_of(text, integer_of(a[2]));
  if (begin == std::string::npos || end == std::string::npos)
    throw QueryError(kInvalid, "subs: index out of range in a string of " +
                                   std::to_string(text.size()) + " bytes");
  return Value::string(text.substr(begin, end - begin));
}

Value count(Arguments a) {
  const Value& v = a[0];
  size_t n = 0;
  switch (v.kind()) {
    case Kind::Nil:
      break;
    case Kind::String:
      for (char c : v.text()) n += (c & 0xc0) != 0x80;
      break;
    case Kind::List:
    case Kind::Vector:
    case Kind::Set:
      n = v.items().size();
      break;
    case Kind::Map:
      n = v.entries().size();
      break;
    default:
      mismatch("a string or a collection", v);
  }
  return Value::integer(static_cast<int64_t>(n));
}

Value get(Arguments a) {
  const Value* found = nullptr;
  const Value& from = a[0];
  if (from.is(Kind::Map))
    found = from.find(a[1]);
  else if (from.is(Kind::Set))
    found = from.contains(a[1]) ? &a[1] : nullptr;
  else if (from.is_sequence() && a[1].is(Kind::Long) && a[1].as_integer() >= 0 &&
           static_cast<size_t>(a[1].as_integer()) < from.items().size())
    found = &from.items()[static_cast<size_t>(a[1].as_integer())];
  return found ? *found : a.size() == 3 ? a[2] : Value();
}

Value contains(Arguments a) {
  if (a[0].is(Kind::Map)) return truth(a[0].find(a[1]));
  if (a[0].is(Kind::Set)) return truth(a[0].contains(a[1]));
  if (a[0].is_sequence())
    return truth(a[1].is(Kind::Long) && a[1].as_integer() >= 0 &&
                 static_cast<size_t>(a[1].as_integer()) < a[0].items().size());
  mismatch("a collection", a[0]);
}

Value str(Arguments a) {
  std::string text;
  for (const Value& v : a) {
    text += display(v);
    if (text.size() > edn::kMostSize) throw LimitError("str: the text is too long");
  }
  return Value::string(text);
}

Value range(Arguments a) {
  int64_t from = a.size() > 1 ? integer_of(a[0]) : 0, to = integer_of(a[a.size() > 1 ? 1 : 0]);
  int64_t step = a.size() > 2 ? integer_of(a[2]) : 1;
  if (step == 0) throw QueryError(kInvalid, "range: the step is zero");
  std::vector<Value> items;
  for (Value i = Value::integer(from); step > 0 ? i.as_integer() < to : i.as_integer() > to;
       i = add(i, Value::integer(step))) {
    if (items.size() >= 1000000) throw QueryError(kInvalid, "range: more than a million values");
    items.push_back(i);
  }
  return Value::vector(std::move(items));
}

Value name_part(const Value& v, bool name_space) {
  if (v.is(Kind::String) && !name_space) return v;
  if (!v.is(Kind::Keyword) && !v.is(Kind::Symbol)) mismatch("a keyword or symbol", v);
  std::string_view part = name_space ? v.name_space() : v.name();
  return name_space && part.empty() ? Value() : Value::string(std::string(part));
}

std::vector<Value> copied(Arguments a) { return {a.begin(), a.end()}; }
Value absolute(const Value& v) { return sign_of(v) < 0 ? subtract(Value::integer(0), v) : v; }
bool blank(const Value& v) {
  return v.is_nil() || text_of(v).find_first_not_of(" \t\r\n\f\v") == std::string::npos;
}
bool instants_ordered(const Value& a, const Value& b) {
  if (!a.is(Kind::Instant)) mismatch("an instant", a);
  if (!b.is(Kind::Instant)) mismatch("an instant", b);
  return a.as_instant() < b.as_instant();
}

const Function functions[] = {
    {"=", 1, -1, [](Arguments a) { return chain(a, [](auto& x, auto& y) { return x == y; }); }},
    {"==", 1, -1, [](Arguments a) { return chain(a, [](auto& x, auto& y) { return x == y; }); }},
    {"not=", 1, -1,
     [](Arguments a) {
       return truth(!chain(a, [](auto& x, auto& y) { return x == y; }).as_boolean());
     }},
    {"!=", 1, -1,
     [](Arguments a) {
       return truth(!chain(a, [](auto& x, auto& y) { return x == y; }).as_boolean());
     }},
    {"<", 1, -1,
     [](Arguments a) {
       return chain(a, [](auto& x, auto& y) { return compare_alike(x, y) < 0; });
     }},
    {">", 1, -1,
     [](Arguments a) {
       return chain(a, [](auto& x, auto& y) { return compare_alike(x, y) > 0; });
     }},
    {"<=", 1, -1,
     [](Arguments a) {
       return chain(a, [](auto& x, auto& y) { return compare_alike(x, y) <= 0; });
     }},
    {">=", 1, -1,
     [](Arguments a) {
       return chain(a, [](auto& x, auto& y) { return compare_alike(x, y) >= 0; });
     }},
    {"compare", 2, 2, [](Arguments a) { return Value::integer(a[0].compare(a[1])); }},
    {"before?", 2, 2, [](Arguments a) { return truth(instants_ordered(a[0], a[1])); }},
    {"after?", 2, 2, [](Arguments a) { return truth(instants_ordered(a[1], a[0])); }},
    {"+", 1, -1, [](Arguments a) { return fold(a, add); }},
    {"-", 1, -1,
     [](Arguments a) {
       return a.size() == 1 ? subtract(Value::integer(0), a[0]) : fold(a, subtract);
     }},
    {"*", 1, -1, [](Arguments a) { return fold(a, multiply); }},
    {"/", 1, -1,
     [](Arguments a) { return a.size() == 1 ? divide(Value::integer(1), a[0]) : fold(a, divide); }},
    {"quot", 2, 2, [](Arguments a) { return quotient(a[0], a[1]); }},
    {"rem", 2, 2, [](Arguments a) { return remainder(a[0], a[1]); }},
    {"mod", 2, 2, [](Arguments a) { return modulus(a[0], a[1]); }},
    {"inc", 1, 1, [](Arguments a) { return add(a[0], Value::integer(1)); }},
    {"dec", 1, 1, [](Arguments a) { return subtract(a[0], Value::integer(1)); }},
    {"abs", 1, 1, [](Arguments a) { return absolute(a[0]); }},
    {"max", 1, -1,
     [](Arguments a) {
       return fold(a,
                   [](const Value& x, const Value& y) { return compare_alike(x, y) < 0 ? y : x; });
     }},
    {"min", 1, -1,
     [](Arguments a) {
       return fold(a,
                   [](const Value& x, const Value& y) { return compare_alike(y, x) < 0 ? y : x; });
     }},
    {"zero?", 1, 1, [](Arguments a) { return truth(sign_of(a[0]) == 0); }},
    {"pos?", 1, 1, [](Arguments a) { return truth(sign_of(a[0]) > 0); }},
    {"neg?", 1, 1, [](Arguments a) { return truth(sign_of(a[0]) < 0); }},
    {"even?", 1, 1, [](Arguments a) { return truth(integer_of(a[0]) % 2 == 0); }},
    {"odd?", 1, 1, [](Arguments a) { return truth(integer_of(a[0]) % 2 != 0); }},
    {"ground", 1, 1, [](Arguments a) { return a[0]; }},
    {"identity", 1, 1, [](Arguments a) { return a[0]; }},
    {"not", 1, 1, [](Arguments a) { return truth(!a[0].is_true()); }},
    {"and", 1, -1,
     [](Arguments a) {
       return fold(a, [](const Value& x, const Value& y) { return x.is_true() ? y : x; });
     }},
    {"or", 1, -1,
     [](Arguments a) {
       return fold(a, [](const Value& x, const Value& y) { return x.is_true() ? x : y; });
     }},
    {"true?", 1, 1, [](Arguments a) { return truth(a[0].is(Kind::Boolean) && a[0].as_boolean()); }},
    {"false?", 1, 1,
     [](Arguments a) { return truth(a[0].is(Kind::Boolean) && !a[0].as_boolean()); }},
    {"nil?", 1, 1, [](Arguments a) { return truth(a[0].is_nil()); }},
    {"some?", 1, 1, [](Arguments a) { return truth(!a[0].is_nil()); }},
    {"string?", 1, 1, [](Arguments a) { return truth(a[0].is(Kind::String)); }},
    {"number?", 1, 1, [](Arguments a) { return truth(a[0].is_number()); }},
    {"keyword?", 1, 1, [](Arguments a) { return truth(a[0].is(Kind::Keyword)); }},
    {"tuple", 1, -1, [](Arguments a) { return Value::vector(copied(a)); }},
    {"untuple", 1, 1, [](Arguments a) { return a[0]; }},
    {"vector", 0, -1, [](Arguments a) { return Value::vector(copied(a)); }},
    {"list", 0, -1, [](Arguments a) { return Value::list(copied(a)); }},
    {"set", 1, 1,
     [](Arguments a) {
       if (!a[0].is_sequence() && !a[0].is(Kind::Set)) mismatch("a collection", a[0]);
       return Value::set(copied(a[0].items()));
     }},
    {"count", 1, 1, count},
    {"empty?", 1, 1, [](Arguments a) { return truth(count(a).as_integer() == 0); }},
    {"not-empty", 1, 1, [](Arguments a) { return count(a).as_integer() == 0 ? Value() : a[0]; }},
    {"get", 2, 3, get},
    {"nth", 2, 3, get},
    {"first", 1, 1,
     [](Arguments a) {
       if (a[0].is_nil()) return Value();
       if (!a[0].is_sequence()) mismatch("a list or vector", a[0]);
       return a[0].items().empty() ? Value() : a[0].items()[0];
     }},
    {"contains?", 2, 2, contains},
    {"range", 1, 3, range},
    {"str", 0, -1, str},
    {"subs", 2, 3, subs},
    {"name", 1, 1, [](Arguments a) { return name_part(a[0], false); }},
    {"namespace", 1, 1, [](Arguments a) { return name_part(a[0], true); }},
    {"keyword", 1, 2,
     [](Arguments a) {
       if (a.size() == 1 && a[0].is(Kind::Keyword)) return a[0];
       return Value::keyword(a.size() == 1 ? text_of(a[0]) : text_of(a[0]) + "/" + text_of(a[1]));
     }},
    {"upper-case", 1, 1, change_case<to_upper>},
    {"lower-case", 1, 1, change_case<to_lower>},
    {"starts-with?", 2, 2,
     [](Arguments a) { return truth(text_of(a[0]).starts_with(text_of(a[1]))); }},
    {"ends-with?", 2, 2, [](Arguments a) { return truth(text_of(a[0]).ends_with(text_of(a[1]))); }},
    {"includes?", 2, 2,
     [](Arguments a) { return truth(text_of(a[0]).find(text_of(a[1])) != std::string::npos); }},
    {"blank?", 1, 1, [](Arguments a) { return truth(blank(a[0])); }},
};

}  // namespace

const Function* find_function(const std::string& name) {
  static const std::unordered_map<std::string, const Function*> by_name = [] {
    std::unordered_map<std::string, const Function*> map;
    for (const Function& f : functions) map[f.name] = &f;
    return map;
  }();
  constexpr std::string_view prefixes[] = {"clojure.string/", "clojure.core/"};
  std::string_view bare = name;
  for (std::string_view prefix : prefixes)
    if (bare.starts_with(prefix) && bare.size() > prefix.size()) bare.remove_prefix(prefix.size());
  auto found = by_name.find(std::string(bare));
  return found == by_name.end() ? nullptr : found->second;
}

int compare_alike(const Value& a, const Value& b) {
  bool alike = a.kind() == b.kind() || (a.is_number() && b.is_number()) ||
               (a.is_sequence() && b.is_sequence());
  if (!alike)
    throw QueryError(kMismatch, std::string("a ") + name_of(a.kind()) + " and a " +
                                    name_of(b.kind()) +
                                    " have no order: " + edn::write(a).substr(0, 100) + " and " +
                                    edn::write(b).substr(0, 100));
  return a.compare(b);
}

std::string display(const Value& v) {
  switch (v.kind()) {
    case Kind::Nil:
      return "";
    case Kind::String:
      return v.text();
    case Kind::BigInt:
    case Kind::BigDec:
      return v.text();
    case Kind::Char: {
      std::string quoted = edn::write(v).substr(1);
      return quoted == "space" ? " " : quoted == "newline" ? "\n" : quoted == "tab" ? "\t" : quoted;
    }
    default:
      return edn::write(v);
  }
}

}  // namespace datahike::datalog
