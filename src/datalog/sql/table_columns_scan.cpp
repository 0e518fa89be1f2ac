// Tables read by column: when that is better than a query, and how its rows become facts.
#include "datalog/sql/column_scan.h"
#include "datalog/sql/table_source.h"

namespace datahike::query {

using datalog::kAttribute;
using datalog::kEntity;
using datalog::kValue;
using datalog::RowScan;
using datalog::Scan;

namespace {

// A query takes as long as reading so many rows by column before it has found one, and an index so
// much longer for each row that it finds.
constexpr double kRowsPerQuery = 30000;
constexpr double kRowsPerFound = 100;

double found_by(const TableColumn& c, bool constant, const Column* some, bool range) {
  double of_one = c.unique ? 1 : c.distinct > 0 ? c.rows / c.distinct : c.rows * 0.01;
  if (constant) return of_one;
  if (some) return of_one * static_cast<double>(some->size());
  return range ? c.rows * 0.01 : c.rows;
}

// Whether an index or a look-up of entities would find few enough rows.
bool is_better_by_query(double rows, double found) {
  return kRowsPerQuery + found * kRowsPerFound < rows;
}

std::optional<std::unordered_set<int64_t>> entity_numbers(const std::optional<Value>& constant,
                                                          const Column* some) {
  if (!constant && !some) return std::nullopt;
  std::unordered_set<int64_t> numbers;
  auto add = [&](const Value& e) {
    if (e.is(Kind::Long)) numbers.insert(e.as_integer());
  };
  if (constant)
    add(*constant);
  else
    for (const Value& e : *some) add(e);
  return numbers;
}

ScannedColumn scanned(const TableColumn& c) {
  ScannedColumn column;
  column.number = c.number;
  column.type = c.type;
  return column;
}

}  // namespace

bool TableSource::scan_by_column(const Value& attribute, const TableColumn& c, const Scan& scan,
                                 const std::function<void(Columns&, size_t)>& full) {
  if (!c.alone || (scan.references && OidIsValid(c.target))) return false;
  auto entities = entity_numbers(scan.constants[kEntity], scan.some_entities);
  double found = c.rows;
  if (c.indexed)
    found = found_by(c, scan.constants[kValue].has_value(), scan.some_values,
                     scan.least || scan.greatest);
  if (entities) found = std::min(found, static_cast<double>(entities->size()));
  if (is_better_by_query(c.rows, found)) return false;
  ColumnScan by_column;
  by_column.relid = c.relid;
  by_column.entities = scan.wanted[kEntity];
  if (entities) by_column.some_entities = &*entities;
  ScannedColumn& column = by_column.columns.emplace_back(scanned(c));
  column.constant = scan.constants[kValue];
  column.least = scan.least;
  column.greatest = scan.greatest;
  column.some = scan.some_values;
  return scan_columns(database_, by_column, [&](std::vector<Column>& read, size_t rows) {
    Columns columns;
    if (scan.wanted[kEntity]) columns[kEntity] = std::move(read[0]);
    if (scan.wanted[kValue]) columns[kValue] = std::move(read.back());
    if (scan.wanted[kAttribute]) columns[kAttribute] = Column(rows, attribute);
    full(columns, rows);
  });
}

bool TableSource::scan_rows_by_column(
    const RowScan& scan, const std::function<void(std::vector<Column>&, size_t)>& full) {
  const TableColumn& first = *find(scan.values[0].attribute);
  if (!first.alone) return false;
  auto entities = entity_numbers(std::nullopt, scan.some_entities);
  double found = entities ? static_cast<double>(entities->size()) : first.rows;
  ColumnScan by_column;
  by_column.relid = first.relid;
  by_column.entities = true;
  if (entities) by_column.some_entities = &*entities;
  for (const RowScan::Of& of : scan.values) {
    const TableColumn& c = *find(of.attribute);
    if (c.indexed)
      found = std::min(
          found, found_by(c, of.constant.has_value(), of.some_values, of.least || of.greatest));
    ScannedColumn& column = by_column.columns.emplace_back(scanned(c));
    column.constant = of.constant;
    column.least = of.least;
    column.greatest = of.greatest;
    column.some = of.some_values;
  }
  if (is_better_by_query(first.rows, found)) return false;
  return scan_columns(database_, by_column, full);
}

}  // namespace datahike::query
