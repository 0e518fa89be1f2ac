// A transaction of facts: what its operations, one after the other, change in all.
#pragma once

#include <map>

#include "datom/tempids.h"

namespace datahike::datom {

struct Change {
  enum class Kind : uint8_t { Add, Remove, Replace } kind;
  int64_t e;
  const Attribute* a;
  Value v;                 // Add and Replace: the new value; Remove: the one that goes
  Value old;               // Replace
  int64_t old_tx = 0;      // Remove and Replace: the transaction that the old value is from
  bool if_absent = false;  // Add: a :db/cas that expects no value
};

struct SchemaChange {
  std::optional<Attribute> before, after;  // both of one entity
};

struct Report {
  std::map<std::string, int64_t> tempids;
  std::vector<Change> changes;  // in the order in which their facts were first named
  std::vector<SchemaChange> schema;
  std::vector<std::pair<int64_t, std::string>> ensured;  // entity predicates that must hold then
  std::vector<RowDatom> rows;                            // written already
};

// Operations see what those before them have done. What is true already stays as it is, with the
// transaction that it is from; what is added and retracted again leaves nothing behind, and what is
// retracted and added again stays.
//
// Rows of tables are written first, those of one entity by one statement: facts can refer to them.
class Transaction {
 public:
  explicit Transaction(Database& db) : db_(db) {}
  // FactError: 23505, 40001 (cas), 23514 (predicates, :db/ensure), 22023, 22001 (:db/maxLength),
  // 02000, 0A000, 55000.
  Report run(std::span<const Op> ops);

 private:
  using Place = std::pair<int64_t, int64_t>;  // e, a
  struct Cell {
    const Attribute* a = nullptr;
    std::vector<Datom> before;
    std::vector<Value> after;
    bool touched = false;
    bool if_absent = false;
  };

  Cell& cell(int64_t e, const Attribute& a);
  Cell& touch(int64_t e, const Attribute& a);
  void write_rows(std::span<const Op> ops, Tempids& ids);
  void apply(const Op& op, Tempids& ids);
  void add(int64_t e, const Attribute& a, const Value& v);
  void retract(int64_t e, const Attribute& a, const Value& v);
  void retract_entity(int64_t e);
  void compare_and_swap(int64_t e, const Op& op, Tempids& ids);
  void check_entity(int64_t e, const Attribute& a);
  void check_value(int64_t e, const Attribute& a, const Value& v);
  void check_unique(int64_t e, const Attribute& a, const Value& v);
  void forget_claim(int64_t e, const Attribute& a, const Value& v);
  void compute_composites();
  void compute_composite(int64_t e, const Attribute& tuple);
  void check_schema();
  void check_schema_of(int64_t e);
  void check_ensured(int64_t e, const std::string& spec);
  std::vector<Fact> facts_after(int64_t e);
  void put_changes(const Cell& cell, int64_t e);
  const Attribute& any_attribute(int64_t id);

  Database& db_;
  const Tempids* ids_ = nullptr;
  std::map<Place, Cell> cells_;
  std::vector<Place> order_;
  std::map<std::pair<int64_t, std::string>, int64_t> claims_;  // unique values that were added
  std::vector<std::pair<int64_t, std::string>> ensure_;
  Report report_;
};

}  // namespace datahike::datom
