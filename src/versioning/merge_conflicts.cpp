// Conflicts as rows, and the resolver function that is asked about them.
#include "versioning/merge.h"

extern "C" {
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
}

namespace datahike::versioning {

namespace {

const char* column_name(const TableMerge* t, int column) {
  return NameStr(TupleDescAttr(t->desc, column)->attname);
}

Datum jsonb_from(const char* text) { return DirectFunctionCall1(jsonb_in, CStringGetDatum(text)); }

Datum jsonb_of(TableMerge* t, Datum* values, bool* nulls) {
  Datum row = heap_copy_tuple_as_datum(heap_form_tuple(t->desc, values, nulls), t->desc);
  return jsonb_from(TextDatumGetCString(DirectFunctionCall1(row_to_json, row)));
}

Datum field_of(Datum object, const char* name) {
  return DirectFunctionCall2(jsonb_object_field, object, CStringGetTextDatum(name));
}

// Appends `, "name": value` to the text of an object that has been begun.
void append_field(StringInfo text, const char* name, Datum value) {
  if (text->len > 1) appendStringInfoString(text, ", ");
  escape_json(text, name);
  Jsonb* json = DatumGetJsonbP(value);
  char* image = JsonbToCString(nullptr, &json->root, static_cast<int>(VARSIZE(json)));
  appendStringInfo(text, ": %s", image);
}

const char* kind_of_violation(int sqlstate) {
  switch (sqlstate) {
    case ERRCODE_UNIQUE_VIOLATION:
      return "unique";
    case ERRCODE_FOREIGN_KEY_VIOLATION:
      return "foreign key";
    case ERRCODE_CHECK_VIOLATION:
      return "check";
    case ERRCODE_NOT_NULL_VIOLATION:
      return "not null";
    case ERRCODE_EXCLUSION_VIOLATION:
      return "exclusion";
    default:
      return nullptr;
  }
}

void list_conflict(TableMerge* t, MergeConflict conflict) {
  conflict.relation = RelationGetRelid(t->relation);
  MemoryContext old = MemoryContextSwitchTo(t->merge->memory);
  auto* copy = static_cast<MergeConflict*>(palloc(sizeof(MergeConflict)));
  *copy = conflict;
  t->merge->result.list = lappend(t->merge->result.list, copy);
  MemoryContextSwitchTo(old);
}

}  // namespace

bool is_violation(const ErrorData* error) { return kind_of_violation(error->sqlerrcode); }

Datum row_jsonb(TableMerge* t, const MergeRow* row) {
  if (!row) return 0;
  Datum all = jsonb_of(t, row->values, row->nulls);
  if (!row->unknown) return all;
  bool known = false;
  for (int i = 0; i < t->desc->natts; ++i) {
    if (TupleDescAttr(t->desc, i)->attisdropped) continue;
    if (row->unknown[i])
      all = DirectFunctionCall2(jsonb_delete, all, CStringGetTextDatum(column_name(t, i)));
    else
      known = true;
  }
  return known ? all : 0;
}

Datum cell_jsonb(TableMerge* t, const MergeRow* row, int column) {
  if (!row || (row->unknown && row->unknown[column])) return 0;
  return field_of(row_jsonb(t, row), column_name(t, column));
}

Datum key_jsonb(TableMerge* t, const MergeRow* row) {
  if (!t->key) return jsonb_from(psprintf("{\"entity\": " UINT64_FORMAT "}", row->entity));
  Datum all = row_jsonb(t, row);
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfoChar(&text, '{');
  for (int k = 0; k < t->key_columns; ++k) {
    const char* name = column_name(t, t->key_column[k] - 1);
    append_field(&text, name, field_of(all, name));
  }
  appendStringInfoChar(&text, '}');
  return jsonb_from(text.data);
}

void note_conflict(TableMerge* t, const MergeChange& rows, int column, const char* kind) {
  Merge* merge = t->merge;
  ++merge->result.conflicts;
  if (merge->request->strategy == MergeStrategy::Fail) ++merge->result.unresolved;
  if (!merge->request->dry_run) return;
  const MergeRow* named = rows.ours ? rows.ours : rows.theirs;
  MergeConflict c{};
  c.key = key_jsonb(t, named);
  c.kind = kind;
  if (column >= 0) {
    c.column = column_name(t, column);
    c.base = cell_jsonb(t, rows.base, column);
    c.ours = cell_jsonb(t, rows.ours, column);
    c.theirs = cell_jsonb(t, rows.theirs, column);
  } else {
    c.base = row_jsonb(t, rows.base);
    c.ours = row_jsonb(t, rows.ours);
    c.theirs = row_jsonb(t, rows.theirs);
  }
  list_conflict(t, c);
}

// No strategy has an answer to these.
void note_violation(TableMerge* t, const MergeChange* change, const ErrorData* error) {
  Merge* merge = t->merge;
  ++merge->result.conflicts;
  ++merge->result.unresolved;
  ++merge->violations;
  if (!merge->request->dry_run) return;
  MergeRow merged{0, change->entity, change->values, change->nulls, nullptr};
  MergeConflict c{};
  const MergeRow* named = change->values ? &merged : change->ours;
  c.key = key_jsonb(t, named);
  if (error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION && error->column_name)
    c.column = MemoryContextStrdup(merge->memory, error->column_name);
  c.kind = kind_of_violation(error->sqlerrcode);
  if (error->constraint_name)
    c.constraint = MemoryContextStrdup(merge->memory, error->constraint_name);
  c.base = row_jsonb(t, change->base);
  c.ours = row_jsonb(t, change->ours);
  c.theirs = row_jsonb(t, change->theirs);
  list_conflict(t, c);
}

namespace {

// What a resolver was asked, for errors that it or its answer raises.
struct Question {
  const char *relation, *key, *column;
};

void say_question(void* argument) {
  auto* q = static_cast<Question*>(argument);
  if (q->column)
    errcontext("resolving column \"%s\" of row %s of table %s", q->column, q->key, q->relation);
  else
    errcontext("resolving row %s of table %s", q->key, q->relation);
}

bool call_resolver(TableMerge* t, const MergeChange& rows, int column, Datum key, Datum* answer) {
  FmgrInfo* resolver = &t->merge->resolver;
  LOCAL_FCINFO(call, 6);
  InitFunctionCallInfoData(*call, resolver, 6, InvalidOid, nullptr, nullptr);
  Oid relid = RelationGetRelid(t->relation);
  auto set = [call](int argument, Datum value, bool isnull) {
    call->args[argument].value = value;
    call->args[argument].isnull = isnull;
  };
  bool cell = column >= 0;
  Datum base = cell ? cell_jsonb(t, rows.base, column) : row_jsonb(t, rows.base);
  Datum ours = cell ? cell_jsonb(t, rows.ours, column) : row_jsonb(t, rows.ours);
  Datum theirs = cell ? cell_jsonb(t, rows.theirs, column) : row_jsonb(t, rows.theirs);
  Datum name = t->merge->resolver_takes_text
                   ? DirectFunctionCall1(textin, DirectFunctionCall1(regclassout, relid))
                   : ObjectIdGetDatum(relid);
  set(0, name, false);
  set(1, key, false);
  set(2, cell ? CStringGetTextDatum(column_name(t, column)) : 0, !cell);
  set(3, base, base == 0);
  set(4, ours, !rows.ours);
  set(5, theirs, !rows.theirs);
  if (resolver->fn_strict)
    for (int i = 0; i < 6; ++i)
      if (call->args[i].isnull) return false;
  *answer = FunctionCallInvoke(call);
  return !call->isnull;
}

// Sets the columns that a jsonb object names, as jsonb_populate_record does it, so values go
// through the types' input functions.
void set_from_jsonb(TableMerge* t, Datum object, Datum* values, bool* nulls) {
  MemoryContext memory = CurrentMemoryContext;
  Oid types[] = {RelationGetForm(t->relation)->reltype, JSONBOID};
  Datum row = heap_copy_tuple_as_datum(heap_form_tuple(t->desc, values, nulls), t->desc);
  Datum arguments[] = {row, object};
  if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
  int result = SPI_execute_with_args("SELECT r.* FROM pg_catalog.jsonb_populate_record($1, $2) r",
                                     2, types, arguments, nullptr, true, 1);
  if (result != SPI_OK_SELECT || SPI_processed != 1)
    elog(ERROR, "jsonb_populate_record gave no row");
  TupleDesc desc = SPI_tuptable->tupdesc;
  for (int i = 0, column = 0; i < t->desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(t->desc, i);
    if (att->attisdropped) continue;
    Datum value = SPI_getbinval(SPI_tuptable->vals[0], desc, ++column, &nulls[i]);
    if (nulls[i]) continue;
    MemoryContext old = MemoryContextSwitchTo(memory);
    values[i] = datumCopy(value, att->attbyval, att->attlen);
    MemoryContextSwitchTo(old);
  }
  SPI_finish();
}

Datum one_field(const char* name, Datum value) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfoChar(&text, '{');
  append_field(&text, name, value);
  appendStringInfoChar(&text, '}');
  return jsonb_from(text.data);
}

}  // namespace

bool ask_resolver(TableMerge* t, const MergeChange& rows, int column, Datum* values, bool* nulls) {
  Datum key = key_jsonb(t, rows.ours ? rows.ours : rows.theirs);
  Question question{
      DatumGetCString(DirectFunctionCall1(regclassout, RelationGetRelid(t->relation))),
      DatumGetCString(DirectFunctionCall1(jsonb_out, key)),
      column >= 0 ? column_name(t, column) : nullptr};
  ErrorContextCallback context{error_context_stack, say_question, &question};
  error_context_stack = &context;
  Datum answer;
  bool answered = call_resolver(t, rows, column, key, &answer);
  if (answered)
    set_from_jsonb(t, column >= 0 ? one_field(question.column, answer) : answer, values, nulls);
  error_context_stack = context.previous;
  return answered;
}

}  // namespace datahike::versioning
