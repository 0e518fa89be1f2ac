#include "datom/row_changes.h"

#include <algorithm>

namespace datahike::datom {

namespace {

bool is_row(int64_t e) { return e >= kFirstRow && e < kFirstTx; }

}  // namespace

RowChanges::Row& RowChanges::row_of(const EntityRef& e, const Attribute& column) {
  Row row;
  row.table = column.table;
  if (const std::string* name = ids_.unwritten_row(e)) {
    auto [at, is_new] = by_name_.try_emplace(*name, rows_.size());
    row.name = *name;
    if (is_new) rows_.push_back(std::move(row));
    return rows_[at->second];
  }
  row.e = ids_.resolve(e);
  if (!is_row(row.e))
    throw FactError("22023", "entity " + std::to_string(row.e) +
                                 " is no row of a table, so it has no :" + column.ident);
  if (deleted_.contains(row.e))
    throw FactError("22023", "row " + std::to_string(row.e) + " is retracted by the transaction");
  auto [at, is_new] = by_entity_.try_emplace({row.e, column.table}, rows_.size());
  if (is_new) rows_.push_back(std::move(row));
  return rows_[at->second];
}

RowValue* RowChanges::find(Row& row, const Attribute& column) {
  for (RowValue& v : row.values)
    if (v.column == &column) return &v;
  return nullptr;
}

void RowChanges::set(Row& row, const Attribute& column, edn::Value value) {
  if (RowValue* v = find(row, column))
    v->value = std::move(value);
  else
    row.values.push_back({&column, std::move(value)});
}

// `actual`: what it has instead, as text.
bool RowChanges::has(Row& row, const RowValue& expected, std::string* actual) {
  RowValue* given = find(row, *expected.column);
  if (given || row.e == 0) {
    const edn::Value now = given ? given->value : edn::Value();
    *actual = edn::write(now);
    return now == expected.value;
  }
  std::optional<std::string> other = db_.other_value(row.e, expected);
  if (other) *actual = *other;
  return !other;
}

void RowChanges::compare_and_swap(Row& row, const Op& op) {
  std::string actual;
  if (!has(row, {op.a, op.old ? op.old->written : edn::Value()}, &actual))
    throw FactError("40001", ":db.fn/cas failed on datom [" + std::to_string(row.e) + " :" +
                                 op.a->ident + " " + actual + "], expected " +
                                 edn::write(op.old_text));
  set(row, *op.a, op.v.written);
}

// What was to be written to the row before is not.
void RowChanges::remove(int64_t e) {
  if (!deleted_.insert(e).second) return;
  for (Row& row : rows_)
    if (row.e == e) row.values.clear();
  Row row;
  row.e = e;
  row.is_deleted = true;
  rows_.push_back(std::move(row));
}

void RowChanges::take(const Op& op) {
  // Rows that others refer to are found as they are before anything is written.
  if (op.v.is_entity && op.v.entity.kind == EntityRef::Kind::Lookup &&
      op.v.entity.attribute->is_column())
    ids_.resolve(op.v.entity);
  if (op.kind == Op::Kind::RetractEntity) {
    const int64_t e = ids_.resolve(op.e);
    if (is_row(e)) remove(e);
    return;
  }
  if (!op.a->is_column()) return;
  Row& row = row_of(op.e, *op.a);
  std::string actual;
  switch (op.kind) {
    case Op::Kind::Add:
      return set(row, *op.a, op.v.written);
    case Op::Kind::Retract:
      if (has(row, {op.a, op.v.written}, &actual)) set(row, *op.a, edn::Value());
      return;
    case Op::Kind::RetractAttribute:
      return set(row, *op.a, edn::Value());
    case Op::Kind::Cas:
      return compare_and_swap(row, op);
    case Op::Kind::RetractEntity:
    case Op::Kind::Ensure:
      return;
  }
}

std::vector<RowDatom> RowChanges::write() {
  std::vector<RowDatom> changed;
  for (const Row& row : rows_) {
    if (row.is_deleted) {
      if (!db_.delete_row(row.e, changed))
        throw FactError("02000", "Nothing found for entity id " + std::to_string(row.e));
    } else if (row.e != 0) {
      if (!row.values.empty()) db_.update_row(row.e, row.values, changed);
    } else if (std::optional<int64_t> e = db_.insert_row(row.values, changed)) {
      ids_.bind_row(row.name, *e);
    }
  }
  return changed;
}

}  // namespace datahike::datom
