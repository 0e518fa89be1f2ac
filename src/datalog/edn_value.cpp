#include <algorithm>
#include <compare>
#include <cstring>

#include "datalog/edn_node.h"

namespace datahike::edn {

namespace {

int sign(auto order) { return order < 0 ? -1 : order > 0 ? 1 : 0; }
int compare_integers(int64_t a, int64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

// Kinds whose values can be equal have the same rank.
int rank(Kind kind) {
  switch (kind) {
    case Kind::Nil:
      return 0;
    case Kind::Boolean:
      return 1;
    case Kind::Long:
    case Kind::BigInt:
    case Kind::Double:
    case Kind::BigDec:
      return 2;
    case Kind::Char:
      return 3;
    case Kind::String:
      return 4;
    case Kind::Symbol:
      return 5;
    case Kind::Keyword:
      return 6;
    case Kind::Instant:
      return 7;
    case Kind::Uuid:
      return 8;
    case Kind::Bytes:
      return 9;
    case Kind::List:
    case Kind::Vector:
      return 10;
    case Kind::Set:
      return 11;
    case Kind::Map:
      return 12;
    case Kind::Tagged:
      return 13;
  }
  return 14;
}

int compare_items(std::span<const Value> a, std::span<const Value> b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i)
    if (int c = a[i].compare(b[i])) return c;
  return sign(a.size() <=> b.size());
}

int compare_entries(std::span<const Entry> a, std::span<const Entry> b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (int c = a[i].first.compare(b[i].first)) return c;
    if (int c = a[i].second.compare(b[i].second)) return c;
  }
  return sign(a.size() <=> b.size());
}

thread_local size_t in_nodes = 0;

// The same from when a value gets the node to when it goes.
size_t bytes_of(const Node& n) {
  constexpr size_t kInline = 15;  // bytes of text that need no memory of their own
  return sizeof(Node) + (n.text.capacity() > kInline ? n.text.capacity() : 0) +
         n.items.capacity() * sizeof(Value) + n.entries.capacity() * sizeof(Entry);
}

bool before(const Entry& a, const Entry& b) { return a.first < b.first; }

void check_size(size_t size) {
  if (size > kMostSize)
    throw LimitError("a value has more than " + std::to_string(kMostSize) +
                     " items and bytes of text");
}

Node* text_node(std::string text) {
  check_size(text.size());
  auto* node = new Node;
  node->size = text.size();
  node->text = std::move(text);
  return node;
}

Node* items_node(std::vector<Value> items, auto size_of) {
  size_t size = 0;
  for (const Value& item : items) check_size(size += 1 + size_of(item));
  auto* node = new Node;
  node->size = size;
  node->items = std::move(items);
  return node;
}

Node* entries_node(std::vector<Entry> entries, auto size_of) {
  size_t size = 0;
  for (const Entry& e : entries) check_size(size += 2 + size_of(e.first) + size_of(e.second));
  auto* node = new Node;
  node->size = size;
  node->entries = std::move(entries);
  return node;
}

Node* deeper(Node* node, uint32_t depth) {
  if (depth >= kMostDepth) {
    delete node;
    throw LimitError("values nest deeper than " + std::to_string(kMostDepth) + " levels");
  }
  node->depth = depth + 1;
  return node;
}

}  // namespace

size_t bytes_in_nodes() { return in_nodes; }

const char* name_of(Kind kind) {
  constexpr const char* names[] = {"nil",   "boolean", "long",   "bigint",  "double",  "bigdec",
                                   "char",  "string",  "symbol", "keyword", "instant", "uuid",
                                   "bytes", "list",    "vector", "set",     "map",     "tagged"};
  return names[static_cast<int>(kind)];
}

ReadError::ReadError(std::string message, size_t offset)
    : Error(std::move(message) + " at offset " + std::to_string(offset)), offset(offset) {}

static_assert(std::is_standard_layout_v<Node> && offsetof(Node, references) == 0);

void Value::destroy() {
  in_nodes -= bytes_of(*u_.node);
  delete u_.node;
}

uint32_t Value::depth() const { return shares() ? u_.node->depth : 0; }
size_t Value::size() const { return shares() ? u_.node->size : 0; }

Value Value::holding(Kind kind, Node* node) {
  Value v;
  v.kind_ = kind;
  v.u_.node = node;
  in_nodes += bytes_of(*node);
  return v;
}

Value Value::boolean(bool b) {
  Value v;
  v.kind_ = Kind::Boolean;
  v.u_.b = b;
  return v;
}

Value Value::integer(int64_t i) {
  Value v;
  v.kind_ = Kind::Long;
  v.u_.i = i;
  return v;
}

Value Value::real(double d) {
  Value v;
  v.kind_ = Kind::Double;
  v.u_.d = d;
  return v;
}

Value Value::character(char32_t c) {
  Value v;
  v.kind_ = Kind::Char;
  v.u_.c = c;
  return v;
}

Value Value::instant(int64_t microseconds) {
  Value v;
  v.kind_ = Kind::Instant;
  v.u_.i = microseconds;
  return v;
}

Value Value::string(std::string text) { return holding(Kind::String, text_node(std::move(text))); }
Value Value::symbol(std::string text) { return holding(Kind::Symbol, text_node(std::move(text))); }
Value Value::keyword(std::string text) {
  return holding(Kind::Keyword, text_node(std::move(text)));
}
Value Value::uuid(std::string_view bytes) {
  return holding(Kind::Uuid, text_node(std::string(bytes)));
}
Value Value::bytes(std::string bytes) { return holding(Kind::Bytes, text_node(std::move(bytes))); }

Value Value::bigint(std::string_view digits) {
  bool negative = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.size() > kMostDigits) throw LimitError("a bigint has too many digits");
  std::string text = digits.empty() ? "0" : (negative ? "-" : "") + std::string(digits);
  return holding(Kind::BigInt, text_node(std::move(text)));
}

Value Value::bigdec(std::string_view text) {
  bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  int64_t exponent = 0;
  if (size_t e = text.find_first_of("eE"); e != text.npos) {
    std::string written(text.substr(e + 1));
    if (written.size() > 8) throw LimitError("the exponent of a bigdec is too large");
    exponent = std::strtol(written.c_str(), nullptr, 10);
    text = text.substr(0, e);
  }
  std::string digits;
  int64_t scale = 0;
  if (size_t point = text.find('.'); point != text.npos) {
    digits = std::string(text.substr(0, point)) + std::string(text.substr(point + 1));
    scale = static_cast<int64_t>(text.size() - point - 1);
  } else {
    digits = text;
  }
  scale -= exponent;
  int64_t most = static_cast<int64_t>(kMostDigits);
  if (scale > most || scale < -most || static_cast<int64_t>(digits.size()) > 2 * most)
    throw LimitError("a bigdec has too many digits");
  if (scale < 0) {
    digits.append(static_cast<size_t>(-scale), '0');
    scale = 0;
  }
  size_t fraction = static_cast<size_t>(scale);
  if (digits.size() <= fraction) digits.insert(0, fraction + 1 - digits.size(), '0');
  std::string whole = digits.substr(0, digits.size() - fraction);
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size() - 1));
  if (whole.size() > kMostDigits) throw LimitError("a bigdec has too many digits");
  bool zero = digits.find_first_not_of('0') == digits.npos;
  std::string canonical = (negative && !zero ? "-" : "") + whole;
  if (fraction > 0) canonical += "." + digits.substr(digits.size() - fraction);
  return holding(Kind::BigDec, text_node(std::move(canonical)));
}

namespace {

uint32_t depth_of_items(std::span<const Value> items, auto depth_of) {
  uint32_t deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, depth_of(item));
  return deepest;
}

}  // namespace

Value Value::list(std::vector<Value> items) {
  uint32_t depth = depth_of_items(items, [](const Value& v) { return v.depth(); });
  auto size = [](const Value& v) { return v.size(); };
  return holding(Kind::List, deeper(items_node(std::move(items), size), depth));
}

Value Value::vector(std::vector<Value> items) {
  uint32_t depth = depth_of_items(items, [](const Value& v) { return v.depth(); });
  auto size = [](const Value& v) { return v.size(); };
  return holding(Kind::Vector, deeper(items_node(std::move(items), size), depth));
}

Value Value::set(std::vector<Value> items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
  uint32_t depth = depth_of_items(items, [](const Value& v) { return v.depth(); });
  auto size = [](const Value& v) { return v.size(); };
  return holding(Kind::Set, deeper(items_node(std::move(items), size), depth));
}

Value Value::map(std::vector<Entry> entries) {
  std::stable_sort(entries.begin(), entries.end(), before);
  std::vector<Entry> kept;
  kept.reserve(entries.size());
  uint32_t depth = 0;
  for (Entry& e : entries) {
    depth = std::max({depth, e.first.depth(), e.second.depth()});
    if (!kept.empty() && kept.back().first == e.first)
      kept.back() = std::move(e);
    else
      kept.push_back(std::move(e));
  }
  auto size = [](const Value& v) { return v.size(); };
  return holding(Kind::Map, deeper(entries_node(std::move(kept), size), depth));
}

Value Value::tagged(std::string tag, Value value) {
  uint32_t depth = value.depth();
  check_size(tag.size() + 1 + value.size());
  auto* node = text_node(std::move(tag));
  node->size += 1 + value.size();
  node->items.push_back(std::move(value));
  return holding(Kind::Tagged, deeper(node, depth));
}

const std::string& Value::text() const { return u_.node->text; }

std::string_view Value::name_space() const {
  std::string_view all = text();
  size_t slash = all.find('/');
  return slash == all.npos || all.size() == 1 ? std::string_view() : all.substr(0, slash);
}

std::string_view Value::name() const {
  std::string_view all = text();
  size_t slash = all.find('/');
  return slash == all.npos || all.size() == 1 ? all : all.substr(slash + 1);
}

std::span<const Value> Value::items() const { return u_.node->items; }
std::span<const Entry> Value::entries() const { return u_.node->entries; }
const Value& Value::tagged_value() const { return u_.node->items[0]; }

const Value* Value::find(const Value& key) const {
  std::span<const Entry> all = entries();
  auto at = std::lower_bound(all.begin(), all.end(), Entry(key, Value()), before);
  return at != all.end() && at->first == key ? &at->second : nullptr;
}

const Value* Value::find_keyword(std::string_view key) const {
  return find(keyword(std::string(key)));
}

bool Value::contains(const Value& item) const {
  return std::binary_search(items().begin(), items().end(), item);
}

bool Value::equals(const Value& other) const {
  if (kind_ == other.kind_) {
    switch (kind_) {
      case Kind::Nil:
        return true;
      case Kind::Boolean:
        return u_.b == other.u_.b;
      case Kind::Long:
      case Kind::Instant:
        return u_.i == other.u_.i;
      case Kind::Char:
        return u_.c == other.u_.c;
      case Kind::String:
      case Kind::Symbol:
      case Kind::Keyword:
      case Kind::Uuid:
      case Kind::Bytes:
        return u_.node == other.u_.node || text() == other.text();
      default:
        return (shares() && u_.node == other.u_.node) || compare(other) == 0;
    }
  }
  return compare(other) == 0;
}

int Value::compare(const Value& other) const {
  if (kind_ == Kind::Long && other.kind_ == Kind::Long) return compare_integers(u_.i, other.u_.i);
  int mine = rank(kind_), others = rank(other.kind_);
  if (mine != others) return mine < others ? -1 : 1;
  if (shares() && other.shares() && u_.node == other.u_.node) return 0;
  switch (kind_) {
    case Kind::Nil:
      return 0;
    case Kind::Boolean:
      return u_.b - other.u_.b;
    case Kind::Long:
    case Kind::BigInt:
    case Kind::Double:
    case Kind::BigDec:
      return compare_numbers(*this, other);
    case Kind::Char:
      return sign(u_.c <=> other.u_.c);
    case Kind::Instant:
      return compare_integers(u_.i, other.u_.i);
    case Kind::List:
    case Kind::Vector:
    case Kind::Set:
      return compare_items(items(), other.items());
    case Kind::Map:
      return compare_entries(entries(), other.entries());
    case Kind::Symbol:
    case Kind::Keyword:  // as facts are stored; the texts differ though both parts are equal in /a
      if (int c = sign(name_space().compare(other.name_space()))) return c;
      if (int c = sign(name().compare(other.name()))) return c;
      return sign(text().compare(other.text()));
    case Kind::Tagged:
      if (int c = sign(text().compare(other.text()))) return c;
      return tagged_value().compare(other.tagged_value());
    default:
      return sign(text().compare(other.text()));
  }
}

uint64_t Value::hash_of_others() const {
  switch (kind_) {
    case Kind::Nil:
      return 0x6e696c;
    case Kind::Boolean:
      return mix(u_.b ? 0x74 : 0x66);
    case Kind::Long:
      return mix(static_cast<uint64_t>(u_.i));
    case Kind::Double:
      return hash_number(*this);
    case Kind::Char:
      return mix(0x6300000000 + u_.c);
    case Kind::Instant:
      return mix(static_cast<uint64_t>(u_.i) ^ 0x696e7374ull << 32);
    default:
      break;
  }
  uint64_t& known = u_.node->hash;
  if (known) return known;
  uint64_t h = static_cast<uint64_t>(rank(kind_)) * 0x9e3779b97f4a7c15ull;
  switch (kind_) {
    case Kind::BigInt:
    case Kind::BigDec:
      return known = hash_number(*this);
    case Kind::List:
    case Kind::Vector:
    case Kind::Set:
      for (const Value& item : items()) h = mix(h + item.hash());
      break;
    case Kind::Map:
      for (const Entry& e : entries()) h = mix(mix(h + e.first.hash()) + e.second.hash());
      break;
    case Kind::Tagged:
      h = mix(hash_bytes(text()) + tagged_value().hash());
      break;
    default:
      h = mix(h + hash_bytes(text()));
      break;
  }
  return known = h;  // 0 is that of the number 0, of whatever kind
}

size_t Value::size_if_unshared() const {
  if (!shares() || u_.node->references > 1) return 0;
  const Node& n = *u_.node;
  return n.text.size() + n.items.size() * sizeof(Value) + n.entries.size() * sizeof(Entry);
}

size_t Value::size_in_memory() const {
  if (!shares()) return 0;
  size_t bytes = sizeof(Node) + (u_.node->text.size() > 15 ? u_.node->text.size() : 0);
  for (const Value& item : u_.node->items) bytes += sizeof(Value) + item.size_in_memory();
  for (const Entry& e : u_.node->entries)
    bytes += sizeof(Entry) + e.first.size_in_memory() + e.second.size_in_memory();
  return bytes;
}

}  // namespace datahike::edn
