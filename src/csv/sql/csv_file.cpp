#include "csv/sql/csv_file.h"

extern "C" {
#include "catalog/pg_authid.h"
#include "mb/pg_wchar.h"
#include "parser/scansup.h"
}

namespace datahike::csv {

namespace {

void add_option(List** options, const char* name, const char* value) {
  if (!value) return;
  Node* node = reinterpret_cast<Node*>(makeString(pstrdup(value)));
  *options = lappend(*options, makeDefElem(pstrdup(name), node, -1));
}

List* copy_options(const Format& format) {
  List* options = NIL;
  add_option(&options, "format", "csv");
  add_option(&options, "header", format.header ? "true" : "false");
  add_option(&options, "delimiter", format.delimiter);
  add_option(&options, "quote", format.quote);
  add_option(&options, "escape", format.escape);
  add_option(&options, "null", format.null_string);
  add_option(&options, "encoding", format.encoding);
  return options;
}

// COPY reads into a relation, of which it takes the columns and the name that its errors give. This
// one has no more than that, and none of its columns is left to a default, so nothing looks for it
// in the catalog.
Relation relation_for(TupleDesc columns) {
  auto* relation = static_cast<Relation>(palloc0(sizeof(RelationData)));
  relation->rd_rel = static_cast<Form_pg_class>(palloc0(CLASS_TUPLE_SIZE));
  namestrcpy(&relation->rd_rel->relname, "read_csv");
  relation->rd_rel->relkind = RELKIND_RELATION;
  relation->rd_att = columns;
  return relation;
}

const char* text_or_null(FunctionCallInfo fcinfo, int number) {
  return PG_ARGISNULL(number) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

bool is_taken(char** names, int count, const char* name) {
  for (int i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

// A column's name for the field at `position`: what the file calls it, as far as a name may be
// long.
char* name_of_field(char** names, int position, const char* given) {
  char* name = given && *given ? pstrdup(given) : psprintf("column%d", position + 1);
  truncate_identifier(name, static_cast<int>(strlen(name)), false);
  const char* base = name;
  for (int i = 1; is_taken(names, position, name); i++) {
    char* suffix = psprintf("_%d", i);
    const int most = NAMEDATALEN - 1 - static_cast<int>(strlen(suffix));
    const int length = pg_mbcliplen(base, static_cast<int>(strlen(base)), most);
    name = psprintf("%.*s%s", length, base, suffix);
  }
  return name;
}

}  // namespace

Format format_arguments(FunctionCallInfo fcinfo, int first) {
  if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("must be superuser or have privileges of the pg_read_server_files role to "
                    "read a file of the server"),
             errhint("psql's \\copy reads files of the client into a table.")));
  if (PG_ARGISNULL(first))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("path must be given")));
  Format format;
  format.path = text_to_cstring(PG_GETARG_TEXT_PP(first));
  format.header = PG_ARGISNULL(first + 1) || PG_GETARG_BOOL(first + 1);
  format.delimiter = text_or_null(fcinfo, first + 2);
  format.quote = text_or_null(fcinfo, first + 3);
  format.escape = text_or_null(fcinfo, first + 4);
  format.null_string = text_or_null(fcinfo, first + 5);
  format.encoding = text_or_null(fcinfo, first + 6);
  return format;
}

void open_file(File* file, const Format& format, TupleDesc columns) {
  file->state = BeginCopyFrom(nullptr, relation_for(columns), nullptr, format.path, false, nullptr,
                              NIL, copy_options(format));
  file->context.callback = CopyFromErrorCallback;
  file->context.arg = file->state;
  file->context.previous = error_context_stack;
  error_context_stack = &file->context;
}

void close_file(File* file) {
  error_context_stack = file->context.previous;
  EndCopyFrom(file->state);
}

int field_names(const Format& format, char*** names) {
  TupleDesc line = CreateTemplateTupleDesc(1);
  TupleDescInitEntry(line, 1, "line", TEXTOID, -1, 0);
  Format as_data = format;
  as_data.header = false;
  File file;
  open_file(&file, as_data, line);
  char** fields;
  int count = 0;
  if (NextCopyFromRawFields(file.state, &fields, &count)) {
    if (count > MaxTupleAttributeNumber)
      ereport(ERROR, (errcode(ERRCODE_TOO_MANY_COLUMNS),
                      errmsg("a line has %d fields, more than the %d of a row", count,
                             MaxTupleAttributeNumber)));
    *names = static_cast<char**>(palloc(sizeof(char*) * Max(count, 1)));
    for (int i = 0; i < count; i++)
      (*names)[i] = name_of_field(*names, i, format.header ? fields[i] : nullptr);
  }
  close_file(&file);
  return count;
}

}  // namespace datahike::csv
