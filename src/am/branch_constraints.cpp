#include "am/branch_constraints.h"

#include "am/rewrite.h"
#include "am/slot.h"
#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

extern "C" {
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "utils/fmgrprotos.h"
#include "utils/partcache.h"
#include "utils/ruleutils.h"
}

namespace datahike::am {

struct TableConstraints {
  Oid relation;
  Bitmapset* not_null;  // attribute numbers
  List* validated;      // CHECK and FOREIGN KEY constraints
  bool is_partition;
  bool is_narrowed;  // a default partition's: values of a partition to be made are taken from it
};

namespace {

bool is_part_of(Oid parent, Oid relation) {
  if (!OidIsValid(parent)) return false;
  HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(parent));
  if (!HeapTupleIsValid(tuple)) return false;
  bool same = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->conrelid == relation;
  ReleaseSysCache(tuple);
  return same;
}

int count_attributes(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple)) return 0;
  int count = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relnatts;
  ReleaseSysCache(tuple);
  return count;
}

TableConstraints* look_at(Oid relation) {
  auto* t = static_cast<TableConstraints*>(palloc0(sizeof(TableConstraints)));
  t->relation = relation;
  t->is_partition = get_rel_relispartition(relation);
  for (AttrNumber i = 1, last = count_attributes(relation); i <= last; ++i) {
    HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(i));
    if (!HeapTupleIsValid(tuple)) continue;
    auto* att = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
    if (att->attnotnull && !att->attisdropped) t->not_null = bms_add_member(t->not_null, i);
    ReleaseSysCache(tuple);
  }
  Relation constraints = table_open(ConstraintRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(relation));
  SysScanDesc scan =
      systable_beginscan(constraints, ConstraintRelidTypidNameIndexId, true, nullptr, 1, &key);
  HeapTuple tuple;
  while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
    auto* c = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
    // A reference to a partitioned table has a constraint more for each partition, which no row has
    // to fulfil alone.
    bool kind = c->contype == CONSTRAINT_CHECK ||
                (c->contype == CONSTRAINT_FOREIGN && !is_part_of(c->conparentid, relation));
    if (kind && c->convalidated) t->validated = lappend_oid(t->validated, c->oid);
  }
  systable_endscan(scan);
  table_close(constraints, AccessShareLock);
  return t;
}

// The command's table, and the one that it attaches as a partition.
List* named_tables(const AlterTableStmt* alter) {
  List* tables = NIL;
  Oid table = RangeVarGetRelid(alter->relation, NoLock, true);
  if (OidIsValid(table)) tables = lappend_oid(tables, table);
  ListCell* cell;
  foreach (cell, alter->cmds) {
    auto* command = static_cast<AlterTableCmd*>(lfirst(cell));
    if (command->subtype != AT_AttachPartition) continue;
    Oid part = RangeVarGetRelid(reinterpret_cast<PartitionCmd*>(command->def)->name, NoLock, true);
    if (OidIsValid(part)) tables = lappend_oid(tables, part);
  }
  return tables;
}

List* with_children(List* tables) {
  List* all = NIL;
  ListCell* cell;
  foreach (cell, tables)
    all = list_concat_unique_oid(all, find_all_inheritors(lfirst_oid(cell), NoLock, nullptr));
  return all;
}

const TableConstraints* find(List* tables, Oid relation) {
  ListCell* cell;
  foreach (cell, tables) {
    auto* t = static_cast<TableConstraints*>(lfirst(cell));
    if (t->relation == relation) return t;
  }
  return nullptr;
}

// One thing to be checked: a column, a constraint, or else the partition constraint.
struct Check {
  Oid relation;
  AttrNumber not_null;
  Oid constraint;
  bool foreign_key;
};
constexpr const char* kAlias = "checked";

bool is_foreign_key(Oid constraint) {
  HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
  if (!HeapTupleIsValid(tuple)) return false;
  auto* c = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
  bool result = c->contype == CONSTRAINT_FOREIGN;
  ReleaseSysCache(tuple);
  return result;
}

List* append(List* checks, const Check& check) {
  auto* copy = static_cast<Check*>(palloc(sizeof(Check)));
  *copy = check;
  return lappend(checks, copy);
}

// The default partition's rows may belong to a new one.
List* append_default_partition(List* checks, Oid partition) {
  Oid parent = get_partition_parent(partition, true);
  Oid other = get_default_partition_oid(parent);
  if (!OidIsValid(other) || other == partition) return checks;
  ListCell* cell;
  List* all = find_all_inheritors(other, NoLock, nullptr);
  foreach (cell, all) checks = append(checks, {lfirst_oid(cell), 0, InvalidOid, false});
  return checks;
}

List* added_checks(List* before, List* relations) {
  List* checks = NIL;
  ListCell* cell;
  foreach (cell, relations) {
    Oid relation = lfirst_oid(cell);
    if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation))) continue;
    const TableConstraints* old = find(before, relation);
    TableConstraints* now = look_at(relation);
    Bitmapset* columns =
        old ? bms_difference(now->not_null, old->not_null) : bms_copy(now->not_null);
    int column = -1;
    while ((column = bms_next_member(columns, column)) >= 0)
      checks = append(checks, {relation, static_cast<AttrNumber>(column), InvalidOid, false});
    ListCell* c;
    foreach (c, list_difference_oid(now->validated, old ? old->validated : NIL))
      checks = append(checks, {relation, 0, lfirst_oid(c), is_foreign_key(lfirst_oid(c))});
    bool becomes_partition = now->is_partition && !(old && old->is_partition);
    if (!becomes_partition && !(old && old->is_narrowed)) continue;
    checks = append(checks, {relation, 0, InvalidOid, false});
    if (!becomes_partition) continue;
    checks = append_default_partition(checks, relation);
  }
  return checks;
}

// Whether the query finds a row in the newest state, this transaction's changes included.
bool finds_row(const char* query) {
  if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
  SPIPlanPtr plan = SPI_prepare(query, 0, nullptr);
  if (!plan) elog(ERROR, "SPI_prepare failed for %s", query);
  int result = SPI_execute_snapshot(plan, nullptr, nullptr, GetLatestSnapshot(), InvalidSnapshot,
                                    true, false, 1);
  if (result != SPI_OK_SELECT) elog(ERROR, "SPI_execute_snapshot returned %d", result);
  bool found = SPI_processed > 0;
  SPI_finish();
  return found;
}

char* table_name(Relation relation) {
  return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                    RelationGetRelationName(relation));
}

void check_not_null(Relation relation, AttrNumber column) {
  const char* name = NameStr(TupleDescAttr(RelationGetDescr(relation), column - 1)->attname);
  // IS NULL also holds for a composite value whose fields are all null.
  if (!finds_row(psprintf("SELECT FROM ONLY %s WHERE %s IS NOT DISTINCT FROM NULL",
                          table_name(relation), quote_identifier(name))))
    return;
  ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                  errmsg("column \"%s\" of relation \"%s\" contains null values", name,
                         RelationGetRelationName(relation)),
                  errtablecol(relation, column)));
}

// CHECK expressions name the table itself, partition constraints its alias.
void check_expression(Relation relation, const char* expression, const char* constraint) {
  if (!finds_row(psprintf("SELECT FROM ONLY %s %s WHERE NOT (%s)", table_name(relation),
                          constraint ? "" : kAlias, expression)))
    return;
  if (constraint)
    ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
                    errmsg("check constraint \"%s\" of relation \"%s\" is violated by some row",
                           constraint, RelationGetRelationName(relation)),
                    errtableconstraint(relation, constraint)));
  ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
                  errmsg("partition constraint of relation \"%s\" is violated by some row",
                         RelationGetRelationName(relation)),
                  errtable(relation)));
}

void check_foreign_key(Relation relation, const FormData_pg_constraint& c, const char* branch) {
  Relation referenced = table_open(c.confrelid, RowShareLock);
  Trigger trigger{};
  trigger.tgoid = InvalidOid;
  trigger.tgname = pstrdup(NameStr(c.conname));
  trigger.tgenabled = TRIGGER_FIRES_ON_ORIGIN;
  trigger.tgisinternal = true;
  trigger.tgconstrrelid = c.confrelid;
  trigger.tgconstrindid = c.conindid;
  trigger.tgconstraint = c.oid;
  if (!RI_Initial_Check(&trigger, relation, referenced))
    ereport(WARNING, (errmsg("foreign key \"%s\" has not been checked on branch \"%s\"",
                             NameStr(c.conname), branch),
                      errdetail("That needs the right to SELECT from both tables.")));
  table_close(referenced, NoLock);
}

void check_constraint(Relation relation, Oid constraint, const char* branch) {
  HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
  if (!HeapTupleIsValid(tuple)) return;
  auto* c = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple));
  if (c->contype == CONSTRAINT_FOREIGN) {
    check_foreign_key(relation, *c, branch);
  } else {
    bool isnull;
    Datum stored = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_conbin, &isnull);
    Datum definition =
        DirectFunctionCall2(pg_get_expr, stored, ObjectIdGetDatum(RelationGetRelid(relation)));
    check_expression(relation, TextDatumGetCString(definition), NameStr(c->conname));
  }
  ReleaseSysCache(tuple);
}

// As the table's owner, so that policies hide nothing; with the session on the branch.
void run_check(const Check& check, const char* branch) {
  Relation relation = table_open(check.relation, NoLock);
  Oid user;
  int context;
  GetUserIdAndSecContext(&user, &context);
  int level = NewGUCNestLevel();
  for (auto [name, value] : {std::pair{"datahike.branch", branch},
                             {"datahike.commit_id", ""},
                             {"datahike.as_of", ""},
                             {"datahike.since", ""},
                             {"datahike.history", "off"}})
    set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  if (!check.foreign_key)  // which reads another owner's table
    SetUserIdAndSecContext(relation->rd_rel->relowner,
                           context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
  if (check.not_null != 0)
    check_not_null(relation, check.not_null);
  else if (OidIsValid(check.constraint))
    check_constraint(relation, check.constraint, branch);
  else if (get_partition_qual_relid(check.relation))
    check_expression(relation, pg_get_partconstrdef_string(check.relation, pstrdup(kAlias)),
                     nullptr);
  SetUserIdAndSecContext(user, context);
  AtEOXact_GUC(false, level);
  table_close(relation, NoLock);
}

bool is_datahike(Oid oid) {
  Relation relation = RelationIdGetRelation(oid);
  if (!relation) return false;
  bool ours = relation->rd_tableam && relation->rd_tableam->slot_callbacks &&
              relation->rd_tableam->slot_callbacks(relation) == &slot_operations;
  RelationClose(relation);
  return ours;
}

void check_other_branches(const Check& check) {
  const Check* c = &check;
  if (!pg::call([=] { return is_datahike(c->relation); })) return;
  // PostgreSQL itself has checked what the session reads.
  const versioning::SessionView& session = versioning::session_view();
  for (int32_t branch : pg::named_branches()) {
    bool checked = branch == session.branch && !session.pinned_by;
    if (checked || !branch_has_rows(check.relation, branch)) continue;
    const char* name = pg::branch_name(branch);
    name_branch_in_errors(name);
    pg::call([=] { run_check(*c, name); });
    name_branch_in_errors(nullptr);
  }
}

// CREATE TABLE ... PARTITION OF: the default partition's rows are checked again.
List* note_default_partition(const CreateStmt* create) {
  Oid parent = RangeVarGetRelid(linitial_node(RangeVar, create->inhRelations), NoLock, true);
  if (get_rel_relkind(parent) != RELKIND_PARTITIONED_TABLE) return NIL;
  Oid other = get_default_partition_oid(parent);
  if (!OidIsValid(other)) return NIL;
  List* before = NIL;
  ListCell* cell;
  List* all = find_all_inheritors(other, NoLock, nullptr);
  foreach (cell, all) {
    TableConstraints* t = look_at(lfirst_oid(cell));
    t->is_narrowed = true;
    before = lappend(before, t);
  }
  return before;
}

bool makes_partition(Node* statement) {
  if (!IsA(statement, CreateStmt) && !IsA(statement, CreateForeignTableStmt)) return false;
  return reinterpret_cast<CreateStmt*>(statement)->partbound != nullptr;
}

}  // namespace

List* note_constraints(Node* statement) {
  bool partition = makes_partition(statement);
  if (!partition && !IsA(statement, AlterTableStmt)) return NIL;
  if (!pg::extension_installed()) return NIL;
  bool read_only = pg::guard([] { return versioning::current_settings().pinned_by != nullptr; });
  bool others = read_only || pg::count_branches() > 1;
  if (partition && others) return note_default_partition(reinterpret_cast<CreateStmt*>(statement));
  if (partition) return NIL;
  auto* alter = reinterpret_cast<AlterTableStmt*>(statement);
  if (alter->objtype != OBJECT_TABLE || !others) return NIL;
  List* before = NIL;
  ListCell* cell;
  List* relations = with_children(named_tables(alter));
  foreach (cell, relations) before = lappend(before, look_at(lfirst_oid(cell)));
  return before;
}

void check_added_constraints(List* before) {
  if (before == NIL) return;
  CommandCounterIncrement();
  List* relations = NIL;
  ListCell* cell;
  foreach (cell, before)
    relations = lappend_oid(relations, static_cast<TableConstraints*>(lfirst(cell))->relation);
  List* checks = added_checks(before, with_children(relations));
  foreach (cell, checks) {
    auto* check = static_cast<Check*>(lfirst(cell));
    pg::guard([=] { check_other_branches(*check); });
  }
}

}  // namespace datahike::am
