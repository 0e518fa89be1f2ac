#include "datom/sql/row_statement.h"

#include "am/relation.h"
#include "pg/bridge.h"

extern "C" {
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
}

namespace datahike::facts {

#define DATAHIKE_EACH "FROM pg_catalog.json_each(pg_catalog.row_to_json(row.*)) AS each "
#define DATAHIKE_NOT_NULL "WHERE pg_catalog.json_typeof(each.value) OPERATOR(pg_catalog.<>) 'null')"
const char* const kRowImage =
    "row.tableoid, row.ctid, "
    "ARRAY(SELECT each.key " DATAHIKE_EACH DATAHIKE_NOT_NULL
    ", "
    "ARRAY(SELECT each.value::pg_catalog.text " DATAHIKE_EACH DATAHIKE_NOT_NULL;
#undef DATAHIKE_EACH
#undef DATAHIKE_NOT_NULL

namespace {

struct RawRow {
  Oid table;
  ItemPointerData tid;
  int columns;
  char **names, **values;
};
struct RawRows {
  uint64_t count;
  RawRow* rows;
};

char** texts(Datum array, int* count) {
  Datum* items;
  bool* nulls;
  deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls,
                    count);
  auto** out = static_cast<char**>(palloc(sizeof(char*) * (static_cast<Size>(*count) + 1)));
  for (int i = 0; i < *count; ++i) out[i] = TextDatumGetCString(items[i]);
  return out;
}

// Rows are in the current memory context.
RawRows execute(const char* sql, int count, const Oid* types, const Datum* values,
                const char* nulls) {
  MemoryContext context = CurrentMemoryContext;
  SPI_connect();
  int code = SPI_execute_with_args(sql, count, const_cast<Oid*>(types), const_cast<Datum*>(values),
                                   nulls, false, 0);
  if (code < 0) elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(code));
  RawRows out{SPI_tuptable ? SPI_tuptable->numvals : 0, nullptr};
  SPITupleTable* table = SPI_tuptable;
  MemoryContext spi = MemoryContextSwitchTo(context);
  out.rows = static_cast<RawRow*>(palloc(sizeof(RawRow) * (out.count + 1)));
  for (uint64_t i = 0; i < out.count; ++i) {
    Datum v[4];
    bool n[4];
    heap_deform_tuple(table->vals[i], table->tupdesc, v, n);
    RawRow& row = out.rows[i];
    row.table = DatumGetObjectId(v[0]);
    row.tid = *reinterpret_cast<ItemPointer>(DatumGetPointer(v[1]));
    row.names = texts(v[2], &row.columns);
    row.values = texts(v[3], &row.columns);
  }
  MemoryContextSwitchTo(spi);
  SPI_finish();
  MemoryContextSwitchTo(context);
  return out;
}

}  // namespace

std::string RowStatement::add(Oid type, Datum value, bool isnull) {
  types_.push_back(type);
  values_.push_back(value);
  nulls_.push_back(isnull ? 'n' : ' ');
  return "$" + std::to_string(types_.size());
}

std::string RowStatement::add(const edn::Value& value, Oid type, int32 typmod) {
  bool isnull;
  Datum datum = query::datum_of(value, type, typmod, &isnull);
  return add(type, datum, isnull);
}

std::string RowStatement::add_rows(Oid table, const std::vector<uint64_t>& rowids) {
  const uint64_t* first = rowids.data();
  const size_t count = rowids.size();
  return add(
      TIDARRAYOID, pg::call([=] {
        const am::TidBase base = am::tid_base(table);
        auto* tids = static_cast<ItemPointerData*>(palloc(sizeof(ItemPointerData) * (count + 1)));
        auto* items = static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
        for (size_t i = 0; i < count; ++i) {
          tids[i] = am::to_tid(base, first[i]);
          items[i] = PointerGetDatum(&tids[i]);
        }
        return PointerGetDatum(construct_array(items, static_cast<int>(count), TIDOID,
                                               sizeof(ItemPointerData), false, TYPALIGN_SHORT));
      }));
}

std::string RowStatement::add(const std::vector<Oid>& tables) {
  const Oid* first = tables.data();
  const size_t count = tables.size();
  return add(OIDARRAYOID, pg::call([=] {
               auto* items = static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
               for (size_t i = 0; i < count; ++i) items[i] = ObjectIdGetDatum(first[i]);
               return PointerGetDatum(construct_array(items, static_cast<int>(count), OIDOID,
                                                      sizeof(Oid), true, TYPALIGN_INT));
             }));
}

std::vector<RowImage> RowStatement::run() const {
  const char* text = sql.c_str();
  const auto count = static_cast<int>(types_.size());
  const Oid* types = types_.data();
  const Datum* values = values_.data();
  const char* nulls = nulls_.c_str();
  RawRows raw = pg::call([=] { return execute(text, count, types, values, nulls); });
  std::vector<RowImage> rows(raw.count);
  for (uint64_t i = 0; i < raw.count; ++i) {
    const RawRow& from = raw.rows[i];
    rows[i].table = from.table;
    rows[i].tid = from.tid;
    for (int c = 0; c < from.columns; ++c)
      rows[i].columns.emplace_back(query::to_utf8(from.names[c]), query::to_utf8(from.values[c]));
  }
  return rows;
}

}  // namespace datahike::facts
