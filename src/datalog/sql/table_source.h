// Tables as facts: [?row :table/column ?value], and :schema.table/column where the search path does
// not have the table. Read by queries, so privileges, row security, indexes and partitions are
// PostgreSQL's. NULL is no fact. Only tables of the datahike access method have entities.
#pragma once

#include "datalog/sql/database.h"
#include "datalog/sql/entities.h"
#include "datalog/sql/values.h"

namespace datahike::query {

// A column that an attribute names.
struct TableColumn {
  Oid relid = InvalidOid;
  int16 number = 0;
  Oid type = InvalidOid;
  int32 typmod = -1;
  std::string table, column;  // quoted; the table with its schema
  double rows = 0;            // of the table, an estimate
  bool alone = false;         // a table without partitions or children
  bool unique = false;        // by an index of its own
  bool indexed = false;       // the first column of an index
  double distinct = 0;        // how many values there are, an estimate; 0: none
  // The table that a foreign key of this column alone refers to.
  Oid target = InvalidOid;
  std::string target_table, target_column;
};

class TableSource : public datalog::Source {
 public:
  explicit TableSource(DatabaseValue database) : database_(std::move(database)) {}
  double estimate(const datalog::Scan& scan) override;
  void scan(const datalog::Scan& scan, const std::function<void(Columns&, size_t)>& full) override;
  bool same_rows(const std::vector<Value>& attributes) override;
  void scan_rows(const datalog::RowScan& scan,
                 const std::function<void(std::vector<Column>&, size_t)>& full) override;
  std::optional<Value> entity(const Value& name) override;
  // The values of a foreign key are the key's values; pull follows them.
  bool is_ref(const Value&) override { return false; }
  bool can_follow(const Value& attribute) override;
  bool is_many(const Value&) override { return false; }
  bool is_component(const Value&) override { return false; }
  bool is_unique(const Value& attribute) { return has(attribute) && find(attribute)->unique; }
  bool has(const Value& attribute) { return find(attribute) != nullptr; }
  // What an attribute names; nullptr: no column.
  const TableColumn* column(const Value& attribute) { return find(attribute); }
  // QueryError: the attribute names a column whose rows cannot be read as entities (42809), or may
  // not be looked up (42501).
  void refuse(const Value& attribute);

 private:
  const TableColumn* find(const Value& attribute);
  // With `rowids` only these row versions, NULLs included, and no condition.
  void scan_column(const Value& attribute, const TableColumn& column, const datalog::Scan& scan,
                   const std::vector<uint64_t>* rowids, std::unordered_set<int64_t>* met,
                   const std::function<void(Columns&, size_t)>& full);
  // By columns, where the table can be read so and no index would do better; false: nothing was
  // read. In table_columns_scan.cpp.
  bool scan_by_column(const Value& attribute, const TableColumn& column, const datalog::Scan& scan,
                      const std::function<void(Columns&, size_t)>& full);
  bool scan_rows_by_column(const datalog::RowScan& scan,
                           const std::function<void(std::vector<Column>&, size_t)>& full);
  // Only of some entities' rows, where that is cheaper than all rows; false: it is not.
  bool scan_entities(const Value& attribute, const TableColumn& column, const datalog::Scan& scan,
                     const std::function<void(Columns&, size_t)>& full);
  void read_rows(const datalog::RowScan& scan, const std::vector<uint64_t>* rowids,
                 std::unordered_set<int64_t>* met,
                 const std::function<void(std::vector<Column>&, size_t)>& full);
  void scan_versions(const Value& attribute, const TableColumn& column, const datalog::Scan& scan,
                     const std::function<void(Columns&, size_t)>& full);
  std::vector<Value> all_attributes();

  DatabaseValue database_;
  std::map<std::string, std::optional<TableColumn>> columns_;
  std::map<std::string, datalog::QueryError> refusals_;  // of those that are not in columns_
};

}  // namespace datahike::query
