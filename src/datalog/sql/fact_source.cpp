#include "datalog/sql/fact_source.h"

#include "datalog/sql/foreign_source.h"
#include "datom/edn_values.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

namespace datahike::query {

using datalog::kAdded;
using datalog::kAttribute;
using datalog::kEntity;
using datalog::kTx;
using datalog::kValue;
using datalog::Scan;

namespace {

constexpr size_t kMostLookups = 200;  // one by one, before all of an attribute is read

// The value as facts of the attribute have it; nullopt: none of its type, though it may be equal to
// one.
std::optional<datom::Value> stored_form(const datom::Attribute& attribute, const Value& v) {
  if (attribute.type == datom::Type::Nil) return std::nullopt;
  try {
    return datom::from_edn(v, attribute, datom::Notation::Edn);
  } catch (const datom::FactError&) {
    return std::nullopt;
  } catch (const datom::ValueError&) {
    return std::nullopt;
  }
}

bool may_read_facts() {
  Oid relid = get_relname_relid("facts", pg::extension().schema);
  return OidIsValid(relid) && pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

}  // namespace

FactSource::FactSource(const DatabaseValue& d)
    : reader_(facts::Source{d.revision, d.as_of, d.since, d.history}) {}

const datom::Attribute* FactSource::find(const Value& attribute) {
  if (attribute.is(Kind::Long)) return reader_.attribute(attribute.as_integer());
  return attribute.is(Kind::Keyword) ? reader_.attribute(attribute.text()) : nullptr;
}

double FactSource::estimate(const Scan& scan) {
  facts::Pattern pattern;
  if (scan.constants[kAttribute]) {
    const datom::Attribute* a = find(*scan.constants[kAttribute]);
    if (!a) return 0;
    pattern.a = a->id;
    if (scan.constants[kValue] && a->unique != datom::Unique::No) return 1;
  }
  if (scan.constants[kEntity] && scan.constants[kEntity]->is(Kind::Long)) return 10;
  // The planner is asked once for each attribute: a value is taken to be a hundredth of it.
  auto [known, is_new] = estimates_.try_emplace(pattern.a.value_or(0));
  if (is_new) {
    facts::Pattern all;
    all.a = pattern.a;
    known->second = reader_.estimate(all);
  }
  return scan.constants[kValue] ? known->second * 0.01 + 1 : known->second;
}

void FactSource::scan_pattern(const facts::Pattern& pattern, const Scan& scan,
                              const std::function<void(Columns&, size_t)>& full) {
  std::unordered_map<int64_t, Value> names;
  reader_.scan(pattern, [&](std::span<const datom::Datom> datoms) {
    Columns columns;
    size_t count = 0;
    for (const datom::Datom& d : datoms) {
      auto [name, is_new] = names.try_emplace(d.a);
      if (is_new) {
        const datom::Attribute* a = reader_.attribute(d.a);
        name->second = a ? Value::keyword(a->ident) : Value::integer(d.a);
      }
      Value row[] = {Value::integer(d.e), name->second, datom::to_edn(d.v), Value::integer(d.tx),
                     Value::boolean(d.added)};
      bool fits = true;
      for (size_t i = 0; i < std::size(row); ++i) {
        if (i == kAttribute && pattern.a) continue;
        fits = fits && (!scan.constants[i] || *scan.constants[i] == row[i]);
      }
      if (!fits) continue;
      for (size_t i = 0; i < std::size(row); ++i)
        if (scan.wanted[i]) columns[i].push_back(std::move(row[i]));
      ++count;
    }
    full(columns, count);
    return true;
  });
}

void FactSource::scan(const Scan& scan, const std::function<void(Columns&, size_t)>& full) {
  facts::Pattern pattern;
  const datom::Attribute* attribute = nullptr;
  if (scan.constants[kAttribute]) {
    attribute = find(*scan.constants[kAttribute]);
    if (!attribute) return;
    pattern.a = attribute->id;
  }
  if (scan.constants[kEntity]) {
    if (!scan.constants[kEntity]->is(Kind::Long)) return;
    pattern.e = scan.constants[kEntity]->as_integer();
  }
  if (attribute && scan.constants[kValue]) {
    pattern.from = pattern.to = stored_form(*attribute, *scan.constants[kValue]);
  } else if (attribute) {
    if (scan.least) pattern.from = stored_form(*attribute, *scan.least);
    if (scan.greatest) pattern.to = stored_form(*attribute, *scan.greatest);
  }
  if (!pattern.e && scan.some_entities && scan.some_entities->size() <= kMostLookups) {
    for (const Value& e : *scan.some_entities) {
      if (!e.is(Kind::Long)) continue;
      pattern.e = e.as_integer();
      scan_pattern(pattern, scan, full);
    }
    return;
  }
  if (attribute && !pattern.e && !scan.constants[kValue] && scan.some_values &&
      scan.some_values->size() <= kMostLookups) {
    std::vector<datom::Value> values;
    for (const Value& v : *scan.some_values)
      if (auto stored = stored_form(*attribute, v)) values.push_back(std::move(*stored));
    if (values.size() == scan.some_values->size()) {
      for (const datom::Value& v : values) {
        pattern.from = pattern.to = v;
        scan_pattern(pattern, scan, full);
      }
      return;
    }
  }
  scan_pattern(pattern, scan, full);
}

std::optional<Value> FactSource::entity(const Value& name) {
  if (name.is(Kind::Long)) return name;
  std::optional<int64_t> found;
  if (name.is(Kind::Keyword)) {
    found = reader_.entity_of_ident(name.text());
  } else if (name.is_sequence() && name.items().size() == 2) {
    const datom::Attribute* a = find(name.items()[0]);
    if (!a) return std::nullopt;
    if (a->unique == datom::Unique::No)
      throw datalog::QueryError(datalog::kInvalid,
                                "a lookup ref needs a unique attribute: " + edn::write(name));
    if (auto stored = stored_form(*a, name.items()[1])) found = reader_.entity_of(*a, *stored);
  }
  return found ? std::optional(Value::integer(*found)) : std::nullopt;
}

bool FactSource::is_ref(const Value& attribute) {
  const datom::Attribute* a = find(attribute);
  return a && a->type == datom::Type::Ref;
}
bool FactSource::is_many(const Value& attribute) {
  const datom::Attribute* a = find(attribute);
  return a && a->many;
}
bool FactSource::is_component(const Value& attribute) {
  const datom::Attribute* a = find(attribute);
  return a && a->component;
}

DatabaseSource::DatabaseSource(const DatabaseValue& database)
    : database_(database),
      tables_(database),
      may_read_facts_(pg::call([] { return may_read_facts(); })) {}

FactSource& DatabaseSource::facts() {
  if (!facts_) facts_.emplace(database_);
  return *facts_;
}

bool DatabaseSource::of_tables(const Scan& scan) {
  return !scan.constants[kAttribute] || tables_.has(*scan.constants[kAttribute]);
}

// Who may not read facts reads tables all the same, but is told where only facts could answer.
bool DatabaseSource::of_facts(const Value& attribute) {
  bool may_be = may_read_facts_ || !tables_.has(attribute);
  if (!may_read_facts_ && may_be) tables_.refuse(attribute);
  if (may_be && facts().has(attribute)) return true;
  tables_.refuse(attribute);
  return false;
}
bool DatabaseSource::of_facts(const Scan& scan) {
  return scan.constants[kAttribute] ? of_facts(*scan.constants[kAttribute]) : may_read_facts_;
}

double DatabaseSource::estimate(const Scan& scan) {
  return (of_tables(scan) ? tables_.estimate(scan) : 0) +
         (of_facts(scan) ? facts().estimate(scan) : 0);
}

void DatabaseSource::scan(const Scan& scan, const std::function<void(Columns&, size_t)>& full) {
  if (of_tables(scan)) tables_.scan(scan, full);
  if (of_facts(scan)) facts().scan(scan, full);
}

bool DatabaseSource::same_rows(const std::vector<Value>& attributes) {
  if (!tables_.same_rows(attributes)) return false;
  for (const Value& a : attributes)
    if (of_facts(a)) return false;
  return true;
}

void DatabaseSource::scan_rows(const datalog::RowScan& scan,
                               const std::function<void(std::vector<Column>&, size_t)>& full) {
  tables_.scan_rows(scan, full);
}

std::optional<Value> DatabaseSource::entity(const Value& name) {
  if (name.is(Kind::Long)) return name;
  bool lookup = name.is_sequence() && !name.items().empty();
  if (lookup && tables_.has(name.items()[0])) {
    const Value& attribute = name.items()[0];
    if (tables_.is_unique(attribute) || !of_facts(attribute))
      if (auto found = tables_.entity(name)) return found;
  }
  if (lookup && !of_facts(name.items()[0])) return std::nullopt;
  return facts().entity(name);
}

bool DatabaseSource::is_ref(const Value& a) { return of_facts(a) && facts().is_ref(a); }
bool DatabaseSource::can_follow(const Value& a) { return tables_.can_follow(a) || is_ref(a); }
bool DatabaseSource::is_many(const Value& a) { return of_facts(a) && facts().is_many(a); }
bool DatabaseSource::is_component(const Value& a) { return of_facts(a) && facts().is_component(a); }

std::shared_ptr<datalog::Source> open_database(const DatabaseValue& database) {
  if (!database.server.empty()) return open_foreign_database(database);
  return std::make_shared<DatabaseSource>(database);
}

}  // namespace datahike::query
