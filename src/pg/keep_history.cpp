#include "pg/keep_history.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/catalog_scan.h"

extern "C" {
#include "utils/datetime.h"
}

namespace datahike::pg {

char* setting_keep_history = nullptr;

namespace {

constexpr int64_t kMostDays = 365'000;
int64_t keep_setting = kKeepAll;  // setting_keep_history, parsed

bool check(char** value, void** extra, GucSource) {
  int64_t microseconds;
  if (!parse_keep_history(*value, &microseconds)) {
    GUC_check_errcode(ERRCODE_INVALID_PARAMETER_VALUE);
    GUC_check_errhint("Give all, none, or an interval such as '7 days'.");
    return false;
  }
  *extra = malloc(sizeof microseconds);
  if (!*extra) return false;
  std::memcpy(*extra, &microseconds, sizeof microseconds);
  return true;
}

void assign(const char*, void* extra) { std::memcpy(&keep_setting, extra, sizeof keep_setting); }

// The row of a table, or an invalid tuple. The scan stays open for the caller to end.
HeapTuple find_row(Relation relation, uint64_t table, CatalogScan* scan) {
  ScanKeyData key;
  ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(static_cast<int64_t>(table)));
  *scan = begin_catalog_scan(relation, extension().table_history_key, 1, &key);
  return next_in_catalog(*scan);
}

int64_t keep_in(HeapTuple tuple, TupleDesc desc) {
  bool isnull;
  int64_t keep;
  char* value = TextDatumGetCString(heap_getattr(tuple, 2, desc, &isnull));
  // Only set_keep_of_table() writes it; what a later version may have written keeps everything.
  return parse_keep_history(value, &keep) ? keep : kKeepAll;
}

struct FoundTables {
  TableKeep* rows;
  size_t count, capacity;
  void add(uint64_t table, int64_t keep) {
    if (count == capacity) {
      capacity = capacity ? capacity * 2 : 64;
      size_t bytes = capacity * sizeof(TableKeep);
      rows = static_cast<TableKeep*>(rows ? repalloc(rows, bytes) : palloc(bytes));
    }
    rows[count++] = {table, keep};
  }
};

// Calls visit(tuple, descriptor) for each row of one of the extension's small tables.
template <class Visit>
void for_each_row(Oid relation, Visit&& visit) {
  Relation rel = table_open(relation, AccessShareLock);
  const CatalogScan scan = begin_catalog_scan(rel, InvalidOid, 0, nullptr);
  HeapTuple tuple;
  while (HeapTupleIsValid(tuple = next_in_catalog(scan))) visit(tuple, RelationGetDescr(rel));
  end_catalog_scan(scan);
  table_close(rel, AccessShareLock);
}

}  // namespace

bool parse_keep_history(const char* text, int64_t* microseconds) {
  if (pg_strcasecmp(text, "all") == 0) {
    *microseconds = kKeepAll;
    return true;
  }
  if (pg_strcasecmp(text, "none") == 0) {
    *microseconds = 0;
    return true;
  }
  char work[256];
  char* fields[MAXDATEFIELDS];
  int types[MAXDATEFIELDS], count, kind;
  pg_itm_in in{};
  if (ParseDateTime(text, work, sizeof work, fields, types, MAXDATEFIELDS, &count) != 0 ||
      DecodeInterval(fields, types, count, INTERVAL_FULL_RANGE, &kind, &in) != 0 ||
      kind != DTK_DELTA)
    return false;
  int64_t days =
      int64_t{in.tm_year} * 360 + int64_t{in.tm_mon} * DAYS_PER_MONTH + int64_t{in.tm_mday};
  if (days < -kMostDays || days > kMostDays || in.tm_usec > kMostDays * USECS_PER_DAY ||
      in.tm_usec < -kMostDays * USECS_PER_DAY)
    return false;
  *microseconds = days * USECS_PER_DAY + in.tm_usec;
  return *microseconds >= 0;
}

int64_t keep_of_table(uint64_t table) {
  Relation rel = table_open(extension().table_history, AccessShareLock);
  CatalogScan scan;
  HeapTuple row = find_row(rel, table, &scan);
  int64_t keep = HeapTupleIsValid(row) ? keep_in(row, RelationGetDescr(rel)) : keep_setting;
  end_catalog_scan(scan);
  table_close(rel, AccessShareLock);
  return keep;
}

void forget_keep_of_table(uint64_t table) {
  Relation rel = table_open(extension().table_history, RowExclusiveLock);
  CatalogScan scan;
  HeapTuple row = find_row(rel, table, &scan);
  if (HeapTupleIsValid(row)) CatalogTupleDelete(rel, &row->t_self);
  end_catalog_scan(scan);
  table_close(rel, RowExclusiveLock);
}

void set_keep_of_table(uint64_t table, const char* value) {
  // Two at once would both insert a row.
  LockRelationOid(extension().table_history, ShareRowExclusiveLock);
  forget_keep_of_table(table);
  CommandCounterIncrement();
  if (!value) return;
  Relation rel = table_open(extension().table_history, RowExclusiveLock);
  Datum values[2] = {Int64GetDatum(static_cast<int64_t>(table)), CStringGetTextDatum(value)};
  bool nulls[2] = {};
  HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
  CatalogTupleInsert(rel, tuple);
  heap_freetuple(tuple);
  table_close(rel, RowExclusiveLock);
  CommandCounterIncrement();
}

std::vector<TableKeep> tables_that_forget() {
  FoundTables own{}, all{};
  call([&] {
    for_each_row(extension().table_history, [&](HeapTuple tuple, TupleDesc desc) {
      bool isnull;
      Datum table = heap_getattr(tuple, 1, desc, &isnull);
      own.add(static_cast<uint64_t>(DatumGetInt64(table)), keep_in(tuple, desc));
    });
    if (keep_setting == kKeepAll) return;
    for_each_row(extension().relation, [&](HeapTuple tuple, TupleDesc desc) {
      bool isnull;
      Datum table = heap_getattr(tuple, 2, desc, &isnull);
      all.add(static_cast<uint64_t>(DatumGetInt64(table)), keep_setting);
    });
  });
  std::map<uint64_t, int64_t> found;
  for (size_t i = 0; i < all.count; ++i) found[all.rows[i].table] = all.rows[i].microseconds;
  for (size_t i = 0; i < own.count; ++i) found[own.rows[i].table] = own.rows[i].microseconds;
  std::vector<TableKeep> result;
  for (auto [table, keep] : found)
    if (keep != kKeepAll) result.push_back({table, keep});
  return result;
}

std::vector<uint64_t> tables_with_ids() {
  FoundTables found{};
  call([&] {
    for_each_row(extension().relation, [&](HeapTuple tuple, TupleDesc desc) {
      bool isnull;
      Datum table = heap_getattr(tuple, 2, desc, &isnull);
      found.add(static_cast<uint64_t>(DatumGetInt64(table)), kKeepAll);
    });
  });
  std::vector<uint64_t> tables;
  for (size_t i = 0; i < found.count; ++i) tables.push_back(found.rows[i].table);
  return tables;
}

void define_keep_history() {
  DefineCustomStringVariable(
      "datahike.keep_history", "How much history of a table can be read.",
      "all, none, or an interval. What is older is collected: its index entries are removed, and "
      "reading it is an error. datahike.set_keep_history() sets it for one table.",
      &setting_keep_history, "all", PGC_SIGHUP, 0, check, assign, nullptr);
}

}  // namespace datahike::pg
