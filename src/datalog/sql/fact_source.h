// Facts of a database value, and a database value as facts and tables together.
#pragma once

#include "datom/sql/reader.h"
#include "datalog/sql/table_source.h"

namespace datahike::query {

class FactSource : public datalog::Source {
 public:
  // 42501 where the caller may not read facts.
  explicit FactSource(const DatabaseValue& database);
  double estimate(const datalog::Scan& scan) override;
  void scan(const datalog::Scan& scan, const std::function<void(Columns&, size_t)>& full) override;
  std::optional<Value> entity(const Value& name) override;
  bool is_ref(const Value& attribute) override;
  bool is_many(const Value& attribute) override;
  bool is_component(const Value& attribute) override;
  bool has(const Value& attribute) { return find(attribute) != nullptr; }

 private:
  const datom::Attribute* find(const Value& attribute);
  void scan_pattern(const facts::Pattern& pattern, const datalog::Scan& scan,
                    const std::function<void(Columns&, size_t)>& full);
  facts::Reader reader_;
  std::unordered_map<int64_t, double> estimates_;
};

// An attribute may be a table's column, an attribute of facts, or both: then its facts are those of
// both.
class DatabaseSource : public datalog::Source {
 public:
  explicit DatabaseSource(const DatabaseValue& database);
  double estimate(const datalog::Scan& scan) override;
  void scan(const datalog::Scan& scan, const std::function<void(Columns&, size_t)>& full) override;
  bool same_rows(const std::vector<Value>& attributes) override;
  void scan_rows(const datalog::RowScan& scan,
                 const std::function<void(std::vector<Column>&, size_t)>& full) override;
  std::optional<Value> entity(const Value& name) override;
  bool is_ref(const Value& attribute) override;
  bool can_follow(const Value& attribute) override;
  bool is_many(const Value& attribute) override;
  bool is_component(const Value& attribute) override;

 private:
  bool of_tables(const datalog::Scan& scan);
  bool of_facts(const datalog::Scan& scan);
  bool of_facts(const Value& attribute);
  FactSource& facts();

  DatabaseValue database_;
  TableSource tables_;
  bool may_read_facts_;
  std::optional<FactSource> facts_;
};

}  // namespace datahike::query
