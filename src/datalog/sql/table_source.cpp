#include "datalog/sql/table_source.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "datalog/sql/row_lookup.h"

extern "C" {
#include "executor/spi.h"
#include "utils/array.h"
}

namespace datahike::query {

using datalog::kAdded;
using datalog::kAttribute;
using datalog::kEntity;
using datalog::kPositions;
using datalog::kTx;
using datalog::kValue;
using datalog::Scan;

namespace {

constexpr long kFetchedAtOnce = 2000;
constexpr int kMostParameters = 50;  // what does not fit is looked at here

// The parameters of a query, for frames without destructors.
struct Parameters {
  int count = 0;
  Oid types[kMostParameters];
  Datum values[kMostParameters];
};

// Rows as a query returns them: tableoid, ctid, value[, tableoid and ctid of what it refers to].
struct Batch {
  size_t rows = 0;
  Oid* tables = nullptr;
  ItemPointerData* tids = nullptr;
  Cell* cells = nullptr;
  Oid* targets = nullptr;
  ItemPointerData* target_tids = nullptr;
};

void fetch(Portal portal, CellType* type, bool references, Batch* out) {
  SPI_cursor_fetch(portal, true, kFetchedAtOnce);
  size_t rows = SPI_processed;
  TupleDesc desc = SPI_tuptable->tupdesc;
  out->rows = rows;
  if (rows == 0) return;
  if (!out->tables) {
    out->tables = static_cast<Oid*>(palloc(sizeof(Oid) * kFetchedAtOnce));
    out->tids = static_cast<ItemPointerData*>(palloc(sizeof(ItemPointerData) * kFetchedAtOnce));
    out->cells = static_cast<Cell*>(palloc(sizeof(Cell) * kFetchedAtOnce));
    out->targets = static_cast<Oid*>(palloc(sizeof(Oid) * kFetchedAtOnce));
    out->target_tids =
        static_cast<ItemPointerData*>(palloc(sizeof(ItemPointerData) * kFetchedAtOnce));
    describe_type(TupleDescAttr(desc, 2)->atttypid, type);
  }
  for (size_t i = 0; i < rows; ++i) {
    Datum values[5];
    bool nulls[5];
    heap_deform_tuple(SPI_tuptable->vals[i], desc, values, nulls);
    out->tables[i] = DatumGetObjectId(values[0]);
    out->tids[i] = *reinterpret_cast<ItemPointer>(DatumGetPointer(values[1]));
    out->cells[i] = cell_of(values[2], nulls[2], type);
    if (references) {
      out->targets[i] = nulls[3] ? InvalidOid : DatumGetObjectId(values[3]);
      if (nulls[3]) continue;
      out->target_tids[i] = *reinterpret_cast<ItemPointer>(DatumGetPointer(values[4]));
    }
  }
}

// The same of `width` columns: cells row by row.
void fetch_rows(Portal portal, CellType* types, int width, Batch* out) {
  SPI_cursor_fetch(portal, true, kFetchedAtOnce);
  size_t rows = out->rows = SPI_processed;
  if (rows == 0) return;
  TupleDesc desc = SPI_tuptable->tupdesc;
  for (int c = 0; c < width; ++c) describe_type(TupleDescAttr(desc, c + 2)->atttypid, &types[c]);
  out->tables = static_cast<Oid*>(palloc(sizeof(Oid) * rows));
  out->tids = static_cast<ItemPointerData*>(palloc(sizeof(ItemPointerData) * rows));
  out->cells = static_cast<Cell*>(palloc(sizeof(Cell) * rows * width));
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * (width + 2)));
  auto* nulls = static_cast<bool*>(palloc(width + 2));
  for (size_t i = 0; i < rows; ++i) {
    heap_deform_tuple(SPI_tuptable->vals[i], desc, values, nulls);
    out->tables[i] = DatumGetObjectId(values[0]);
    out->tids[i] = *reinterpret_cast<ItemPointer>(DatumGetPointer(values[1]));
    for (int c = 0; c < width; ++c)
      out->cells[i * width + c] = cell_of(values[c + 2], nulls[c + 2], &types[c]);
  }
}

bool is_integer(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }
bool is_time(Oid type) { return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID; }
constexpr int64_t kExact = int64_t{1} << 53;  // longs that doubles hold

// The type of a parameter that a column is compared with for this value, which finds at least what
// is equal; InvalidOid: it is looked at here.
Oid parameter_type(const Value& v, Oid column, bool range) {
  if (is_integer(column)) return v.is(Kind::Long) ? INT8OID : InvalidOid;
  if (column == NUMERICOID)
    return v.is(Kind::Long) || v.is(Kind::BigInt) || v.is(Kind::BigDec) ? NUMERICOID : InvalidOid;
  if (column == FLOAT8OID || column == FLOAT4OID) {
    bool exact = v.is(Kind::Long) && v.as_integer() >= -kExact && v.as_integer() <= kExact;
    return v.is(Kind::Double) || exact ? FLOAT8OID : InvalidOid;
  }
  if (is_time(column) && v.is(Kind::Instant) && v.as_instant() > INT64_MIN / 2 &&
      v.as_instant() < INT64_MAX / 2)
    return column == DATEOID && !range && v.as_instant() % 86400000000 ? InvalidOid : column;
  if (range) return InvalidOid;
  if ((column == TEXTOID || column == VARCHAROID) && v.is(Kind::String)) return TEXTOID;
  if (column == BPCHAROID && v.is(Kind::String)) return BPCHAROID;
  if (column == BOOLOID && v.is(Kind::Boolean)) return BOOLOID;
  if (column == UUIDOID && v.is(Kind::Uuid)) return UUIDOID;
  return InvalidOid;
}

class QueryText {
 public:
  QueryText(std::string text, Parameters& parameters)
      : text(std::move(text)), parameters_(parameters) {}
  std::string text;
  // What the conditions that follow are of.
  void of(const TableColumn& column) {
    column_ = column.type;
    column_name_ = column.column;
  }

  void compare(const char* op, const Value& v) {
    Oid type = parameter_type(v, column_, op[0] != '=');
    if (!OidIsValid(type) || parameters_.count == kMostParameters) return;
    bool isnull;
    add(op, type, datum_of(v, type, -1, &isnull));
  }

  void among(const Column& values) {
    Oid type = InvalidOid;
    std::vector<Datum> items;
    for (const Value& v : values) {
      Oid one = parameter_type(v, column_, false);
      // Of another kind than the column: no row has it, or it is looked at here.
      if (!OidIsValid(one)) return;
      type = one;
      bool isnull;
      items.push_back(datum_of(v, one, -1, &isnull));
    }
    if (items.empty() || parameters_.count == kMostParameters) return;
    Datum* data = items.data();
    int count = static_cast<int>(items.size());
    Oid element = type;
    Datum array = pg::call([=] {
      int16 length;
      bool by_value;
      char align;
      get_typlenbyvalalign(element, &length, &by_value, &align);
      return PointerGetDatum(construct_array(data, count, element, length, by_value, align));
    });
    text += " AND t." + column_name_ + " = ANY ($" + std::to_string(parameters_.count + 1) + ")";
    put(pg::call([=] { return get_array_type(element); }), array);
  }
  void rows(Oid table, const std::vector<uint64_t>& rowids) {
    const am::TidBase base = pg::call([=] { return am::tid_base(table); });
    std::vector<ItemPointerData> tids;
    for (uint64_t rowid : rowids) tids.push_back(am::to_tid(base, rowid));
    std::vector<Datum> items;
    for (ItemPointerData& tid : tids) items.push_back(PointerGetDatum(&tid));
    Datum* data = items.data();
    int count = static_cast<int>(items.size());
    text += " AND t.ctid = ANY ($" + std::to_string(parameters_.count + 1) + ")";
    put(pg::call([] { return get_array_type(TIDOID); }), pg::call([=] {
          return PointerGetDatum(
              construct_array(data, count, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT));
        }));
  }

 private:
  void add(const char* op, Oid type, Datum value) {
    text += " AND t." + column_name_ + " " + op + " $" + std::to_string(parameters_.count + 1);
    put(type, value);
  }
  void put(Oid type, Datum value) {
    parameters_.types[parameters_.count] = type;
    parameters_.values[parameters_.count++] = value;
  }
  Oid column_ = InvalidOid;
  std::string column_name_;
  Parameters& parameters_;
};

// An open query; closed by whoever leaves without an error, else by the transaction's end.
Portal open_query(const std::string& text, const Parameters& parameters) {
  const char* query = text.c_str();
  const Parameters* p = &parameters;
  return pg::call([=] {
    return SPI_cursor_open_with_args(nullptr, query, p->count, const_cast<Oid*>(p->types),
                                     const_cast<Datum*>(p->values), nullptr, true, 0);
  });
}

bool is_among(const Value& v, const std::optional<Value>& constant) {
  return !constant || *constant == v;
}

int32_t branch_of(const DatabaseValue& database) {
  if (database.revision.empty()) return -1;
  const char* revision = database.revision.c_str();
  return static_cast<int32_t>(pg::call([=] { return pg::find_branch(revision); }));
}

}  // namespace

double TableSource::estimate(const Scan& scan) {
  if (!scan.constants[kAttribute]) return 1e7;
  const TableColumn* c = find(*scan.constants[kAttribute]);
  if (!c) return 0;
  if (scan.constants[kEntity]) return 1;
  if (scan.constants[kValue])
    return c->unique ? 1 : c->distinct > 0 ? c->rows / c->distinct + 1 : c->rows * 0.01 + 1;
  double rows = c->rows;
  if (scan.least) rows *= 0.4;
  if (scan.greatest) rows *= 0.4;
  return rows;
}

void TableSource::scan(const Scan& scan, const std::function<void(Columns&, size_t)>& full) {
  if (!scan.constants[kAttribute]) {
    for (const Value& attribute : all_attributes()) {
      Scan one = scan;
      one.constants[kAttribute] = attribute;
      this->scan(one, full);
    }
    return;
  }
  const Value& attribute = *scan.constants[kAttribute];
  const TableColumn* column = find(attribute);
  if (!column) return;
  if (scan.constants[kEntity] && (!scan.constants[kEntity]->is(Kind::Long) ||
                                  scan.constants[kEntity]->as_integer() < kFirstRowEntity))
    return;
  bool versions =
      scan.wanted[kTx] || scan.wanted[kAdded] || scan.constants[kTx] || scan.constants[kAdded];
  if (versions)
    scan_versions(attribute, *column, scan, full);
  else if (!scan_by_column(attribute, *column, scan, full) &&
           !scan_entities(attribute, *column, scan, full))
    scan_column(attribute, *column, scan, nullptr, nullptr, full);
}

bool TableSource::scan_entities(const Value& attribute, const TableColumn& c, const Scan& scan,
                                const std::function<void(Columns&, size_t)>& full) {
  std::vector<int64_t> wanted;
  if (scan.constants[kEntity]) {
    wanted.push_back(scan.constants[kEntity]->as_integer());
  } else if (scan.some_entities) {
    for (const Value& e : *scan.some_entities)
      if (e.is(Kind::Long)) wanted.push_back(e.as_integer());
  }
  bool few = !wanted.empty() || scan.some_entities;
  if (!few || !c.alone || database_.history || versioning::current_settings().history) return false;
  if (scan.references && OidIsValid(c.target) && wanted.size() > 100) return false;
  Oid relid = c.relid;
  uint64_t table = pg::call([=] { return pg::find_table_id(relid); });
  auto found = rows_of_entities(table, branch_of(database_), wanted);
  if (!found) return false;
  if (found->entities.empty()) return true;  // of no rows
  std::unordered_set<int64_t> met;
  std::vector<Columns> kept;
  std::vector<size_t> counts;
  scan_column(attribute, c, scan, &found->rowids, &met, [&](Columns& columns, size_t rows) {
    kept.push_back(std::move(columns));
    counts.push_back(rows);
  });
  if (met.size() < found->entities.size()) return false;
  for (size_t i = 0; i < kept.size(); ++i) full(kept[i], counts[i]);
  return true;
}

void TableSource::scan_column(const Value& attribute, const TableColumn& c, const Scan& scan,
                              const std::vector<uint64_t>* rowids, std::unordered_set<int64_t>* met,
                              const std::function<void(Columns&, size_t)>& full) {
  bool references = scan.references && OidIsValid(c.target);
  Parameters parameters;
  bool entities = scan.wanted[kEntity] || scan.constants[kEntity] || scan.some_entities || rowids;
  // System columns need a privilege on the whole table.
  std::string row = entities ? "t.tableoid, t.ctid" : "0::pg_catalog.oid, '(0,1)'::pg_catalog.tid";
  std::string from = "SELECT " + row + ", t." + c.column;
  if (references) from += ", r.tableoid, r.ctid";
  from += " FROM " + c.table + " t";
  if (references)
    from += std::string(rowids ? " LEFT" : "") + " JOIN " + c.target_table + " r ON t." + c.column +
            " = r." + c.target_column;
  QueryText query(
      from + (rowids ? " WHERE true" : " WHERE t." + c.column + " IS DISTINCT FROM NULL"),
      parameters);
  query.of(c);
  if (rowids) {
    query.rows(c.relid, *rowids);
  } else if (!references) {
    if (scan.constants[kValue]) query.compare("=", *scan.constants[kValue]);
    if (scan.least) query.compare(">=", *scan.least);
    if (scan.greatest) query.compare("<=", *scan.greatest);
    if (scan.some_values && !scan.constants[kValue]) query.among(*scan.some_values);
  }
  pg::call([] { SPI_connect(); });
  Portal portal;
  {
    ReadUnder view(database_);
    portal = open_query(query.text, parameters);
  }
  RowEntities rows(branch_of(database_));
  CellType type;
  Batch batch;
  MemoryContext memory = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "datalog scan", ALLOCSET_DEFAULT_SIZES);
  });
  for (;;) {
    CellType* t = &type;
    Batch* b = &batch;
    pg::call([=] {
      MemoryContext before = MemoryContextSwitchTo(memory);
      fetch(portal, t, references, b);
      MemoryContextSwitchTo(before);
    });
    if (batch.rows == 0) break;
    Columns columns;
    size_t count = 0;
    for (size_t i = 0; i < batch.rows; ++i) {
      if (met) met->insert(rows.entity(batch.tables[i], batch.tids[i]));
      if (batch.cells[i].kind == Cell::Null) continue;
      if (references && !OidIsValid(batch.targets[i])) continue;
      Value value = references ? Value::integer(rows.entity(batch.targets[i], batch.target_tids[i]))
                               : value_of(batch.cells[i]);
      if (!is_among(value, scan.constants[kValue])) continue;
      if (entities) {
        Value entity = Value::integer(rows.entity(batch.tables[i], batch.tids[i]));
        if (!is_among(entity, scan.constants[kEntity])) continue;
        if (scan.wanted[kEntity]) columns[kEntity].push_back(std::move(entity));
      }
      if (scan.wanted[kValue]) columns[kValue].push_back(std::move(value));
      if (scan.wanted[kAttribute]) columns[kAttribute].push_back(attribute);
      ++count;
    }
    full(columns, count);
    batch = Batch();
    pg::call([=] {
      SPI_freetuptable(SPI_tuptable);
      MemoryContextReset(memory);
    });
  }
  pg::call([=] {
    SPI_cursor_close(portal);
    SPI_finish();
  });
}

bool TableSource::same_rows(const std::vector<Value>& attributes) {
  const TableColumn* first = attributes.empty() ? nullptr : find(attributes[0]);
  for (const Value& a : attributes)
    if (!first || !find(a) || find(a)->relid != first->relid) return false;
  return first && !database_.history && !versioning::current_settings().history;
}

void TableSource::scan_rows(const datalog::RowScan& scan,
                            const std::function<void(std::vector<Column>&, size_t)>& full) {
  if (scan_rows_by_column(scan, full)) return;
  const TableColumn& first = *find(scan.values[0].attribute);
  if (scan.some_entities && first.alone) {
    std::vector<int64_t> wanted;
    for (const Value& e : *scan.some_entities)
      if (e.is(Kind::Long)) wanted.push_back(e.as_integer());
    Oid relid = first.relid;
    uint64_t table = pg::call([=] { return pg::find_table_id(relid); });
    if (auto found = rows_of_entities(table, branch_of(database_), wanted)) {
      if (found->entities.empty()) return;
      std::unordered_set<int64_t> met;
      std::vector<std::vector<Column>> kept;
      std::vector<size_t> counts;
      read_rows(scan, &found->rowids, &met, [&](std::vector<Column>& columns, size_t rows) {
        kept.push_back(std::move(columns));
        counts.push_back(rows);
      });
      if (met.size() >= found->entities.size()) {
        for (size_t i = 0; i < kept.size(); ++i) full(kept[i], counts[i]);
        return;
      }
    }
  }
  read_rows(scan, nullptr, nullptr, full);
}

void TableSource::read_rows(const datalog::RowScan& scan, const std::vector<uint64_t>* rowids,
                            std::unordered_set<int64_t>* met,
                            const std::function<void(std::vector<Column>&, size_t)>& full) {
  Parameters parameters;
  QueryText query("SELECT t.tableoid, t.ctid", parameters);
  for (const datalog::RowScan::Of& of : scan.values)
    query.text += ", t." + find(of.attribute)->column;
  query.text += " FROM " + find(scan.values[0].attribute)->table + " t WHERE true";
  if (rowids) query.rows(find(scan.values[0].attribute)->relid, *rowids);
  for (const datalog::RowScan::Of& of : scan.values) {
    if (rowids) break;
    const TableColumn& c = *find(of.attribute);
    query.of(c);
    query.text += " AND t." + c.column + " IS DISTINCT FROM NULL";
    if (of.constant) query.compare("=", *of.constant);
    if (of.least) query.compare(">=", *of.least);
    if (of.greatest) query.compare("<=", *of.greatest);
    if (of.some_values && !of.constant) query.among(*of.some_values);
  }
  pg::call([] { SPI_connect(); });
  Portal portal;
  {
    ReadUnder view(database_);
    portal = open_query(query.text, parameters);
  }
  RowEntities rows(branch_of(database_));
  int width = static_cast<int>(scan.values.size());
  std::vector<CellType> types(scan.values.size());
  MemoryContext memory = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "datalog rows", ALLOCSET_DEFAULT_SIZES);
  });
  for (;;) {
    Batch batch;
    Batch* b = &batch;
    CellType* t = types.data();
    pg::call([=] {
      MemoryContext before = MemoryContextSwitchTo(memory);
      fetch_rows(portal, t, width, b);
      MemoryContextSwitchTo(before);
    });
    if (batch.rows == 0) break;
    std::vector<Column> columns(scan.values.size() + 1);
    size_t count = 0;
    std::vector<Value> values(scan.values.size());
    for (size_t i = 0; i < batch.rows; ++i) {
      int64_t entity = rows.entity(batch.tables[i], batch.tids[i]);
      if (met) met->insert(entity);
      bool fits = true;
      for (size_t c = 0; fits && c < values.size(); ++c) {
        const Cell& cell = batch.cells[i * values.size() + c];
        fits = cell.kind != Cell::Null;
        if (!fits) break;
        values[c] = value_of(cell);
        fits = is_among(values[c], scan.values[c].constant);
      }
      if (!fits) continue;
      columns[0].push_back(Value::integer(entity));
      for (size_t c = 0; c < values.size(); ++c) columns[c + 1].push_back(std::move(values[c]));
      ++count;
    }
    full(columns, count);
    pg::call([=] {
      SPI_freetuptable(SPI_tuptable);
      MemoryContextReset(memory);
    });
  }
  pg::call([=] {
    SPI_cursor_close(portal);
    SPI_finish();
  });
}

std::optional<Value> TableSource::entity(const Value& name) {
  if (name.is(Kind::Long)) return name;
  if (!name.is_sequence() || name.items().size() != 2 || !find(name.items()[0]))
    return std::nullopt;
  if (!find(name.items()[0])->unique)
    throw datalog::QueryError(datalog::kInvalid,
                              "a lookup ref needs a unique attribute: " + edn::write(name));
  Scan scan;
  scan.constants[kAttribute] = name.items()[0];
  scan.constants[kValue] = name.items()[1];
  scan.wanted[kEntity] = true;
  std::optional<Value> found;
  this->scan(scan, [&](Columns& columns, size_t rows) {
    if (rows) found = columns[kEntity][0];
  });
  return found;
}

bool TableSource::can_follow(const Value& attribute) {
  const TableColumn* c = find(attribute);
  return c && OidIsValid(c->target);
}

}  // namespace datahike::query
