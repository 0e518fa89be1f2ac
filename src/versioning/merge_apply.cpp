// Does what has been decided. All removals come first, so that rows may exchange unique values,
// then the insertions with their index entries and the checks of single rows, and when every table
// is as it is to be, foreign keys and deferrable constraints, checked at once by the functions of
// the constraints' own triggers. No others fire.
//
// A violation is not an error but a conflict: the changes are made in a subtransaction, which is
// rolled back and divided in two until the rows that violate something stand alone.
#include "versioning/merge.h"

#include "am/merge_rows.h"
#include "iforest/sql/models.h"
#include "pg/bridge.h"

extern "C" {
#include "executor/nodeModifyTable.h"
#include "utils/fmgrprotos.h"
#include "catalog/pg_trigger.h"
}

namespace datahike::versioning {

namespace {

using Step = void (*)(TableMerge* t, MergeChange* change);

// The changes first..end-1 in a subtransaction; nullptr: done.
ErrorData* try_steps(TableMerge* t, int first, int end, Step step) {
  ResourceOwner owner = CurrentResourceOwner;
  MemoryContext memory = CurrentMemoryContext;
  ErrorData* volatile error = nullptr;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(memory);
  PG_TRY();
  {
    for (int i = first; i < end; ++i) {
      auto* change = static_cast<MergeChange*>(list_nth(t->changes, i));
      if (!change->cancelled) step(t, change);
      ResetPerTupleExprContext(t->merge->estate);
      CHECK_FOR_INTERRUPTS();
    }
    ReleaseCurrentSubTransaction();
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(memory);
    error = CopyErrorData();
    FlushErrorState();
    RollbackAndReleaseCurrentSubTransaction();
  }
  PG_END_TRY();
  MemoryContextSwitchTo(memory);
  CurrentResourceOwner = owner;
  if (error && !is_violation(error)) ReThrowError(error);
  return error;
}

void run_steps(TableMerge* t, int first, int end, Step step) {
  if (first >= end) return;
  ErrorData* error = try_steps(t, first, end, step);
  if (!error) return;
  if (end - first == 1) {
    auto* change = static_cast<MergeChange*>(list_nth(t->changes, first));
    change->failed = true;
    note_violation(t, change, error);
    return;
  }
  int middle = first + (end - first) / 2;
  run_steps(t, first, middle, step);
  run_steps(t, middle, end, step);
}

void check_domains(TableMerge* t, TupleTableSlot* slot) {
  for (int i = 0; i < t->desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(t->desc, i);
    if (att->attisdropped || get_typtype(att->atttypid) != TYPTYPE_DOMAIN) continue;
    domain_check(slot->tts_values[i], slot->tts_isnull[i], att->atttypid, &t->domains[i],
                 t->merge->memory);
  }
}

void insert_change(TableMerge* t, MergeChange* c) {
  if (!c->values) return;
  EState* estate = t->merge->estate;
  TupleTableSlot* slot = t->target_slot;
  ExecClearTuple(slot);
  std::memcpy(slot->tts_values, c->values, sizeof(Datum) * t->desc->natts);
  std::memcpy(slot->tts_isnull, c->nulls, sizeof(bool) * t->desc->natts);
  ExecStoreVirtualTuple(slot);
  slot->tts_tableOid = RelationGetRelid(t->relation);
  TupleConstr* constraints = t->desc->constr;
  if (constraints && constraints->has_generated_stored)
    ExecComputeStoredGenerated(t->target, estate, slot, CMD_INSERT);
  check_domains(t, slot);
  if (constraints) ExecConstraints(t->target, slot, estate);
  if (t->relation->rd_rel->relispartition) ExecPartitionCheck(t->target, slot, estate, true);
  am::insert_merged_row(t->relation, slot, c->entity, c->ours ? c->ours->rowid : 0, t->merge->cid);
  c->rowid = am::to_rowid(am::relation_info(t->relation).tid_base, slot->tts_tid);
  if (t->target->ri_NumIndices == 0) return;
  // Deferrable constraints are looked at once more in check_change().
  list_free(ExecInsertIndexTuples(t->target, slot, estate, false, false, nullptr, NIL));
}

bool is_enabled(const Trigger& trigger) {
  if (trigger.tgenabled == TRIGGER_DISABLED) return false;
  return SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA
             ? trigger.tgenabled != TRIGGER_FIRES_ON_ORIGIN
             : trigger.tgenabled != TRIGGER_FIRES_ON_REPLICA;
}

void call_trigger_function(PGFunction function, TableMerge* t, Trigger* trigger, TriggerEvent event,
                           TupleTableSlot* slot) {
  TriggerData data{};
  data.type = T_TriggerData;
  data.tg_event = TRIGGER_EVENT_ROW | event;
  data.tg_relation = t->relation;
  data.tg_trigger = trigger;
  data.tg_trigslot = slot;
  LOCAL_FCINFO(call, 0);
  InitFunctionCallInfoData(*call, nullptr, 0, InvalidOid, reinterpret_cast<Node*>(&data), nullptr);
  function(call);
}

TupleTableSlot* fetch(TableMerge* t, uint64_t rowid, TupleTableSlot* slot) {
  pg::guard([=] {
    if (!am::fetch_row(t->ours, t->relation, *t->info, rowid, slot))
      throw CorruptError("a row of the merge is missing");
  });
  return slot;
}

// Whatever a foreign key says is to happen to rows that refer to one that goes: a merge does not
// cascade. It must find none.
void check_change(TableMerge* t, MergeChange* c) {
  if (c->failed || !t->triggers) return;
  TupleTableSlot* before = c->ours ? fetch(t, c->ours->rowid, t->slot) : nullptr;
  TupleTableSlot* after = c->values ? fetch(t, c->rowid, t->target_slot) : nullptr;
  for (int i = 0; i < t->triggers->numtriggers; ++i) {
    Trigger* trigger = &t->triggers->triggers[i];
    if (!trigger->tgisinternal || !is_enabled(*trigger)) continue;
    int kind = RI_FKey_trigger_type(trigger->tgfoid);
    if (kind == RI_TRIGGER_FK && after && TRIGGER_FOR_INSERT(trigger->tgtype)) {
      if (!before || RI_FKey_fk_upd_check_required(trigger, t->relation, before, after))
        call_trigger_function(RI_FKey_check_ins, t, trigger, TRIGGER_EVENT_INSERT, after);
    } else if (kind == RI_TRIGGER_PK && before && TRIGGER_FOR_DELETE(trigger->tgtype)) {
      if (RI_FKey_pk_upd_check_required(trigger, t->relation, before, after))
        call_trigger_function(RI_FKey_noaction_del, t, trigger, TRIGGER_EVENT_DELETE, before);
    } else if (trigger->tgfoid == F_UNIQUE_KEY_RECHECK && after) {
      call_trigger_function(unique_key_recheck, t, trigger, TRIGGER_EVENT_INSERT, after);
    }
  }
}

bool remove_rows(TableMerge* t) {
  ListCell* cell;
  foreach (cell, t->changes) {
    auto* c = static_cast<MergeChange*>(lfirst(cell));
    if (c->cancelled || !c->ours) continue;
    if (!am::remove_merged_row(t->relation, c->ours->rowid, key_changes(t, c), t->merge->cid))
      return false;
  }
  return true;
}

void open_target(TableMerge* t) {
  t->target = makeNode(ResultRelInfo);
  InitResultRelInfo(t->target, t->relation, 0, nullptr, 0);
  ExecOpenIndices(t->target, false);
  t->target_slot = table_slot_create(t->relation, nullptr);
  t->domains = static_cast<void**>(palloc0(sizeof(void*) * t->desc->natts));
  t->triggers = CopyTriggerDesc(t->relation->trigdesc);
}

void close_target(TableMerge* t) {
  // Plans of queries that name a model have the features that it had.
  if (RelationGetNamespace(t->relation) == get_namespace_oid(anomaly::kSchema, true))
    CacheInvalidateRelcache(t->relation);
  ExecCloseIndices(t->target);
  ExecDropSingleTupleTableSlot(t->target_slot);
}

// Whether test(index) holds for one of the relation's indexes.
template <class Test>
bool any_index(Relation relation, Test&& test) {
  bool found = false;
  ListCell* cell;
  List* indexes = RelationGetIndexList(relation);
  foreach (cell, indexes) {
    Relation index = index_open(lfirst_oid(cell), AccessShareLock);
    found |= test(index);
    index_close(index, NoLock);
  }
  list_free(indexes);
  return found;
}

bool is_foreign_key(const Trigger& trigger) {
  return RI_FKey_trigger_type(trigger.tgfoid) != RI_TRIGGER_NONE;
}

// Whether a row that is brought lacks a value that now has to be there.
bool brings_null(const TableMerge* t) {
  ListCell* cell;
  foreach (cell, t->changes) {
    auto* c = static_cast<MergeChange*>(lfirst(cell));
    if (c->cancelled || !c->values) continue;
    for (int i = 0; i < t->desc->natts; ++i)
      if (t->compared[i] && c->nulls[i] && TupleDescAttr(t->desc, i)->attnotnull) return true;
  }
  return false;
}

}  // namespace

void count_changes(TableMerge* t) {
  MergeResult& result = t->merge->result;
  ListCell* cell;
  foreach (cell, t->changes) {
    auto* c = static_cast<MergeChange*>(lfirst(cell));
    if (c->cancelled) continue;
    if (!c->ours) {
      ++result.inserted;
      pgstat_count_heap_insert(t->relation, 1);
    } else if (c->values) {
      ++result.updated;
      pgstat_count_heap_update(t->relation, false);
    } else {
      ++result.deleted;
      pgstat_count_heap_delete(t->relation);
    }
  }
}

bool is_self_contained(const TableMerge* t) {
  for (int i = 0; i < t->desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(t->desc, i);
    if (!att->attisdropped && get_typtype(att->atttypid) == TYPTYPE_DOMAIN) return false;
  }
  if (any_index(t->relation, [](Relation index) { return index->rd_index->indisexclusion; }))
    return false;
  const TriggerDesc* triggers = t->relation->trigdesc;
  for (int i = 0; triggers && i < triggers->numtriggers; ++i) {
    const Trigger& trigger = triggers->triggers[i];
    if (is_foreign_key(trigger) && !has_rows_to_merge(trigger.tgconstrrelid)) return false;
  }
  return !brings_null(t);
}

bool may_violate_constraints(const TableMerge* t) {
  const TupleConstr* constraints = t->desc->constr;
  if (t->relation->rd_rel->relispartition) return true;
  if (constraints && (constraints->num_check > 0 || constraints->has_generated_stored)) return true;
  const TriggerDesc* triggers = t->relation->trigdesc;
  for (int i = 0; triggers && i < triggers->numtriggers; ++i)
    if (is_foreign_key(triggers->triggers[i])) return true;
  Oid key = t->key ? RelationGetRelid(t->key) : InvalidOid;
  return any_index(t->relation, [=](Relation index) {
    return index->rd_index->indisunique && RelationGetRelid(index) != key;
  });
}

bool key_changes(TableMerge* t, const MergeChange* c) {
  if (!c->values) return true;
  Bitmapset* columns = RelationGetIndexAttrBitmap(t->relation, INDEX_ATTR_BITMAP_KEY);
  bool changes = false;
  int k = -1;
  while (!changes && (k = bms_next_member(columns, k)) >= 0) {
    int i = k + FirstLowInvalidHeapAttributeNumber - 1;
    // A generated column is not known yet.
    changes = i < 0 || !t->compared[i] ||
              !same_cell(t, i, c->ours->values, c->ours->nulls, c->values, c->nulls);
  }
  bms_free(columns);
  return changes;
}

bool apply_merge(Merge* merge) {
  merge->cid = GetCurrentCommandId(true);
  merge->estate = CreateExecutorState();
  merge->estate->es_output_cid = merge->cid;
  ListCell* cell;
  foreach (cell, merge->tables) {
    auto* t = static_cast<TableMerge*>(lfirst(cell));
    if (!remove_rows(t)) return false;
    open_target(t);
    run_steps(t, 0, list_length(t->changes), insert_change);
    count_changes(t);
  }
  CommandCounterIncrement();
  foreach (cell, merge->tables) {
    auto* t = static_cast<TableMerge*>(lfirst(cell));
    run_steps(t, 0, list_length(t->changes), check_change);
    close_target(t);
  }
  FreeExecutorState(merge->estate);
  return true;
}

}  // namespace datahike::versioning
