#include "datom/sql/keyed_rows.h"

#include "datalog/sql/values.h"
#include "datom/sql/tables_of_method.h"
#include "pg/catalog.h"

extern "C" {
#include "catalog/partition.h"
#include "commands/defrem.h"
}

namespace datahike::facts {

namespace {

constexpr long kRowsAtOnce = 1000;

struct RawNames {
  Oid table;
  char *schema, *name;
  int count;
  char** columns;
};

void put_name(RawNames* out, Relation rel, int column) {
  out->columns[out->count++] = pstrdup(NameStr(TupleDescAttr(rel->rd_att, column)->attname));
}

// False: it has no primary key.
bool put_key(RawNames* out, Relation rel) {
  const Oid key = RelationGetPrimaryKeyIndex(rel);
  if (!OidIsValid(key)) return false;
  Relation index = index_open(key, AccessShareLock);
  for (int i = 0; i < index->rd_index->indnkeyatts; ++i)
    put_name(out, rel, index->rd_index->indkey.values[i] - 1);
  index_close(index, AccessShareLock);
  return true;
}

bool name_by_key(RawNames* out, Oid table) {
  Relation rel = table_open(table, AccessShareLock);
  out->table = table;
  const bool has_key = put_key(out, rel);
  table_close(rel, AccessShareLock);
  return has_key;
}

void name_by_all_columns(RawNames* out, Oid table) {
  Relation rel = table_open(table, AccessShareLock);
  out->table = table;
  for (int i = 0; i < rel->rd_att->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, i);
    if (!attribute->attisdropped && !attribute->attgenerated) put_name(out, rel, i);
  }
  table_close(rel, AccessShareLock);
}

RawNames names_of(Oid table) {
  RawNames out{};
  out.columns = static_cast<char**>(palloc(sizeof(char*) * MaxHeapAttributeNumber));
  bool found = false;
  if (get_rel_relispartition(table)) {
    List* ancestors = get_partition_ancestors(table);  // the topmost last
    for (int i = list_length(ancestors); i > 0 && !found; --i)
      found = name_by_key(&out, list_nth_oid(ancestors, i - 1));
  }
  if (!found && !name_by_key(&out, table)) name_by_all_columns(&out, table);
  out.schema = get_namespace_name(get_rel_namespace(out.table));
  out.name = get_rel_name(out.table);
  return out;
}

// Temporary tables are in no dump. A materialized view that has not been filled has no rows, and
// may not be read.
bool is_dumped(Form_pg_class c) {
  return c->relpersistence != RELPERSISTENCE_TEMP && c->relispopulated &&
         (c->relkind == RELKIND_RELATION || c->relkind == RELKIND_MATVIEW);
}

struct RawRow {
  Oid table;
  ItemPointerData tid;
  char** key;
};
struct RawRows {
  uint64_t count;
  RawRow* rows;
};

Portal open_rows(const char* sql) {
  MemoryContext context = CurrentMemoryContext;
  SPI_connect();
  SPIPlanPtr plan = SPI_prepare(sql, 0, nullptr);
  if (!plan) elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
  Portal portal = SPI_cursor_open(nullptr, plan, nullptr, nullptr, true);
  SPI_finish();
  MemoryContextSwitchTo(context);
  return portal;
}

// In the current memory context.
RawRows fetch_rows(Portal portal, int columns) {
  MemoryContext context = CurrentMemoryContext;
  SPI_connect();
  SPI_cursor_fetch(portal, true, kRowsAtOnce);
  SPITupleTable* table = SPI_tuptable;
  RawRows out{table->numvals, nullptr};
  out.rows =
      static_cast<RawRow*>(MemoryContextAlloc(context, sizeof(RawRow) * (table->numvals + 1)));
  for (uint64_t i = 0; i < out.count; ++i) {
    HeapTuple tuple = table->vals[i];
    bool isnull;
    RawRow& row = out.rows[i];
    row.table = DatumGetObjectId(SPI_getbinval(tuple, table->tupdesc, 1, &isnull));
    row.tid = *reinterpret_cast<ItemPointer>(
        DatumGetPointer(SPI_getbinval(tuple, table->tupdesc, 2, &isnull)));
    row.key = static_cast<char**>(
        MemoryContextAlloc(context, sizeof(char*) * (static_cast<Size>(columns) + 1)));
    for (int c = 0; c < columns; ++c) {
      char* text = SPI_getvalue(tuple, table->tupdesc, 3 + c);
      row.key[c] = text ? MemoryContextStrdup(context, text) : nullptr;
    }
  }
  SPI_finish();
  MemoryContextSwitchTo(context);
  return out;
}

std::string select_rows(Oid table, const std::vector<std::string>& columns) {
  std::string sql = "SELECT row.tableoid, row.ctid";
  for (const std::string& column : columns) {
    char* name = query::from_utf8(column);
    sql += std::string(", row.") + pg::call([=] { return quote_identifier(name); });
  }
  const char* from = pg::call([=] {
    const char* name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
                                                  get_rel_name(table));
    return get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE ? name : psprintf("ONLY %s", name);
  });
  return sql + " FROM " + from + " AS row";
}

// As pg_dump has them, whatever its options, so that text is the same where the value is. Rows that
// a policy hides are an error.
constexpr std::pair<const char*, const char*> kDumpSettings[] = {
    {"search_path", "pg_catalog, pg_temp"},
    {"datestyle", "ISO"},
    {"intervalstyle", "postgres"},
    {"extra_float_digits", "3"},
    {"bytea_output", "hex"},
    {"lc_monetary", "C"},
    {"quote_all_identifiers", "off"},  // in text of regclass and the like
    {"timezone", "UTC"},
    {"row_security", "off"}};

}  // namespace

KeyedTable keyed_table(Oid table) {
  const RawNames names = pg::call([=] { return names_of(table); });
  KeyedTable out{names.table, query::to_utf8(names.schema), query::to_utf8(names.name), {}};
  for (int i = 0; i < names.count; ++i) out.columns.push_back(query::to_utf8(names.columns[i]));
  return out;
}

Oid find_table_named(const std::string& schema, const std::string& name) {
  const char* s = query::from_utf8(schema);
  const char* n = query::from_utf8(name);
  return pg::call([=] {
    const Oid space = get_namespace_oid(s, true);
    const Oid table = OidIsValid(space) ? get_relname_relid(n, space) : InvalidOid;
    const char kind = OidIsValid(table) ? get_rel_relkind(table) : '\0';
    return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_MATVIEW
               ? table
               : InvalidOid;
  });
}

std::vector<Oid> dumped_tables() {
  const TableIds raw = pg::call([] { return tables_of_method(is_dumped); });
  return {raw.oids, raw.oids + raw.count};
}

void each_keyed_row(Oid table, const std::vector<std::string>& columns,
                    const std::function<bool(const KeyedRow&)>& row) {
  with_settings(kDumpSettings, [&] {
    const std::string sql = select_rows(table, columns);
    Portal portal = pg::call([s = sql.c_str()] { return open_rows(s); });
    MemoryContext outer = CurrentMemoryContext;
    MemoryContext context = pg::call([] {
      return AllocSetContextCreate(CurrentMemoryContext, "keyed rows", ALLOCSET_DEFAULT_SIZES);
    });
    const int width = static_cast<int>(columns.size());
    KeyedRow next;
    for (bool more = true; more;) {
      const RawRows batch = pg::call([=] {
        CHECK_FOR_INTERRUPTS();
        MemoryContextReset(context);
        MemoryContextSwitchTo(context);
        RawRows rows = fetch_rows(portal, width);
        MemoryContextSwitchTo(outer);
        return rows;
      });
      more = batch.count == static_cast<uint64_t>(kRowsAtOnce);
      for (uint64_t i = 0; i < batch.count; ++i) {
        const RawRow& raw = batch.rows[i];
        next.table = raw.table;
        next.tid = raw.tid;
        next.key.clear();
        MemoryContextSwitchTo(context);
        for (int c = 0; c < width; ++c)
          next.key.push_back(raw.key[c] ? std::optional(query::to_utf8(raw.key[c])) : std::nullopt);
        MemoryContextSwitchTo(outer);
        if (!row(next)) {
          more = false;
          break;
        }
      }
    }
    pg::call([=] {
      close_cursor(portal);
      MemoryContextDelete(context);
    });
  });
}

}  // namespace datahike::facts
