// The facts that a transaction of facts sees: rows of datahike.facts on the session's branch, as
// committed by now, with this transaction's own changes.
#pragma once

#include <unordered_map>

#include "datom/database.h"
#include "datom/sql/statement.h"
#include "datom/sql/table_rows.h"

namespace datahike::facts {

// Lives for one transaction of facts. Its functions throw what PostgreSQL raises.
class PgDatabase : public datom::Database {
 public:
  PgDatabase();
  // Gives back what it holds of PostgreSQL; after an error the transaction's end does.
  void close();
  const datom::Attribute* attribute(std::string_view ident) override;
  const datom::Attribute* attribute(int64_t id) override;
  std::span<const datom::Attribute* const> composites() override;
  bool schema_on_read() override;
  const datom::Attribute* define(datom::Attribute attribute) override;
  const datom::Attribute* undeclared(const std::string& ident) override;
  std::vector<datom::Datom> facts(int64_t e, int64_t a) override;
  std::vector<datom::Datom> facts(int64_t e) override;
  std::vector<datom::Datom> references_to(int64_t e) override;
  std::optional<int64_t> holder(int64_t a, const datom::Value& v) override;
  bool has_facts_of(int64_t a) override;
  bool has_several_of(int64_t a) override;
  std::vector<datom::Datom> lock_facts(int64_t e, int64_t a) override;
  int64_t new_entity() override;
  void claim_entity(int64_t e) override;
  int64_t current_tx() override;
  datom::Value now() override;
  bool satisfies(const std::string& predicate, const datom::Value& v) override;
  datom::Called call(const std::string& function, std::span<const edn::Value> arguments) override;
  const datom::Attribute* column(std::string_view ident) override;
  std::optional<int64_t> insert_row(std::span<const datom::RowValue> values,
                                    std::vector<datom::RowDatom>& changed) override;
  void update_row(int64_t e, std::span<const datom::RowValue> values,
                  std::vector<datom::RowDatom>& changed) override;
  bool delete_row(int64_t e, std::vector<datom::RowDatom>& changed) override;
  std::optional<std::string> other_value(int64_t e, const datom::RowValue& expected) override;

 private:
  const datom::Attribute* load(int64_t id);
  void fill_composite(datom::Attribute& a);
  void require_no_row_names();

  Snapshot schema_snapshot_;  // nullptr: as for everything else
  // Attributes never move: those of a map of nodes.
  std::unordered_map<int64_t, std::optional<datom::Attribute>> by_id_;
  std::unordered_map<std::string, int64_t> by_ident_;  // 0: there is none
  std::optional<std::vector<const datom::Attribute*>> composites_;
  // Who has a unique value, by attribute and key: asked for again and again, and nothing is written
  // while it is.
  std::map<std::pair<int64_t, std::string>, std::optional<int64_t>> holders_;
  bool has_no_row_names_ = false;
  TableRows rows_;
};

// Rows as datoms, added ones.
std::vector<datom::Datom> to_datoms(const StatementResult& result);

}  // namespace datahike::facts
