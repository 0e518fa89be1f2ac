// When the values of tables' columns were added and retracted. A row's version has all its columns
// anew; a value is a fact of its own only where the version before it, if that ended when this one
// began, had another.
#include <unordered_map>

#include "datalog/sql/table_source.h"

#include "am/pending.h"
#include "datom/sql/reader.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

extern "C" {
#include "executor/spi.h"
}

namespace datahike::query {

using datalog::kAdded;
using datalog::kAttribute;
using datalog::kEntity;
using datalog::kTx;
using datalog::kValue;
using datalog::Scan;

namespace {

constexpr long kFetchedAtOnce = 2000;

struct Version {
  int64 added, removed;  // removed 0: it is live
  Value value;           // nil: NULL
};

struct Fact {
  Value value;
  int64 tx;
  bool added, live;
};

// The facts of one entity's versions.
std::vector<Fact> facts_of(std::vector<Version> versions) {
  std::stable_sort(versions.begin(), versions.end(),
                   [](const Version& a, const Version& b) { return a.added < b.added; });
  std::vector<Fact> facts;
  const Version* before = nullptr;
  size_t asserted = 0;  // the fact that the version before has its value from
  for (const Version& v : versions) {
    bool same = before && before->removed == v.added && before->value == v.value;
    if (before && before->removed && !before->value.is_nil() && !same)
      facts.push_back({before->value, before->removed, false, false});
    if (!v.value.is_nil() && !same) {
      asserted = facts.size();
      facts.push_back({v.value, v.added, true, false});
    }
    if (!v.value.is_nil() && !v.removed) facts[asserted].live = true;
    before = &v;
  }
  if (before && before->removed && !before->value.is_nil())
    facts.push_back({before->value, before->removed, false, false});
  return facts;
}

struct Batch {
  size_t rows = 0;
  Oid* tables;
  ItemPointerData* tids;
  Cell* cells;
  int64 *added, *removed;
};

void fetch(Portal portal, CellType* type, Batch* out) {
  SPI_cursor_fetch(portal, true, kFetchedAtOnce);
  size_t rows = out->rows = SPI_processed;
  if (rows == 0) return;
  TupleDesc desc = SPI_tuptable->tupdesc;
  out->tables = static_cast<Oid*>(palloc(sizeof(Oid) * rows));
  out->tids = static_cast<ItemPointerData*>(palloc(sizeof(ItemPointerData) * rows));
  out->cells = static_cast<Cell*>(palloc(sizeof(Cell) * rows));
  out->added = static_cast<int64*>(palloc(sizeof(int64) * rows));
  out->removed = static_cast<int64*>(palloc(sizeof(int64) * rows));
  describe_type(TupleDescAttr(desc, 2)->atttypid, type);
  for (size_t i = 0; i < rows; ++i) {
    Datum values[5];
    bool nulls[5];
    heap_deform_tuple(SPI_tuptable->vals[i], desc, values, nulls);
    out->tables[i] = DatumGetObjectId(values[0]);
    out->tids[i] = *reinterpret_cast<ItemPointer>(DatumGetPointer(values[1]));
    out->cells[i] = cell_of(values[2], nulls[2], type);
    out->added[i] = nulls[3] ? 0 : DatumGetInt64(values[3]);
    out->removed[i] = nulls[4] ? 0 : DatumGetInt64(values[4]);
  }
}

// What a query of one row and column says under a database value; palloc'd.
char* ask(const DatabaseValue& database, const char* query) {
  ReadUnder view(database);
  return pg::call([=] {
    if (SPI_execute(query, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
      elog(ERROR, "no answer to \"%s\"", query);
    return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
  });
}

}  // namespace

void TableSource::scan_versions(const Value& attribute, const TableColumn& c, const Scan& scan,
                                const std::function<void(Columns&, size_t)>& full) {
  Oid relid = c.relid;
  if (am::has_pending_of(pg::call([=] { return pg::find_table_id(relid); })))
    throw datalog::QueryError(
        datalog::kUnsupported,
        "this transaction has changed " + c.table + ", and its changes have no tx yet",
        "Commit first, or leave tx out of the pattern.");
  pg::call([] { SPI_connect(); });
  DatabaseValue state = database_;
  state.history = false;
  state.since.clear();
  std::string commit = ask(state, "SELECT datahike.commit_id()");
  // The session's settings count where the database value names no revision.
  const versioning::SessionView session = versioning::current_settings();
  const bool named = !database_.revision.empty();
  const bool all = database_.history || (!named && session.history);
  const std::string from =
      database_.since.empty() && !named ? std::string(session.since) : database_.since;
  const int64 since = from.empty() ? -1 : static_cast<int64>(facts::commit_tx_at(commit, from));
  std::string text = "SELECT t.tableoid, t.ctid, t." + c.column +
                     ", (datahike.row_origin(t.tableoid, t.ctid, '" + commit +
                     "')).tx, (datahike.row_removal(t.tableoid, t.ctid, '" + commit +
                     "')).tx FROM " + c.table + " t";
  DatabaseValue history;
  history.revision = commit;
  history.history = true;
  const char* query = text.c_str();
  Portal portal;
  {
    ReadUnder view(history);
    portal = pg::call([=] {
      return SPI_cursor_open_with_args(nullptr, query, 0, nullptr, nullptr, nullptr, true, 0);
    });
  }
  std::unordered_map<int64_t, std::vector<Version>> versions;
  RowEntities rows(-1);
  MemoryContext memory = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "datalog versions", ALLOCSET_DEFAULT_SIZES);
  });
  for (;;) {
    CellType type;
    CellType* t = &type;
    Batch batch;
    Batch* b = &batch;
    pg::call([=] {
      MemoryContext before = MemoryContextSwitchTo(memory);
      fetch(portal, t, b);
      MemoryContextSwitchTo(before);
    });
    if (batch.rows == 0) break;
    for (size_t i = 0; i < batch.rows; ++i)
      versions[rows.entity(batch.tables[i], batch.tids[i])].push_back(
          {batch.added[i], batch.removed[i], value_of(batch.cells[i])});
    pg::call([=] {
      SPI_freetuptable(SPI_tuptable);
      MemoryContextReset(memory);
    });
  }
  pg::call([=] {
    SPI_cursor_close(portal);
    SPI_finish();
  });
  Columns columns;
  size_t count = 0;
  for (auto& [entity, of_entity] : versions) {
    for (const Fact& f : facts_of(std::move(of_entity))) {
      if (f.tx <= since || (!all && !f.live)) continue;
      Value row[] = {Value::integer(entity), attribute, f.value, Value::integer(f.tx),
                     Value::boolean(f.added)};
      bool fits = true;
      for (size_t i = 0; i < std::size(row); ++i)
        fits = fits && (!scan.constants[i] || *scan.constants[i] == row[i]);
      if (!fits) continue;
      for (size_t i = 0; i < std::size(row); ++i)
        if (scan.wanted[i]) columns[i].push_back(std::move(row[i]));
      ++count;
    }
  }
  full(columns, count);
}

}  // namespace datahike::query
