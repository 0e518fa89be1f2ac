// What a transaction of facts does to rows of tables.
#pragma once

#include "datom/tempids.h"

namespace datahike::datom {

// Gathers what operations say of each row, and has it written in the order in which rows were first
// named: the columns of a row together, by one INSERT, UPDATE or DELETE.
class RowChanges {
 public:
  RowChanges(Database& db, Tempids& ids) : db_(db), ids_(ids) {}
  // Operations on facts are left alone. FactError 40001: a :db/cas fails; 22023, 02000.
  void take(const Op& op);
  std::vector<RowDatom> write();

 private:
  struct Row {
    int64_t e = 0;      // 0: a new one
    std::string name;   // of a new one (Tempids::unwritten_row)
    int64_t table = 0;  // 0: any, it is deleted
    bool is_deleted = false;
    std::vector<RowValue> values;
  };

  Row& row_of(const EntityRef& e, const Attribute& column);
  static RowValue* find(Row& row, const Attribute& column);
  static void set(Row& row, const Attribute& column, edn::Value value);
  bool has(Row& row, const RowValue& expected, std::string* actual);
  void compare_and_swap(Row& row, const Op& op);
  void remove(int64_t e);

  Database& db_;
  Tempids& ids_;
  std::vector<Row> rows_;
  std::map<std::pair<int64_t, int64_t>, size_t> by_entity_;  // e, table
  std::map<std::string, size_t> by_name_;
  std::set<int64_t> deleted_;
};

}  // namespace datahike::datom
