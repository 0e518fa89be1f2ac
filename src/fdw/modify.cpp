// A row that is written to a foreign table is written to its table by an SQL statement of its own,
// run while datahike.branch is the server's branch. So privileges, row security, constraints,
// defaults, triggers and the rules of commits are the table's. The row to change is named by its
// ctid, which the scan of the foreign table has brought along: a row version that another
// transaction has replaced meanwhile is not followed, but answered with 40001.
#include "fdw/modify.h"

#include "am/relation.h"
#include "fdw/fact_scan.h"
#include "fdw/options.h"
#include "pg/bridge.h"
#include "pg/settings.h"

extern "C" {
#include "access/sysattr.h"
#include "commands/explain.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "optimizer/appendinfo.h"
#include "optimizer/inherit.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
}

namespace datahike::fdw {

namespace {

// Nothing in it has a destructor but `changed`, which a callback of the query's memory deletes.
struct Modify {
  CmdType command;
  Relation foreign;
  const char* branch;
  Oid role;       // whose privileges count
  List* columns;  // attribute numbers of the foreign table that are written
  bool returns;
  SPIPlanPtr plan;   // of the statement; made when it is first needed
  SPIPlanPtr probe;  // whether a row version is there
  AttrNumber ctid;   // in the plan's rows, of UPDATE and DELETE
  MemoryContext row_memory;
  std::unordered_set<uint64_t>* changed;  // rowids that this statement has changed
};

// What the statement runs under: the branch and the role.
struct Surroundings {
  int level, context;
  Oid user;
};

void set_until_left(const char* name, const char* value) {
  set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

// What the caller's search_path names must not run with the rights of another role.
Surroundings enter(const Modify* modify) {
  Surroundings before;
  before.level = NewGUCNestLevel();
  // The session's own view is not the server's.
  if (*pg::setting_commit_id) set_until_left("datahike.commit_id", "");
  if (*pg::setting_as_of) set_until_left("datahike.as_of", "");
  if (*pg::setting_since) set_until_left("datahike.since", "");
  if (pg::setting_history) set_until_left("datahike.history", "off");
  set_until_left("datahike.branch", modify->branch);
  GetUserIdAndSecContext(&before.user, &before.context);
  if (modify->role != before.user) {
    set_until_left("search_path", "pg_catalog, pg_temp");
    SetUserIdAndSecContext(modify->role, before.context | SECURITY_LOCAL_USERID_CHANGE);
  }
  if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "SPI_connect failed");
  return before;
}

// After an error the end of the (sub)transaction does it.
void leave(const Surroundings& before) {
  SPI_finish();
  SetUserIdAndSecContext(before.user, before.context);
  AtEOXact_GUC(true, before.level);
}

const char* column_name(const Modify* modify, int number) {
  return quote_identifier(
      NameStr(TupleDescAttr(RelationGetDescr(modify->foreign), number - 1)->attname));
}

void append_returning(StringInfo text, const Modify* modify) {
  if (!modify->returns) return;
  TupleDesc desc = RelationGetDescr(modify->foreign);
  const char* before = " RETURNING ";
  for (int i = 0; i < desc->natts; ++i) {
    if (TupleDescAttr(desc, i)->attisdropped) continue;
    appendStringInfo(text, "%s%s", before, column_name(modify, i + 1));
    before = ", ";
  }
}

void append_insert(StringInfo text, const Modify* modify, const char* table) {
  appendStringInfo(text, "INSERT INTO %s", table);
  if (modify->columns == NIL) {
    appendStringInfoString(text, " DEFAULT VALUES");
    return;
  }
  ListCell* cell;
  const char* before = " (";
  foreach (cell, modify->columns) {
    appendStringInfo(text, "%s%s", before, column_name(modify, lfirst_int(cell)));
    before = ", ";
  }
  for (int i = 1; i <= list_length(modify->columns); ++i)
    appendStringInfo(text, "%s$%d", i == 1 ? ") VALUES (" : ", ", i);
  appendStringInfoChar(text, ')');
}

// A scan by TID does not look at the condition that it has used again when the row has been changed
// meanwhile: minor versions of PostgreSQL differ in that. So the condition is written twice, and
// one of the two is a filter, which is always looked at again.
constexpr const char* kIsRow =
    " WHERE ctid OPERATOR(pg_catalog.=) $1 AND ctid OPERATOR(pg_catalog.>=) $1 AND "
    "ctid OPERATOR(pg_catalog.<=) $1";

void append_update(StringInfo text, const Modify* modify, const char* table) {
  appendStringInfo(text, "UPDATE ONLY %s", table);
  ListCell* cell;
  int parameter = 1;
  foreach (cell, modify->columns) {
    appendStringInfo(text, "%s%s = $%d", parameter == 1 ? " SET " : ", ",
                     column_name(modify, lfirst_int(cell)), parameter + 1);
    ++parameter;
  }
  appendStringInfoString(text, kIsRow);
}

SPIPlanPtr prepare(const char* text, int count, Oid* types) {
  SPIPlanPtr plan = SPI_prepare(text, count, types);
  if (!plan) elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
  SPI_keepplan(plan);
  return plan;
}

void free_plans(void* argument) {
  auto* modify = static_cast<Modify*>(argument);
  if (modify->plan) SPI_freeplan(modify->plan);
  if (modify->probe) SPI_freeplan(modify->probe);
  delete modify->changed;
}

void prepare_statement(Modify* modify) {
  const char* table = quoted(table_name(RelationGetRelid(modify->foreign)));
  StringInfoData text;
  initStringInfo(&text);
  if (modify->command == CMD_INSERT)
    append_insert(&text, modify, table);
  else if (modify->command == CMD_UPDATE)
    append_update(&text, modify, table);
  else
    appendStringInfo(&text, "DELETE FROM ONLY %s%s", table, kIsRow);
  append_returning(&text, modify);
  auto* types = static_cast<Oid*>(palloc(sizeof(Oid) * (list_length(modify->columns) + 1)));
  int count = 0;
  if (modify->command != CMD_INSERT) types[count++] = TIDOID;
  ListCell* cell;
  foreach (cell, modify->columns)
    types[count++] =
        TupleDescAttr(RelationGetDescr(modify->foreign), lfirst_int(cell) - 1)->atttypid;
  modify->plan = prepare(text.data, count, types);
}

// The row that the statement returned, as one of the foreign table's.
void store_returned(const Modify* modify, TupleTableSlot* slot) {
  TupleDesc desc = RelationGetDescr(modify->foreign);
  ExecClearTuple(slot);
  HeapTuple row = SPI_tuptable->vals[0];
  for (int i = 0, at = 1; i < desc->natts; ++i) {
    slot->tts_isnull[i] = true;
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (att->attisdropped) continue;
    Datum value = heap_getattr(row, at++, SPI_tuptable->tupdesc, &slot->tts_isnull[i]);
    if (slot->tts_isnull[i]) continue;
    if (SPI_gettypeid(SPI_tuptable->tupdesc, at - 1) != att->atttypid)
      ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                      errmsg("column \"%s\" has another type in the table", NameStr(att->attname)),
                      errhint("RETURNING takes foreign tables as IMPORT FOREIGN SCHEMA makes "
                              "them.")));
    slot->tts_values[i] = value;
  }
  ExecStoreVirtualTuple(slot);
  ExecMaterializeSlot(slot);  // the row goes with SPI's memory
}

void refuse_replaced(const Modify* modify, Datum* tid) {
  if (!modify->probe) {
    Oid type = TIDOID;
    const char* table = quoted(table_name(RelationGetRelid(modify->foreign)));
    const_cast<Modify*>(modify)->probe = prepare(
        psprintf("SELECT FROM ONLY %s WHERE ctid OPERATOR(pg_catalog.=) $1", table), 1, &type);
  }
  if (SPI_execute_plan(modify->probe, tid, nullptr, false, 1) < 0)
    elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(SPI_result));
  if (SPI_processed > 0) return;  // a trigger or a policy has kept it
  ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                  errmsg("a row of foreign table \"%s\" has been changed by another transaction",
                         RelationGetRelationName(modify->foreign)),
                  errhint("Retry, or SET datahike.branch and change the table itself.")));
}

// Whether the table has taken the row.
bool run(Modify* modify, TupleTableSlot* row, Datum tid) {
  MemoryContextReset(modify->row_memory);
  MemoryContext memory = MemoryContextSwitchTo(modify->row_memory);
  int count = 0;
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * (list_length(modify->columns) + 1)));
  auto* nulls = static_cast<char*>(palloc(static_cast<Size>(list_length(modify->columns)) + 1));
  if (modify->command != CMD_INSERT) {
    values[count] = tid;
    nulls[count++] = ' ';
  }
  ListCell* cell;
  foreach (cell, modify->columns) {
    bool isnull;
    values[count] = slot_getattr(row, lfirst_int(cell), &isnull);
    nulls[count++] = isnull ? 'n' : ' ';
  }
  Surroundings before = enter(modify);
  if (!modify->plan) prepare_statement(modify);
  if (SPI_execute_plan(modify->plan, values, nulls, false, 0) < 0)
    elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(SPI_result));
  bool taken = SPI_processed > 0;
  if (taken && modify->returns) store_returned(modify, row);
  if (!taken && modify->command != CMD_INSERT) refuse_replaced(modify, values);
  leave(before);
  MemoryContextSwitchTo(memory);
  return taken;
}

void require_writable(Oid server, const ServerOptions& options) {
  if (options.is_writable()) return;
  ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                  errmsg("server \"%s\" is read-only: it names %s",
                         GetForeignServer(server)->servername, describe_view(options)),
                  errhint("A server with the option branch and no other is writable.")));
}

int updatable(Relation foreign) {
  ServerOptions options = server_options(GetForeignTable(RelationGetRelid(foreign))->serverid);
  if (is_fact_table(RelationGetRelid(foreign))) return 0;
  return options.is_writable() ? 1 << CMD_INSERT | 1 << CMD_UPDATE | 1 << CMD_DELETE : 0;
}

void add_row_identity(PlannerInfo* root, Index index, RangeTblEntry*, Relation) {
  Var* ctid =
      makeVar(static_cast<int>(index), SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);
  add_row_identity_var(root, ctid, index, "ctid");
}

// What INSERT does not name is left to the table's own defaults.
List* written_columns(PlannerInfo* root, Index index, CmdType command) {
  List* columns = NIL;
  ListCell* cell;
  if (command == CMD_INSERT) {
    foreach (cell, root->parse->targetList) {
      auto* target = static_cast<TargetEntry*>(lfirst(cell));
      if (!target->resjunk) columns = lappend_int(columns, target->resno);
    }
  } else if (command == CMD_UPDATE) {
    Bitmapset* updated =
        get_rel_all_updated_cols(root, find_base_rel(root, static_cast<int>(index)));
    int member = -1;
    while ((member = bms_next_member(updated, member)) >= 0)
      columns = lappend_int(columns, member + FirstLowInvalidHeapAttributeNumber);
  }
  return columns;
}

[[noreturn]] void refuse_on_conflict() {
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("ON CONFLICT is not supported for datahike's foreign tables"),
                  errhint("SET datahike.branch and insert into the table itself.")));
  pg_unreachable();
}

List* plan_modify(PlannerInfo* root, ModifyTable* plan, Index index, int) {
  RangeTblEntry* entry = planner_rt_fetch(index, root);
  Oid server = GetForeignTable(entry->relid)->serverid;
  require_writable(server, server_options(server));
  if (plan->onConflictAction != ONCONFLICT_NONE) refuse_on_conflict();
  bool returns = plan->returningLists != NIL || plan->withCheckOptionLists != NIL;
  return list_make2(written_columns(root, index, plan->operation), makeInteger(returns));
}

bool has_row_triggers_after(const ResultRelInfo* info) {
  TriggerDesc* triggers = info->ri_TrigDesc;
  return triggers && (triggers->trig_insert_after_row || triggers->trig_update_after_row ||
                      triggers->trig_delete_after_row);
}

Modify* begin(ModifyTableState* state, ResultRelInfo* info, List* columns, bool returns,
              MemoryContext memory) {
  CmdType command = state ? state->operation : CMD_INSERT;
  auto* modify = static_cast<Modify*>(MemoryContextAllocZero(memory, sizeof(Modify)));
  modify->command = command;
  modify->foreign = info->ri_RelationDesc;
  Oid server = GetForeignTable(RelationGetRelid(modify->foreign))->serverid;
  ServerOptions options = server_options(server);
  require_writable(server, options);
  MemoryContext before = MemoryContextSwitchTo(memory);
  modify->branch = pstrdup(options.view.branch);
  modify->columns = list_copy(columns);
  MemoryContextSwitchTo(before);
  modify->returns = returns || has_row_triggers_after(info);
  modify->row_memory =
      AllocSetContextCreate(memory, "datahike foreign row", ALLOCSET_DEFAULT_SIZES);
  modify->changed = pg::guard([] { return new std::unordered_set<uint64_t>; });
  auto* callback = static_cast<MemoryContextCallback*>(
      MemoryContextAlloc(memory, sizeof(MemoryContextCallback)));
  callback->func = free_plans;
  callback->arg = modify;
  MemoryContextRegisterResetCallback(memory, callback);
  if (command != CMD_INSERT) {
    modify->ctid = ExecFindJunkAttributeInTlist(outerPlanState(state)->plan->targetlist, "ctid");
    if (!AttributeNumberIsValid(modify->ctid)) elog(ERROR, "could not find junk column ctid");
  }
  info->ri_FdwState = modify;
  return modify;
}

Oid server_of(const ResultRelInfo* info) {
  return GetForeignTable(RelationGetRelid(info->ri_RelationDesc))->serverid;
}

void begin_modify(ModifyTableState* state, ResultRelInfo* info, List* planned, int, int flags) {
  if (flags & EXEC_FLAG_EXPLAIN_ONLY) return;
  RangeTblEntry* entry = exec_rt_fetch(info->ri_RangeTableIndex, state->ps.state);
  Oid user = OidIsValid(entry->checkAsUser) ? entry->checkAsUser : GetUserId();
  Modify* modify = begin(state, info, linitial_node(List, planned), intVal(lsecond(planned)) != 0,
                         state->ps.state->es_query_cxt);
  modify->role = reading_role(server_of(info), user);
}

// COPY, and rows that are routed to a partition: all columns. The state is that of the table that
// they are routed from.
void begin_insert(ModifyTableState* state, ResultRelInfo* info) {
  TupleDesc desc = RelationGetDescr(info->ri_RelationDesc);
  List* columns = NIL;
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (!att->attisdropped && !att->attgenerated) columns = lappend_int(columns, i + 1);
  }
  auto* plan = state ? reinterpret_cast<ModifyTable*>(state->ps.plan) : nullptr;  // COPY has none
  if (plan && plan->onConflictAction != ONCONFLICT_NONE) refuse_on_conflict();
  Modify* modify =
      begin(nullptr, info, columns, info->ri_returningList != NIL, CurrentMemoryContext);
  modify->role = reading_role(server_of(info), GetUserId());
}

TupleTableSlot* insert(EState*, ResultRelInfo* info, TupleTableSlot* slot, TupleTableSlot*) {
  return run(static_cast<Modify*>(info->ri_FdwState), slot, 0) ? slot : nullptr;
}

// A row that a join finds twice is changed once, as PostgreSQL's own are.
bool is_first_change(Modify* modify, TupleTableSlot* plan_slot, Datum* tid) {
  bool isnull;
  *tid = slot_getattr(plan_slot, modify->ctid, &isnull);
  if (isnull) elog(ERROR, "ctid is NULL");
  uint64_t rowid =
      am::to_rowid(am::kNoTidBase, *reinterpret_cast<ItemPointer>(DatumGetPointer(*tid)));
  return pg::guard([=] { return modify->changed->insert(rowid).second; });
}

TupleTableSlot* change(EState*, ResultRelInfo* info, TupleTableSlot* slot,
                       TupleTableSlot* plan_slot) {
  auto* modify = static_cast<Modify*>(info->ri_FdwState);
  Datum tid;
  if (!is_first_change(modify, plan_slot, &tid)) return nullptr;
  return run(modify, slot, tid) ? slot : nullptr;
}

void end(EState*, ResultRelInfo*) {}

void explain(ModifyTableState*, ResultRelInfo* info, List*, int, ExplainState* out) {
  Oid foreign_table = RelationGetRelid(info->ri_RelationDesc);
  ExplainPropertyText("View",
                      describe_view(server_options(GetForeignTable(foreign_table)->serverid)), out);
  ExplainPropertyText("Relation", quoted(table_name(foreign_table)), out);
}

}  // namespace

void add_modify_callbacks(FdwRoutine* routine) {
  routine->IsForeignRelUpdatable = updatable;
  routine->AddForeignUpdateTargets = add_row_identity;
  routine->PlanForeignModify = plan_modify;
  routine->BeginForeignModify = begin_modify;
  routine->BeginForeignInsert = begin_insert;
  routine->ExecForeignInsert = insert;
  routine->ExecForeignUpdate = change;
  routine->ExecForeignDelete = change;
  routine->EndForeignModify = end;
  routine->EndForeignInsert = end;
  routine->ExplainForeignModify = explain;
}

}  // namespace datahike::fdw
