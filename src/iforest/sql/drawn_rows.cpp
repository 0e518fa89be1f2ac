#include "iforest/sql/drawn_rows.h"

#include <limits>

#include "am/scan.h"
#include "am/slot.h"
#include "pg/bridge.h"

extern "C" {
#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/plancache.h"
}

namespace datahike::anomaly {

namespace {

bool is_datahike_table(Oid relid) {
  Relation relation = RelationIdGetRelation(relid);
  if (!relation) return false;
  const bool is = relation->rd_rel->relkind == RELKIND_RELATION && relation->rd_tableam &&
                  relation->rd_tableam->slot_callbacks &&
                  relation->rd_tableam->slot_callbacks(relation) == &am::slot_operations;
  RelationClose(relation);
  return is;
}

bool only_scans(const Query* q) {
  const bool more = q->groupClause || q->groupingSets || q->havingQual || q->distinctClause ||
                    q->sortClause || q->limitCount || q->limitOffset || q->setOperations ||
                    q->cteList || q->rowMarks || q->hasAggs || q->hasWindowFuncs ||
                    q->hasTargetSRFs || q->hasSubLinks;
  return q->commandType == CMD_SELECT && !more && list_length(q->rtable) == 1 &&
         list_length(q->jointree->fromlist) == 1 && !q->jointree->quals &&
         IsA(linitial(q->jointree->fromlist), RangeTblRef) &&
         !contain_volatile_functions(
             const_cast<Node*>(reinterpret_cast<const Node*>(q->targetList)));
}

// What gives the features of a row.
struct Feature {
  ExprState* value;
  Conversion conversion;
};

Feature* prepare_features(const Query* query, const QueryShape& shape, EState* estate) {
  auto* features = static_cast<Feature*>(palloc(sizeof(Feature) * shape.columns));
  int number = 0;
  ListCell* cell;
  foreach (cell, query->targetList) {
    auto* entry = lfirst_node(TargetEntry, cell);
    if (entry->resjunk) continue;
    features[number] = {ExecPrepareExpr(static_cast<Expr*>(copyObjectImpl(entry->expr)), estate),
                        shape.conversions[number]};
    ++number;
  }
  return features;
}

void scan_drawn(const Query* query, const QueryShape& shape, const RowVisitor& visitor) {
  Relation relation =
      table_open(linitial_node(RangeTblEntry, query->rtable)->relid, AccessShareLock);
  EState* estate = CreateExecutorState();
  ExprContext* context = GetPerTupleExprContext(estate);
  MemoryContext before = MemoryContextSwitchTo(estate->es_query_cxt);
  estate->es_snapshot = GetActiveSnapshot();
  Feature* features = prepare_features(query, shape, estate);
  auto* values = static_cast<double*>(palloc(sizeof(double) * shape.columns));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * shape.columns));
  TupleTableSlot* slot = table_slot_create(relation, nullptr);
  context->ecxt_scantuple = slot;
  TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, nullptr);
  const uint64_t total = am::skip_rows(scan, std::numeric_limits<uint64_t>::max());
  size_t count;
  const uint64_t* wanted = visitor.choose(visitor.context, total, &count);
  table_rescan(scan, nullptr);
  uint64_t next = 0;  // the number of the scan's next row
  for (size_t i = 0; i < count; ++i) {
    CHECK_FOR_INTERRUPTS();
    const bool there = am::skip_rows(scan, wanted[i] - next) == wanted[i] - next &&
                       table_scan_getnextslot(scan, ForwardScanDirection, slot);
    if (!there)
      ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                      errmsg("table \"%s\" has fewer rows than it had a moment ago",
                             RelationGetRelationName(relation))));
    next = wanted[i] + 1;
    MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
    for (int c = 0; c < shape.columns; ++c) {
      Datum value = ExecEvalExpr(features[c].value, context, &nulls[c]);
      values[c] = nulls[c] ? std::numeric_limits<double>::quiet_NaN()
                           : to_double(value, features[c].conversion);
    }
    MemoryContextSwitchTo(estate->es_query_cxt);
    visitor.row(visitor.context, values, nulls);
    ResetExprContext(context);
  }
  table_endscan(scan);
  ExecDropSingleTupleTableSlot(slot);
  MemoryContextSwitchTo(before);
  FreeExecutorState(estate);
  table_close(relation, NoLock);
}

}  // namespace

const Query* plain_scan(SPIPlanPtr plan) {
  auto* source = static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(plan)));
  if (list_length(source->query_list) != 1 || source->dependsOnRLS) return nullptr;
  const Query* query = linitial_node(Query, source->query_list);
  if (!only_scans(query)) return nullptr;
  const RangeTblEntry* entry = linitial_node(RangeTblEntry, query->rtable);
  if (entry->rtekind != RTE_RELATION || entry->tablesample || entry->securityQuals ||
      (entry->inh && has_subclass(entry->relid)) || !is_datahike_table(entry->relid))
    return nullptr;
  const bool computed = pg::guard([] { return versioning::current_settings().is_computed(); });
  return computed ? nullptr : query;
}

void draw_rows(const Query* query, const QueryShape& shape, const RowVisitor& visitor) {
  ExecCheckRTPerms(query->rtable, true);
  // The settings count, as for any query that is started here.
  const versioning::SessionView* before =
      pg::guard([] { return versioning::use_session_view(nullptr); });
  PG_TRY();
  { scan_drawn(query, shape, visitor); }
  PG_FINALLY();
  { versioning::use_session_view(before); }
  PG_END_TRY();
}

}  // namespace datahike::anomaly
