#include "datalog/relation.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "datalog/edn_node.h"

namespace datahike::datalog {

namespace {

// The columns of the variables that both have, in the order of the right one's.
struct Shared {
  std::vector<size_t> left, right;
};
Shared shared_columns(const Relation& left, const Relation& right) {
  Shared s;
  for (size_t r = 0; r < right.vars.size(); ++r)
    if (int l = left.column_of(right.vars[r]); l >= 0) {
      s.left.push_back(static_cast<size_t>(l));
      s.right.push_back(r);
    }
  return s;
}

bool agree(const Relation& a, const std::vector<size_t>& a_columns, size_t a_row, const Relation& b,
           const std::vector<size_t>& b_columns, size_t b_row) {
  for (size_t i = 0; i < a_columns.size(); ++i)
    if (!a.columns[a_columns[i]].is_equal(a_row, b.columns[b_columns[i]], b_row)) return false;
  return true;
}

Relation join_matches(const Relation& left, const Relation& right, const Matches& m) {
  Relation out(left.budget());
  out.rows = m.left.size();
  for (size_t i = 0; i < left.vars.size(); ++i)
    out.add_column(left.vars[i], left.columns[i].gather(m.left));
  for (size_t i = 0; i < right.vars.size(); ++i)
    if (!left.has(right.vars[i])) out.add_column(right.vars[i], right.columns[i].gather(m.right));
  return out;
}

void add_match(Matches& m, size_t left, size_t right, Budget& budget) {
  m.left.push_back(static_cast<uint32_t>(left));
  m.right.push_back(static_cast<uint32_t>(right));
  if ((m.left.size() & 0xffff) == 0) {
    budget.poll();
    // What the joined rows will need at least.
    budget.take(m.left.size() * 16);
    budget.give_back(m.left.size() * 16);
  }
}

// The memory of what a join makes for itself: an index, and the hashes of the rows that are looked
// up in it.
constexpr size_t kIntegerIndex = 20, kHashIndex = 36;  // bytes for a row at most
class ForIndex {
 public:
  ForIndex(Budget& budget, size_t bytes) : budget_(budget), bytes_(bytes) { budget_.take(bytes_); }
  ForIndex(const ForIndex&) = delete;
  ~ForIndex() { budget_.give_back(bytes_); }

 private:
  Budget& budget_;
  size_t bytes_;
};

// Rows by the integer that they have in one column: where the integers lie close together, by
// position.
class IntegerIndex {
 public:
  explicit IntegerIndex(const std::vector<int64_t>& keys) : keys_(keys), next_(keys.size()) {
    if (keys.size() >= HashIndex::kNone)
      throw QueryError("54000", "a relation of the query has more than 2^32 rows");
    if (keys.empty()) return;
    auto [low, high] = std::minmax_element(keys.begin(), keys.end());
    least_ = static_cast<uint64_t>(*low);
    uint64_t range = static_cast<uint64_t>(*high) - least_;
    by_position_ = range / 4 < keys.size();
    size_t size = 16;
    while (size < keys.size() * 2) size *= 2;
    heads_.assign(by_position_ ? range + 1 : size, HashIndex::kNone);
    for (size_t row = keys.size(); row-- > 0;) {
      uint32_t& head = heads_[slot(keys[row])];
      next_[row] = head;
      head = static_cast<uint32_t>(row);
    }
  }
  // The rows with that key, one after another.
  uint32_t first(int64_t key) const {
    if (heads_.empty()) return HashIndex::kNone;
    size_t at = slot(key);
    return at < heads_.size() ? skip(heads_[at], key) : HashIndex::kNone;
  }
  uint32_t next(uint32_t row, int64_t key) const { return skip(next_[row], key); }

 private:
  size_t slot(int64_t key) const {
    auto bits = static_cast<uint64_t>(key);
    return by_position_ ? bits - least_ : edn::mix(bits) & (heads_.size() - 1);
  }
  uint32_t skip(uint32_t row, int64_t key) const {
    while (row != HashIndex::kNone && keys_[row] != key) row = next_[row];
    return row;
  }
  const std::vector<int64_t>& keys_;
  std::vector<uint32_t> heads_, next_;
  uint64_t least_ = 0;
  bool by_position_ = false;
};

// Which integers there are, where they lie close enough together for a bit each.
class IntegerSet {
 public:
  static std::optional<IntegerSet> of(const std::vector<int64_t>& integers) {
    if (integers.empty()) return std::nullopt;
    auto [low, high] = std::minmax_element(integers.begin(), integers.end());
    const uint64_t range = static_cast<uint64_t>(*high) - static_cast<uint64_t>(*low);
    if (range / 64 > integers.size() * 2) return std::nullopt;  // 16 bytes for each
    IntegerSet set;
    set.least_ = static_cast<uint64_t>(*low);
    set.range_ = range;
    set.bits_.resize(range / 64 + 1);
    for (int64_t i : integers) set.add(i);
    return set;
  }
  bool contains(int64_t i) const {
    const uint64_t at = static_cast<uint64_t>(i) - least_;
    return at <= range_ && (bits_[at / 64] >> at % 64 & 1);
  }

 private:
  void add(int64_t i) {
    const uint64_t at = static_cast<uint64_t>(i) - least_;
    bits_[at / 64] |= uint64_t{1} << at % 64;
  }
  uint64_t least_ = 0, range_ = 0;
  std::vector<uint64_t> bits_;
};

bool is_ascending(const std::vector<int64_t>& integers) {
  return std::is_sorted(integers.begin(), integers.end());
}
bool is_strictly_ascending(const std::vector<int64_t>& integers) {
  return std::adjacent_find(integers.begin(), integers.end(), std::greater_equal<>()) ==
         integers.end();
}

// The same as match_integers() where the left ones are in order and each of the right ones is there
// once, in order, too: entities mostly are.
Matches merge_integers(const std::vector<int64_t>& left, const std::vector<int64_t>& right,
                       Budget& budget) {
  Matches m;
  const size_t most = left.size();
  m.left.resize(most);
  m.right.resize(most);
  size_t found = 0, r = 0;
  for (size_t row = 0; row < left.size(); ++row) {
    budget.poll_row(row);
    while (r < right.size() && right[r] < left[row]) ++r;
    if (r == right.size()) break;
    m.left[found] = static_cast<uint32_t>(row);
    m.right[found] = static_cast<uint32_t>(r);
    found += right[r] == left[row];
  }
  m.left.resize(found);
  m.right.resize(found);
  return m;
}

bool are_integers(const Relation& left, const std::vector<size_t>& left_columns,
                  const Relation& right, const std::vector<size_t>& right_columns) {
  return left_columns.size() == 1 && left.columns[left_columns[0]].is_integers() &&
         right.columns[right_columns[0]].is_integers();
}

Matches match_integers(const std::vector<int64_t>& left, const std::vector<int64_t>& right,
                       Budget& budget) {
  ForIndex memory(budget, right.size() * kIntegerIndex);
  if (left.size() < HashIndex::kNone && right.size() < HashIndex::kNone && is_ascending(left) &&
      is_strictly_ascending(right)) {
    ForIndex matches(budget, left.size() * 8);
    return merge_integers(left, right, budget);
  }
  IntegerIndex index(right);
  Matches m;
  for (size_t row = 0; row < left.size(); ++row) {
    budget.poll_row(row);
    for (uint32_t r = index.first(left[row]); r != HashIndex::kNone; r = index.next(r, left[row]))
      add_match(m, row, r, budget);
  }
  return m;
}

Matches product(const Relation& left, const Relation& right, Budget& budget) {
  Matches m;
  for (size_t l = 0; l < left.rows; ++l)
    for (size_t r = 0; r < right.rows; ++r) add_match(m, l, r, budget);
  return m;
}

}  // namespace

Budget::Budget(size_t bytes, std::function<void()> interrupted)
    : limit_(bytes), held_(edn::bytes_in_nodes()), interrupted_(std::move(interrupted)) {}

bool Budget::has_room(size_t bytes) const {
  const size_t held = edn::bytes_in_nodes();
  return used_ + bytes + (held > held_ ? held - held_ : 0) <= limit_;
}

void Budget::take(size_t bytes) {
  if (!has_room(bytes)) throw OutOfMemory();
  used_ += bytes;
}

void Budget::made(const Value& value) {
  constexpr size_t kLarge = 1000;
  if (value.size_if_unshared() < kLarge) return;
  poll();
  take(0);
}

Relation::Relation(Relation&& other) noexcept
    : vars(std::move(other.vars)),
      columns(std::move(other.columns)),
      rows(std::exchange(other.rows, 0)),
      budget_(other.budget_),
      charged_(std::exchange(other.charged_, 0)) {}

Relation& Relation::operator=(Relation&& other) noexcept {
  std::swap(vars, other.vars);
  std::swap(columns, other.columns);
  std::swap(rows, other.rows);
  std::swap(budget_, other.budget_);
  std::swap(charged_, other.charged_);
  return *this;
}

int Relation::column_of(Var v) const {
  for (size_t i = 0; i < vars.size(); ++i)
    if (vars[i] == v) return static_cast<int>(i);
  return -1;
}

size_t Relation::index_of(Var v) const {
  int column = column_of(v);
  if (column < 0) throw QueryError(kUnbound, "a variable of the query is bound by nothing");
  return static_cast<size_t>(column);
}

bool Relation::try_charge() {
  size_t bytes = 0;
  for (const Column& c : columns) bytes += c.bytes();
  if (!budget_->has_room(bytes <= charged_ ? 0 : bytes - charged_)) return false;
  charge();
  return true;
}

void Relation::charge() {
  size_t bytes = 0;
  for (const Column& c : columns) bytes += c.bytes();
  if (bytes >= charged_)
    budget_->take(bytes - charged_);
  else
    budget_->give_back(charged_ - bytes);
  charged_ = bytes;
}

void Relation::add_column(Var v, Column column) {
  vars.push_back(v);
  columns.push_back(std::move(column));
  charge();
}

Relation Relation::gather(const std::vector<uint32_t>& which) const {
  Relation out(*budget_);
  out.rows = which.size();
  for (size_t i = 0; i < vars.size(); ++i) out.add_column(vars[i], columns[i].gather(which));
  return out;
}

Relation Relation::project(const std::vector<Var>& which) const {
  Relation out(*budget_);
  out.rows = rows;
  for (Var v : which) out.add_column(v, of(v));
  return out;
}

Relation Relation::take(const std::vector<Var>& which) && {
  Relation out(*budget_);
  out.rows = std::exchange(rows, 0);
  std::vector<Column> taken;
  for (Var v : which) taken.push_back(std::move(columns[index_of(v)]));
  charge();
  for (size_t i = 0; i < which.size(); ++i) out.add_column(which[i], std::move(taken[i]));
  return out;
}

Relation Relation::copy() const { return project(vars); }

std::vector<uint64_t> hash_rows(const Relation& relation, const std::vector<size_t>& columns,
                                size_t from) {
  std::vector<uint64_t> hashes(relation.rows - from, columns.size());
  for (size_t c : columns) {
    const Column& column = relation.columns[c];
    auto add = [&](auto&& hash_of) {
      for (size_t row = from; row < relation.rows; ++row)
        hashes[row - from] = edn::mix(hashes[row - from] * 31 + hash_of(row));
    };
    if (column.is_integers())
      add([&](size_t row) { return Value::integer(column.integers()[row]).hash(); });
    else
      add([&](size_t row) { return column.hash(row); });
  }
  return hashes;
}

void HashIndex::rehash(size_t size) {
  memory_.set(size * 4 + size / 2 * 12);
  heads_.assign(size, kNone);
  for (uint32_t row = 0; row < hashes_.size(); ++row) {
    uint32_t& head = heads_[hashes_[row] & (size - 1)];
    next_[row] = head;
    head = row;
  }
}

void HashIndex::add(uint64_t hash) {
  if (hashes_.size() + 1 >= kNone)
    throw QueryError("54000", "a relation of the query has more than 2^32 rows");
  auto row = static_cast<uint32_t>(hashes_.size());
  if (heads_.size() < (hashes_.size() + 1) * 2) rehash(std::max<size_t>(heads_.size() * 2, 16));
  hashes_.push_back(hash);
  next_.push_back(kNone);
  uint32_t& head = heads_[hash & (heads_.size() - 1)];
  next_[row] = head;
  head = row;
}

void HashIndex::reserve(size_t rows) {
  hashes_.reserve(rows);
  next_.reserve(rows);
  if (rows <= heads_.size() / 2) return;
  size_t size = 16;
  while (size < rows * 2) size *= 2;
  rehash(size);
}

void HashIndex::extend(const Relation& relation) {
  if (relation.rows > hashes_.size() * 2) reserve(relation.rows);
  for (uint64_t hash : hash_rows(relation, columns_, hashes_.size())) add(hash);
}

Matches match(const Relation& left, const std::vector<size_t>& left_columns, const Relation& right,
              const HashIndex& index, Budget& budget) {
  Matches m;
  std::vector<uint64_t> hashes = hash_rows(left, left_columns);
  for (size_t row = 0; row < left.rows; ++row) {
    budget.poll_row(row);
    for (uint32_t r = index.first(hashes[row]); r != HashIndex::kNone;
         r = index.next(r, hashes[row]))
      if (agree(left, left_columns, row, right, index.columns(), r)) add_match(m, row, r, budget);
  }
  return m;
}

Relation join_indexed(const Relation& left, const Relation& right, const HashIndex& index) {
  std::vector<size_t> left_columns;
  for (size_t c : index.columns())
    left_columns.push_back(static_cast<size_t>(left.column_of(right.vars[c])));
  return join_matches(left, right, match(left, left_columns, right, index, left.budget()));
}

Relation join(const Relation& left, const Relation& right) {
  Shared s = shared_columns(left, right);
  if (are_integers(left, s.left, right, s.right)) {
    const std::vector<int64_t>& l = left.columns[s.left[0]].integers();
    const std::vector<int64_t>& r = right.columns[s.right[0]].integers();
    if (left.rows >= right.rows)
      return join_matches(left, right, match_integers(l, r, left.budget()));
    Matches m = match_integers(r, l, left.budget());
    std::swap(m.left, m.right);
    return join_matches(left, right, m);
  }
  if (s.left.empty()) return join_matches(left, right, product(left, right, left.budget()));
  if (left.rows < right.rows) {
    ForIndex memory(left.budget(), left.rows * kHashIndex + right.rows * sizeof(uint64_t));
    HashIndex index(s.left);
    index.extend(left);
    Matches m = match(right, s.right, left, index, left.budget());
    std::swap(m.left, m.right);
    return join_matches(left, right, m);
  }
  ForIndex memory(left.budget(), right.rows * kHashIndex + left.rows * sizeof(uint64_t));
  HashIndex index(s.right);
  index.extend(right);
  return join_matches(left, right, match(left, s.left, right, index, left.budget()));
}

Relation semi_join(const Relation& left, const Relation& right, bool anti) {
  Shared s = shared_columns(left, right);
  if (are_integers(left, s.left, right, s.right)) {
    ForIndex memory(left.budget(), right.rows * kIntegerIndex);
    const std::vector<int64_t>& keys = left.columns[s.left[0]].integers();
    std::vector<uint32_t> kept;
    if (auto set = IntegerSet::of(right.columns[s.right[0]].integers())) {
      kept.resize(left.rows);
      size_t count = 0;
      for (size_t row = 0; row < left.rows; ++row) {
        left.budget().poll_row(row);
        kept[count] = static_cast<uint32_t>(row);
        count += set->contains(keys[row]) != anti;
      }
      kept.resize(count);
      return left.gather(kept);
    }
    IntegerIndex index(right.columns[s.right[0]].integers());
    for (size_t row = 0; row < left.rows; ++row) {
      left.budget().poll_row(row);
      if ((index.first(keys[row]) != HashIndex::kNone) != anti)
        kept.push_back(static_cast<uint32_t>(row));
    }
    return left.gather(kept);
  }
  ForIndex memory(left.budget(), right.rows * kHashIndex + left.rows * sizeof(uint64_t));
  HashIndex index(s.right);
  index.extend(right);
  std::vector<uint64_t> hashes = hash_rows(left, s.left);
  std::vector<uint32_t> kept;
  for (size_t row = 0; row < left.rows; ++row) {
    left.budget().poll_row(row);
    bool found = false;
    for (uint32_t r = index.first(hashes[row]); r != HashIndex::kNone && !found;
         r = index.next(r, hashes[row]))
      found = agree(left, s.left, row, right, s.right, r);
    if (found != anti) kept.push_back(static_cast<uint32_t>(row));
  }
  return left.gather(kept);
}

size_t add_distinct(Relation& to, HashIndex& index, const Relation& from) {
  std::vector<size_t> from_columns, all;
  for (size_t i = 0; i < to.vars.size(); ++i) {
    from_columns.push_back(from.index_of(to.vars[i]));
    all.push_back(i);
  }
  if (to.vars.empty()) {
    size_t before = to.rows;
    to.rows = to.rows || from.rows;
    return to.rows - before;
  }
  const Charge memory(to.budget(), from.rows * sizeof(uint64_t));
  std::vector<uint64_t> hashes = hash_rows(from, from_columns);
  size_t before = to.rows;
  for (size_t row = 0; row < from.rows; ++row) {
    to.budget().poll_row(row);
    bool found = false;
    for (uint32_t r = index.first(hashes[row]); r != HashIndex::kNone && !found;
         r = index.next(r, hashes[row]))
      found = agree(from, from_columns, row, to, all, r);
    if (found) continue;
    index.add(hashes[row]);
    for (size_t c = 0; c < all.size(); ++c)
      to.columns[c].push_back(from.columns[from_columns[c]][row]);
    ++to.rows;
    if ((to.rows & 0xffff) == 0) to.charge();
  }
  to.charge();
  return to.rows - before;
}

bool is_distinct(const Relation& relation) {
  return std::any_of(relation.columns.begin(), relation.columns.end(), [](const Column& c) {
    return c.is_integers() && are_distinct_integers(c.integers());
  });
}

std::vector<size_t> all_columns(size_t count) {
  std::vector<size_t> all(count);
  for (size_t i = 0; i < count; ++i) all[i] = i;
  return all;
}

Relation distinct(Relation relation) {
  if (is_distinct(relation)) return relation;
  Relation out(relation.budget(), relation.vars);
  HashIndex index(all_columns(relation.vars.size()), relation.budget());
  add_distinct(out, index, relation);
  return out;
}

}  // namespace datahike::datalog
