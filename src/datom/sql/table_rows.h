// Rows of tables as transactions of facts write them: by SQL, as the caller, so with the table's
// privileges, policies, defaults, constraints and triggers.
#pragma once

#include "datalog/sql/table_source.h"
#include "datom/database.h"
#include "datom/sql/row_statement.h"

namespace datahike::facts {

// The session's option datahike.schema_flexibility.
bool reads_schema_flexibly();

// Lives for one transaction of facts, within transact(). Functions throw what PostgreSQL raises,
// and FactsChanged where another transaction has changed the row meanwhile. See datom::Database.
class TableRows {
 public:
  const datom::Attribute* column(std::string_view ident);
  std::optional<int64_t> holder(int64_t column, const edn::Value& value);
  std::optional<int64_t> insert(std::span<const datom::RowValue> values,
                                std::vector<datom::RowDatom>& changed);
  void update(int64_t e, std::span<const datom::RowValue> values,
              std::vector<datom::RowDatom>& changed);
  bool remove(int64_t e, std::vector<datom::RowDatom>& changed);
  std::optional<std::string> other_value(int64_t e, const datom::RowValue& expected);

 private:
  struct Column {
    datom::Attribute attribute;
    query::TableColumn column;
    std::string space;  // what is before the slash
  };
  // Where the versions of a row may be.
  struct Place {
    std::vector<Oid> tables;
    std::vector<uint64_t> rowids;
  };

  const Column& of(const datom::Attribute& attribute) const;
  int64_t entity_of(const RowImage& row);
  Place place_of(int64_t e, Oid table, const std::string& name);
  std::optional<uint64_t> search(int64_t e, const std::vector<Oid>& tables, const std::string& name,
                                 Oid* table);
  static bool is_there(const Place& place, const std::string& name);
  RowImage lock(int64_t e, const Column& column);
  [[noreturn]] void not_found(int64_t e, Oid table, const std::string& name);

  std::map<std::string, std::optional<Column>, std::less<>> columns_;
  std::map<int64_t, const Column*> by_id_;
  std::map<Oid, int64_t> tables_;  // their numbers
  query::TableSource source_{query::DatabaseValue()};
};

}  // namespace datahike::facts
