// Foreign keys on rows that are to be erased: as DELETE with NO ACTION, on every branch.
#include "am/fetch.h"
#include "am/purge.h"
#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/snapshot.h"

extern "C" {
#include "catalog/pg_constraint.h"
#include "executor/spi.h"
#include "utils/rls.h"
#include "utils/ruleutils.h"
}

namespace datahike::am {

namespace {

// From here on plain PostgreSQL code, which owns no C++ object.

// The referenced rows, and all that are to be erased.
struct Candidates {
  ArrayType* tids;         // live on the branch, of the referenced table
  ArrayType* erased;       // of all tables
  ArrayType* erased_from;  // the table of each
};

Oid referenced_by(Oid constraint) {
  HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
  if (!HeapTupleIsValid(tuple)) return InvalidOid;
  Oid referenced = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->confrelid;
  ReleaseSysCache(tuple);
  return referenced;
}

// The foreign keys that refer to the table. One that a partition has from its parent is left out:
// the parent's speaks for it.
List* foreign_keys_on(Oid table) {
  List* found = NIL;
  Relation constraints = table_open(ConstraintRelationId, AccessShareLock);
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], Anum_pg_constraint_confrelid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(table));
  ScanKeyInit(&keys[1], Anum_pg_constraint_contype, BTEqualStrategyNumber, F_CHAREQ,
              CharGetDatum(CONSTRAINT_FOREIGN));
  SysScanDesc scan = systable_beginscan(constraints, InvalidOid, false, nullptr, 2, keys);
  HeapTuple tuple;
  while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
    auto* c = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
    if (!OidIsValid(c->conparentid) || referenced_by(c->conparentid) != table)
      found = lappend_oid(found, c->oid);
  }
  systable_endscan(scan);
  table_close(constraints, AccessShareLock);
  return found;
}

char* qualified_name(Relation relation) {
  return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                    RelationGetRelationName(relation));
}

char* column_of(const char* alias, Relation relation, AttrNumber number) {
  return psprintf(
      "%s.%s", alias,
      quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(relation), number - 1)->attname)));
}

// "p.key = f.column", with the constraint's operator and the key's collation.
void append_equality(StringInfo query, Relation referenced, AttrNumber key, Relation referrer,
                     AttrNumber column, Oid equality) {
  Form_pg_attribute left = TupleDescAttr(RelationGetDescr(referenced), key - 1);
  Form_pg_attribute right = TupleDescAttr(RelationGetDescr(referrer), column - 1);
  char* operand = column_of("f", referrer, column);
  if (OidIsValid(left->attcollation) && left->attcollation != right->attcollation)
    operand = psprintf("(%s COLLATE %s)", operand, generate_collation_name(left->attcollation));
  generate_operator_clause(query, column_of("p", referenced, key), left->atttypid, equality,
                           operand, right->atttypid);
}

char* query_for(HeapTuple constraint, Relation referenced, Relation referrer) {
  int count;
  AttrNumber columns[INDEX_MAX_KEYS], keys[INDEX_MAX_KEYS];
  Oid equalities[INDEX_MAX_KEYS];
  DeconstructFkConstraintRow(constraint, &count, columns, keys, equalities, nullptr, nullptr,
                             nullptr, nullptr);
  StringInfoData query;
  initStringInfo(&query);
  const bool partitioned = referrer->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
  appendStringInfo(&query, "SELECT FROM ONLY %s p, %s%s f WHERE p.ctid = ANY ($1)",
                   qualified_name(referenced), partitioned ? "" : "ONLY ",
                   qualified_name(referrer));
  for (int i = 0; i < count; ++i) {
    appendStringInfoString(&query, " AND ");
    append_equality(&query, referenced, keys[i], referrer, columns[i], equalities[i]);
  }
  appendStringInfoString(&query,
                         " AND NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($2), "
                         "pg_catalog.unnest($3)) AS e (erased_from, erased) WHERE e.erased_from "
                         "OPERATOR(pg_catalog.=) f.tableoid AND e.erased "
                         "OPERATOR(pg_catalog.=) f.ctid)");
  return query.data;
}

bool finds_row(const char* query, const Candidates* rows) {
  Oid types[3] = {TIDARRAYOID, OIDARRAYOID, TIDARRAYOID};
  Datum values[3] = {PointerGetDatum(rows->tids), PointerGetDatum(rows->erased_from),
                     PointerGetDatum(rows->erased)};
  if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
  SPIPlanPtr plan = SPI_prepare(query, 3, types);
  if (!plan) elog(ERROR, "SPI_prepare failed for %s", query);
  int result = SPI_execute_snapshot(plan, values, nullptr, GetLatestSnapshot(), InvalidSnapshot,
                                    true, false, 1);
  if (result != SPI_OK_SELECT) elog(ERROR, "SPI_execute_snapshot returned %d", result);
  bool found = SPI_processed > 0;
  SPI_finish();
  return found;
}

void refuse_hidden_rows(Relation referrer) {
  if (check_enable_rls(RelationGetRelid(referrer), InvalidOid, true) != RLS_ENABLED) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("row-level security hides which rows of table \"%s\" refer to those that "
                         "are to be erased",
                         RelationGetRelationName(referrer)),
                  errhint("Purge as a role that bypasses the table's policies.")));
}

void check_foreign_key(Oid constraint, Oid table, const char* branch, const Candidates* rows) {
  HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
  if (!HeapTupleIsValid(tuple)) return;
  auto* c = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
  Relation referenced = table_open(table, NoLock);
  // Who refers to a row locks it first, and so waits for whoever erases.
  Relation referrer = table_open(c->conrelid, AccessShareLock);
  refuse_hidden_rows(referrer);
  if (finds_row(query_for(tuple, referenced, referrer), rows))
    ereport(ERROR,
            (errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
             errmsg("erasing rows of table \"%s\" violates foreign key constraint \"%s\" on table "
                    "\"%s\"",
                    RelationGetRelationName(referenced), NameStr(c->conname),
                    RelationGetRelationName(referrer)),
             errdetail("On branch \"%s\" such a row is still referenced.", branch),
             errhint("Purge or delete the rows that refer to it first."),
             errtableconstraint(referrer, NameStr(c->conname))));
  table_close(referrer, NoLock);
  table_close(referenced, NoLock);
  ReleaseSysCache(tuple);
}

void check_on_branch(List* constraints, Oid table, const char* branch, const Candidates* rows) {
  int level = NewGUCNestLevel();
  for (auto [name, value] : {std::pair{"datahike.branch", branch},
                             {"datahike.commit_id", ""},
                             {"datahike.as_of", ""},
                             {"datahike.since", ""},
                             {"datahike.history", "off"}})
    set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  ListCell* cell;
  foreach (cell, constraints) check_foreign_key(lfirst_oid(cell), table, branch, rows);
  AtEOXact_GUC(false, level);
}

// Of rows of one table, or of several.
struct ErasedRow {
  Oid table;
  ItemPointerData tid;
};
ArrayType* tid_array(const ErasedRow* rows, size_t count) {
  auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
  for (size_t i = 0; i < count; ++i) elements[i] = PointerGetDatum(&rows[i].tid);
  return construct_array(elements, static_cast<int>(count), TIDOID, sizeof(ItemPointerData), false,
                         TYPALIGN_SHORT);
}

ArrayType* table_array(const ErasedRow* rows, size_t count) {
  auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
  for (size_t i = 0; i < count; ++i) elements[i] = ObjectIdGetDatum(rows[i].table);
  return construct_array(elements, static_cast<int>(count), OIDOID, sizeof(Oid), true,
                         TYPALIGN_INT);
}

// To here.

template <class Keep>
void add_members(Oid table, const tree::RowidSet& rows, std::vector<ErasedRow>& out, Keep&& keep) {
  const TidBase tids = pg::call([=] { return tid_base(table); });
  for (auto at = rows.at_or_after(0); at; at = rows.at_or_after(*at + 1))
    if (keep(*at)) out.push_back({table, to_tid(tids, *at)});
}

}  // namespace

void check_references(const std::map<Oid, Versions>& tables) {
  std::vector<ErasedRow> erased;
  for (const auto& [table, versions] : tables)
    add_members(table, versions.rows, erased, [](uint64_t) { return true; });
  Candidates candidates{};
  Candidates* c = &candidates;
  const std::vector<ErasedRow>* e = &erased;
  for (const auto& [table, versions] : tables) {
    const Oid oid = table;
    List* constraints = pg::call([=] { return foreign_keys_on(oid); });
    if (constraints == NIL || versions.count == 0) continue;
    Relation relation = pg::call([=] { return table_open(oid, NoLock); });
    const RelationInfo* info = pg::call([=] { return &relation_info(relation); });
    for (int32_t branch : pg::named_branches()) {
      const TableView view = latest_table_view(*info, branch);
      std::vector<ErasedRow> live;
      add_members(oid, versions.rows, live, [&](uint64_t rowid) { return view.sees(rowid); });
      if (live.empty()) continue;
      const std::vector<ErasedRow>* l = &live;
      pg::call([=] {
        c->tids = tid_array(l->data(), l->size());
        if (!c->erased) c->erased = tid_array(e->data(), e->size());
        if (!c->erased_from) c->erased_from = table_array(e->data(), e->size());
        check_on_branch(constraints, oid, pg::branch_name(branch), c);
      });
    }
    pg::call([=] { table_close(relation, NoLock); });
  }
}

}  // namespace datahike::am
