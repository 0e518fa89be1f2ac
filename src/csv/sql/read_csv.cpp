// datahike.read_csv(): a CSV file of the server as the rows of a query, and datahike.csv_columns():
// its columns with types inferred from its first lines.
#include "csv/sql/csv_file.h"
#include "csv/value_type.h"

extern "C" {

PG_FUNCTION_INFO_V1(datahike_read_csv);
PG_FUNCTION_INFO_V1(datahike_read_csv_as);
PG_FUNCTION_INFO_V1(datahike_csv_columns);
PGDLLEXPORT Datum datahike_read_csv(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_read_csv_as(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_csv_columns(PG_FUNCTION_ARGS);
}

namespace datahike::csv {

namespace {

// The field that a column is read from: of its name, or else of its name in another case where one
// field alone has it, for names in SQL are lower case where they are not quoted.
int field_of(char** names, int count, const char* column) {
  int found = -1;
  for (int i = 0; i < count; i++) {
    if (strcmp(names[i], column) == 0) return i;
    if (pg_strcasecmp(names[i], column) != 0) continue;
    if (found >= 0)
      ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_COLUMN),
                      errmsg("column \"%s\" could be field \"%s\" or \"%s\" of the file", column,
                             names[found], names[i]),
                      errhint("Write the name in double quotes as the file has it.")));
    found = i;
  }
  return found;
}

[[noreturn]] void raise_unknown(const Format& format, char** names, int count, const char* column) {
  StringInfoData list;
  initStringInfo(&list);
  for (int i = 0; i < count && i < 50; i++)
    appendStringInfo(&list, "%s%s", i ? ", " : "", names[i]);
  ereport(ERROR,
          (errcode(ERRCODE_UNDEFINED_COLUMN),
           errmsg("file \"%s\" has no field \"%s\"", format.path, column),
           count == 0 ? errhint("The file is empty.") : errhint("Its fields are: %s.", list.data)));
}

// Which field of a line each column of the result takes; -1 for a dropped column.
struct Layout {
  TupleDesc line;  // the fields that nobody asks for are text
  int* field;
};

int live_columns(TupleDesc result) {
  int n = 0;
  for (int i = 0; i < result->natts; i++) n += TupleDescAttr(result, i)->attisdropped ? 0 : 1;
  return n;
}

void take_type(TupleDesc line, int field, Form_pg_attribute column) {
  TupleDescInitEntry(line, static_cast<AttrNumber>(field + 1), NameStr(column->attname),
                     column->atttypid, column->atttypmod, 0);
}

// With a header columns are found by name, else they are the fields in their order.
Layout layout_of(const Format& format, TupleDesc result) {
  char** names = nullptr;
  int count = format.header ? field_names(format, &names) : live_columns(result);
  Layout layout{CreateTemplateTupleDesc(Max(count, 1)),
                static_cast<int*>(palloc(sizeof(int) * Max(result->natts, 1)))};
  if (count == 0) TupleDescInitEntry(layout.line, 1, "line", TEXTOID, -1, 0);
  if (format.header)
    for (int i = 0; i < count; i++)
      TupleDescInitEntry(layout.line, static_cast<AttrNumber>(i + 1), names[i], TEXTOID, -1, 0);
  bool* taken = static_cast<bool*>(palloc0(sizeof(bool) * Max(count, 1)));
  int next = 0;
  for (int i = 0; i < result->natts; i++) {
    Form_pg_attribute column = TupleDescAttr(result, i);
    layout.field[i] = -1;
    if (column->attisdropped) continue;
    int field = next++;
    if (format.header) {
      field = field_of(names, count, NameStr(column->attname));
      if (field < 0) raise_unknown(format, names, count, NameStr(column->attname));
      if (taken[field])
        ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
                        errmsg("two columns are read from field \"%s\"", names[field])));
      taken[field] = true;
    }
    layout.field[i] = field;
    take_type(layout.line, field, column);
  }
  return layout;
}

void read_rows(FunctionCallInfo fcinfo, const Format& format) {
  InitMaterializedSRF(fcinfo, 0);
  auto* rsinfo = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  TupleDesc result = rsinfo->setDesc;
  const Layout layout = layout_of(format, result);
  auto* fields = static_cast<Datum*>(palloc(sizeof(Datum) * layout.line->natts));
  auto* field_nulls = static_cast<bool*>(palloc(sizeof(bool) * layout.line->natts));
  auto* values = static_cast<Datum*>(palloc0(sizeof(Datum) * Max(result->natts, 1)));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * Max(result->natts, 1)));
  MemoryContext row =
      AllocSetContextCreate(CurrentMemoryContext, "row of a CSV file", ALLOCSET_DEFAULT_SIZES);

  File file;
  open_file(&file, format, layout.line);
  MemoryContext outside = MemoryContextSwitchTo(row);
  while (NextCopyFrom(file.state, nullptr, fields, field_nulls)) {
    for (int i = 0; i < result->natts; i++) {
      nulls[i] = layout.field[i] < 0 || field_nulls[layout.field[i]];
      if (!nulls[i]) values[i] = fields[layout.field[i]];
    }
    tuplestore_putvalues(rsinfo->setResult, result, values, nulls);
    MemoryContextReset(row);
    CHECK_FOR_INTERRUPTS();
  }
  MemoryContextSwitchTo(outside);
  close_file(&file);
  MemoryContextDelete(row);
}

struct Column {
  TypeSet types;
  bool nulls;
};

// Looks at the first `lines` lines. All of one length, as COPY demands when the file is read.
Column* infer(const Format& format, int count, int64 lines) {
  auto* columns = static_cast<Column*>(palloc0(sizeof(Column) * Max(count, 1)));
  for (int i = 0; i < count; i++) columns[i].types = all_types;
  TupleDesc line = CreateTemplateTupleDesc(Max(count, 1));
  for (int i = 0; i < Max(count, 1); i++)
    TupleDescInitEntry(line, static_cast<AttrNumber>(i + 1), psprintf("column%d", i + 1), TEXTOID,
                       -1, 0);
  MemoryContext row =
      AllocSetContextCreate(CurrentMemoryContext, "row of a CSV file", ALLOCSET_DEFAULT_SIZES);
  auto* fields = static_cast<Datum*>(palloc(sizeof(Datum) * Max(count, 1)));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * Max(count, 1)));
  File file;
  open_file(&file, format, line);
  MemoryContext outside = MemoryContextSwitchTo(row);
  for (int64 n = 0; n < lines && NextCopyFrom(file.state, nullptr, fields, nulls); n++) {
    for (int i = 0; i < count; i++) {
      columns[i].nulls |= nulls[i];
      if (nulls[i]) continue;
      const text* value = DatumGetTextPP(fields[i]);
      columns[i].types &=
          possible_types({VARDATA_ANY(value), static_cast<size_t>(VARSIZE_ANY_EXHDR(value))});
    }
    MemoryContextReset(row);
    CHECK_FOR_INTERRUPTS();
  }
  MemoryContextSwitchTo(outside);
  close_file(&file);
  MemoryContextDelete(row);
  return columns;
}

}  // namespace

}  // namespace datahike::csv

using namespace datahike;

Datum datahike_read_csv(PG_FUNCTION_ARGS) {
  csv::read_rows(fcinfo, csv::format_arguments(fcinfo, 0));
  return (Datum)0;
}

// The first argument gives the row type alone.
Datum datahike_read_csv_as(PG_FUNCTION_ARGS) {
  const Oid type = get_fn_expr_argtype(fcinfo->flinfo, 0);
  if (!type_is_rowtype(type))
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("the rows of a CSV file cannot be of type %s", format_type_be(type)),
                    errhint("Pass NULL::table, or the path alone and a column definition list.")));
  csv::read_rows(fcinfo, csv::format_arguments(fcinfo, 1));
  return (Datum)0;
}

Datum datahike_csv_columns(PG_FUNCTION_ARGS) {
  const csv::Format format = csv::format_arguments(fcinfo, 0);
  const int64 lines = PG_ARGISNULL(7) ? PG_INT64_MAX : PG_GETARG_INT64(7);
  if (lines < 0)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("sample_rows must not be negative")));
  InitMaterializedSRF(fcinfo, 0);
  auto* rsinfo = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  char** names = nullptr;
  const int count = csv::field_names(format, &names);
  const csv::Column* columns = csv::infer(format, count, lines);
  for (int i = 0; i < count; i++) {
    const char* type = csv::sql_name(csv::narrowest(columns[i].types));
    Datum values[] = {Int32GetDatum(i + 1), CStringGetTextDatum(names[i]),
                      CStringGetTextDatum(type), BoolGetDatum(columns[i].nulls)};
    bool nulls[4] = {};
    tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
  }
  return (Datum)0;
}
