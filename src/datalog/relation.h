// Relations as columns, and hash indexes over their rows.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "datalog/column.h"
#include "datalog/error.h"

namespace datahike::datalog {

using Var = uint32_t;  // number of a variable's name

// What a query may use: its relations, and what the values that are alive hold beyond their slots.
// Everything that loops over rows polls.
class Budget {
 public:
  // `interrupted` throws to cancel. `bytes`: of all relations that are alive together.
  // Values that are alive already are not counted.
  Budget(size_t bytes, std::function<void()> interrupted);
  void poll() {
    if (interrupted_) interrupted_();
  }
  void poll_row(size_t row) {
    if ((row & 0xfff) == 0xfff) poll();
  }
  void take(size_t bytes);  // OutOfMemory beyond the limit, with the values alive now
  bool has_room(size_t bytes) const;
  void give_back(size_t bytes) noexcept { used_ -= bytes; }
  size_t used() const { return used_; }
  size_t limit() const { return limit_; }
  // What a function has made for a row: large values are counted before the next one is made.
  // OutOfMemory.
  void made(const Value& value);

 private:
  size_t limit_, used_ = 0;
  size_t held_;  // by values of others, when the work began
  std::function<void()> interrupted_;
};

// Memory of a query that is no relation's.
class Charge {
 public:
  Charge() = default;  // of no query: not counted
  explicit Charge(Budget& budget, size_t bytes = 0) : budget_(&budget) { set(bytes); }
  Charge(Charge&& other) noexcept
      : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Charge() {
    if (budget_) budget_->give_back(bytes_);
  }
  void set(size_t bytes) {  // in all; OutOfMemory
    if (!budget_) return;
    if (bytes > bytes_)
      budget_->take(bytes - bytes_);
    else
      budget_->give_back(bytes_ - bytes);
    bytes_ = bytes;
  }
  void add(size_t bytes) { set(bytes_ + bytes); }

 private:
  Budget* budget_ = nullptr;
  size_t bytes_ = 0;
};

// Rows of values of variables; without variables: whether there is a row at all.
class Relation {
 public:
  explicit Relation(Budget& budget) : budget_(&budget) {}
  Relation(Budget& budget, std::vector<Var> vars)
      : vars(std::move(vars)), columns(this->vars.size()), budget_(&budget) {}
  static Relation unit(Budget& budget) {  // one row without columns
    Relation r(budget);
    r.rows = 1;
    return r;
  }
  Relation(Relation&& other) noexcept;
  Relation& operator=(Relation&& other) noexcept;
  Relation(const Relation&) = delete;
  ~Relation() { budget_->give_back(charged_); }

  std::vector<Var> vars;
  std::vector<Column> columns;
  size_t rows = 0;

  int column_of(Var v) const;  // -1: it has none
  bool has(Var v) const { return column_of(v) >= 0; }
  const Column& of(Var v) const { return columns[index_of(v)]; }
  size_t index_of(Var v) const;  // QueryError 42P10: it has none
  // Accounts for what has been put into the columns; OutOfMemory. Call it after each change.
  void charge();
  bool try_charge();  // the same within a source's callback; false: there is no room
  Budget& budget() const { return *budget_; }

  Relation gather(const std::vector<uint32_t>& which) const;  // these rows
  Relation project(const std::vector<Var>& which) const;      // these columns; rows stay
  Relation take(const std::vector<Var>& which) &&;  // the same of distinct variables, not copied
  Relation copy() const;
  void add_column(Var v, Column column);

 private:
  Budget* budget_;
  size_t charged_ = 0;
};

// Rows of a relation by the hash of some columns. Rows may be appended to the relation: extend().
class HashIndex {
 public:
  explicit HashIndex(std::vector<size_t> columns) : columns_(std::move(columns)) {}
  HashIndex(std::vector<size_t> columns, Budget& budget)  // OutOfMemory as it grows
      : columns_(std::move(columns)), memory_(budget) {}
  void extend(const Relation& relation);
  void add(uint64_t hash);  // of the next row
  size_t indexed() const { return hashes_.size(); }
  void reserve(size_t rows);  // in all
  const std::vector<size_t>& columns() const { return columns_; }
  static constexpr uint32_t kNone = UINT32_MAX;
  // The rows with that hash, one after another; the caller compares.
  uint32_t first(uint64_t hash) const {
    return heads_.empty() ? kNone : skip(heads_[hash & (heads_.size() - 1)], hash);
  }
  uint32_t next(uint32_t row, uint64_t hash) const { return skip(next_[row], hash); }
  size_t bytes() const { return heads_.size() * 4 + hashes_.size() * 12; }

 private:
  uint32_t skip(uint32_t row, uint64_t hash) const {
    while (row != kNone && hashes_[row] != hash) row = next_[row];
    return row;
  }
  void rehash(size_t size);
  std::vector<size_t> columns_;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> heads_, next_;
  Charge memory_;
};

// Hashes of all rows from `from` on over some columns, as HashIndex has them.
std::vector<uint64_t> hash_rows(const Relation& relation, const std::vector<size_t>& columns,
                                size_t from = 0);

// Pairs of rows that agree in the columns of both. QueryError 54000 beyond 2^32 rows.
struct Matches {
  std::vector<uint32_t> left, right;
};
// `index` is over columns of `right` that `left_columns` are to agree with.
Matches match(const Relation& left, const std::vector<size_t>& left_columns, const Relation& right,
              const HashIndex& index, Budget& budget);

Relation join(const Relation& left, const Relation& right);  // on the variables of both
// The same with an index over columns of `right` whose variables are those that both have.
Relation join_indexed(const Relation& left, const Relation& right, const HashIndex& index);
// Rows of `left` that agree with a row, or with no row, of `right` in the variables of both.
Relation semi_join(const Relation& left, const Relation& right, bool anti);
Relation distinct(Relation relation);
// Whether all rows are known to differ, without looking at more than one column: false may mean
// anything.
bool is_distinct(const Relation& relation);
std::vector<size_t> all_columns(size_t count);  // 0, 1, ...
// Appends rows of `from` (with the same variables in whatever order) that `to` does not have yet;
// `index` is over all columns of `to`. Returns how many.
size_t add_distinct(Relation& to, HashIndex& index, const Relation& from);

}  // namespace datahike::datalog
