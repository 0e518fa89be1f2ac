#include "exec/compositions.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "lib/stringinfo.h"
}

namespace datahike::exec {

namespace {

const char* quoted_name(Relation relation) {
  return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                    RelationGetRelationName(relation));
}

// Calls `put` for each column with a separator before all but the first.
template <class Put>
void for_each_column(StringInfo out, Relation relation, Put&& put) {
  TupleDesc desc = RelationGetDescr(relation);
  bool first = true;
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (att->attisdropped) continue;
    if (!first) appendStringInfoString(out, ", ");
    first = false;
    put(att);
  }
}

void append_record(StringInfo out, Relation relation, const char* alias) {
  appendStringInfoString(out, "ROW(");
  for_each_column(out, relation, [=](FormData_pg_attribute* att) {
    appendStringInfo(out, "\"%s\".%s", alias, quote_identifier(NameStr(att->attname)));
  });
  appendStringInfoString(out, ")::pg_catalog.record");
}

// The names of the columns whose images differ.
void append_changed(StringInfo out, Relation relation) {
  appendStringInfoString(out, "pg_catalog.array_remove(ARRAY[");
  for_each_column(out, relation, [=](FormData_pg_attribute* att) {
    const char* column = quote_identifier(NameStr(att->attname));
    appendStringInfo(out,
                     "CASE WHEN ROW(\"%s\".%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) "
                     "ROW(\"%s\".%s)::pg_catalog.record THEN %s END",
                     kNewAlias, column, kOldAlias, column,
                     quote_literal_cstr(NameStr(att->attname)));
  });
  appendStringInfoString(out, "]::pg_catalog.text[], NULL)");
}

// The operator by which a column of the index is unique.
void append_equality(StringInfo out, Relation index, int column) {
  Oid type = index->rd_opcintype[column];
  Oid equal = get_opfamily_member(index->rd_opfamily[column], type, type, BTEqualStrategyNumber);
  HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(equal));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for operator %u", equal);
  auto* op = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
  appendStringInfo(out, "OPERATOR(%s.%s)", quote_identifier(get_namespace_name(op->oprnamespace)),
                   NameStr(op->oprname));
  ReleaseSysCache(tuple);
}

// Children have rows of their own, for which the parent's key says nothing.
bool key_holds(Relation relation) {
  return relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
         !has_subclass(RelationGetRelid(relation));
}

void append_pairing(StringInfo out, Relation relation, bool alone) {
  Oid key = RelationGetPrimaryKeyIndex(relation);
  if (!OidIsValid(key) || !(alone || key_holds(relation))) {
    appendStringInfo(out,
                     "datahike.row_entity(\"%s\".tableoid, \"%s\".ctid) OPERATOR(pg_catalog.=) "
                     "datahike.row_entity(\"%s\".tableoid, \"%s\".ctid)",
                     kNewAlias, kNewAlias, kOldAlias, kOldAlias);
    return;
  }
  Relation index = index_open(key, AccessShareLock);
  for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); ++i) {
    const char* column = quote_identifier(NameStr(
        TupleDescAttr(RelationGetDescr(relation), index->rd_index->indkey.values[i] - 1)->attname));
    if (i > 0) appendStringInfoString(out, " AND ");
    appendStringInfo(out, "\"%s\".%s ", kNewAlias, column);
    append_equality(out, index, i);
    appendStringInfo(out, " \"%s\".%s", kOldAlias, column);
  }
  index_close(index, NoLock);
}

}  // namespace

namespace {

// A column of what row_origin() or row_removal() says of a row, for the call's commit.
const char* origin_column(Relation relation, const char* function, const char* column) {
  return psprintf(
      "(datahike.%s(\"%s\".tableoid, \"%s\".ctid, (SELECT datahike.revision_commit($1)), %u)).%s",
      function, kRowAlias, kRowAlias, RelationGetRelid(relation), column);
}

}  // namespace

char* blame_query(Relation relation) {
  const char* table = quoted_name(relation);
  return psprintf("SELECT CAST(\"%s\".* AS %s), %s, %s, %s, %s FROM %s AS \"%s\"", kRowAlias, table,
                  origin_column(relation, "row_origin", "commit_id"),
                  origin_column(relation, "row_origin", "tx"),
                  origin_column(relation, "row_origin", "committed_at"),
                  origin_column(relation, "row_origin", "author"), table, kRowAlias);
}

char* versions_query(Relation relation) {
  const char* table = quoted_name(relation);
  return psprintf("SELECT CAST(\"%s\".* AS %s), %s, %s, %s, %s FROM %s AS \"%s\"", kRowAlias, table,
                  origin_column(relation, "row_origin", "tx"),
                  origin_column(relation, "row_origin", "committed_at"),
                  origin_column(relation, "row_removal", "tx"),
                  origin_column(relation, "row_removal", "committed_at"), table, kRowAlias);
}

namespace {

// A whole row of the side that is not there is NULL. `alone`: without the table's children.
char* difference_query(Relation relation, bool alone) {
  const char *table = quoted_name(relation), *only = alone ? "ONLY " : "";
  StringInfoData out;
  initStringInfo(&out);
  appendStringInfo(&out,
                   "SELECT CASE WHEN \"%s\".tableoid IS NULL THEN 'insert' "
                   "WHEN \"%s\".tableoid IS NULL THEN 'delete' ELSE 'update' END::pg_catalog.text, "
                   "CAST(\"%s\".* AS %s), CAST(\"%s\".* AS %s), "
                   "CASE WHEN \"%s\".tableoid IS NOT NULL AND \"%s\".tableoid IS NOT NULL THEN ",
                   kOldAlias, kNewAlias, kOldAlias, table, kNewAlias, table, kOldAlias, kNewAlias);
  append_changed(&out, relation);
  appendStringInfo(&out, " END FROM %s%s AS \"%s\" FULL JOIN %s%s AS \"%s\" ON ", only, table,
                   kNewAlias, only, table, kOldAlias);
  append_pairing(&out, relation, alone);
  appendStringInfo(&out, " WHERE \"%s\".tableoid IS NULL OR \"%s\".tableoid IS NULL OR ", kNewAlias,
                   kOldAlias);
  append_record(&out, relation, kNewAlias);
  appendStringInfoString(&out, " OPERATOR(pg_catalog.*<>) ");
  append_record(&out, relation, kOldAlias);
  return out.data;
}

}  // namespace

char* diff_query(Relation relation) { return difference_query(relation, false); }

char* changes_query(Relation relation) { return difference_query(relation, true); }

}  // namespace datahike::exec
