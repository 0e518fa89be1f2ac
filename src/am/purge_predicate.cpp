// Which row versions a predicate holds for.
#include "am/purge.h"
#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/store.h"
#include "store/id_set.h"
#include "versioning/redacted.h"

extern "C" {
#include "catalog/heap.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "commands/defrem.h"
#include "utils/relcache.h"
}

namespace datahike::am {

namespace {

// palloc'd; owns nothing else.
struct Predicate {
  EState* estate;
  ExprContext* context;
  ExprState* expression;
  TupleTableSlot* slot;
};

[[noreturn]] void no_expression(const char* text) {
  ereport(ERROR,
          (errcode(ERRCODE_SYNTAX_ERROR), errmsg("the predicate is not an expression: %s", text),
           errhint("Give what would follow WHERE in DELETE.")));
  pg_unreachable();
}

// The grammar takes all that may follow SELECT; nothing but an expression may.
Node* parse(const char* text) {
  List* statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
  if (list_length(statements) != 1) no_expression(text);
  Node* statement = linitial_node(RawStmt, statements)->stmt;
  if (!IsA(statement, SelectStmt)) no_expression(text);
  auto* select = reinterpret_cast<SelectStmt*>(statement);
  bool plain = list_length(select->targetList) == 1 && !select->distinctClause &&
               !select->intoClause && !select->fromClause && !select->whereClause &&
               !select->groupClause && !select->havingClause && !select->windowClause &&
               !select->valuesLists && !select->sortClause && !select->limitOffset &&
               !select->limitCount && !select->lockingClause && !select->withClause &&
               select->op == SETOP_NONE;
  if (!plain) no_expression(text);
  auto* target = linitial_node(ResTarget, select->targetList);
  if (target->name || target->indirection) no_expression(text);
  return target->val;
}

void refuse_system_columns(Node* expression) {
  Bitmapset* columns = nullptr;
  pull_varattnos(expression, 1, &columns);
  int i = -1;
  while ((i = bms_next_member(columns, i)) >= 0) {
    int number = i + FirstLowInvalidHeapAttributeNumber;
    if (number >= 0 || number == TableOidAttributeNumber) continue;
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("system column \"%s\" cannot be used in the predicate of purge()",
                    NameStr(SystemAttributeDefinition(static_cast<AttrNumber>(number))->attname)),
             errhint("Name columns of the table.")));
  }
}

Expr* analyse(Relation relation, const char* name, const char* text) {
  ParseState* state = make_parsestate(nullptr);
  state->p_sourcetext = text;
  ParseNamespaceItem* item = addRangeTableEntryForRelation(state, relation, AccessExclusiveLock,
                                                           makeAlias(name, NIL), false, true);
  addNSItemToQuery(state, item, false, true, true);
  Node* expression = transformExpr(state, parse(text), EXPR_KIND_WHERE);
  expression = coerce_to_boolean(state, expression, "WHERE");
  assign_expr_collations(state, expression);
  if (state->p_hasSubLinks)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("subqueries cannot be used in the predicate of purge()"),
                    errhint("Give the keys, as in id = ANY ('{1, 2}').")));
  refuse_system_columns(expression);
  free_parsestate(state);
  return reinterpret_cast<Expr*>(expression);
}

// An error's position is one in the predicate, not in the statement around the call.
void show_predicate(void* text) {
  int position = geterrposition();
  if (position > 0) {
    errposition(0);
    internalerrposition(position);
  }
  internalerrquery(static_cast<const char*>(text));
}

Predicate* prepare(Relation relation, const char* name, const char* text) {
  auto* p = static_cast<Predicate*>(palloc(sizeof(Predicate)));
  ErrorContextCallback callback{error_context_stack, show_predicate, const_cast<char*>(text)};
  error_context_stack = &callback;
  Expr* expression = analyse(relation, name, text);
  error_context_stack = callback.previous;
  p->estate = CreateExecutorState();
  p->context = GetPerTupleExprContext(p->estate);
  p->expression = ExecPrepareExpr(expression, p->estate);
  p->slot = MakeSingleTupleTableSlot(RelationGetDescr(relation), &slot_operations);
  p->context->ecxt_scantuple = p->slot;
  return p;
}

bool holds(Predicate* p) {
  bool isnull;
  Datum result = ExecEvalExprSwitchContext(p->expression, p->context, &isnull);
  ResetExprContext(p->context);
  return !isnull && DatumGetBool(result);
}

void finish(Predicate* p) {
  ExecDropSingleTupleTableSlot(p->slot);
  FreeExecutorState(p->estate);
}

// The rows of a table's segments, each once. Functions that the predicate calls may renew the map,
// where other segments may have the rows by then: small ones are joined, others are written without
// the rows that are gone.
class Segments {
 public:
  Segments(store::Environment& env, uint64_t table) : env_(env), table_(table) {}
  // Goes to the next rowids; false at the end.
  bool next() {
    segment_ = env_.segment_at_or_after(table_, end_);
    if (!segment_) return false;
    generation_ = env_.generation();
    first_ = std::max(segment_->first_rowid(), end_);  // the rows before are done
    end_ = segment_->last_rowid() + 1;
    return true;
  }
  uint64_t first() const { return first_; }
  uint64_t end() const { return end_; }
  // nullptr: no row has the rowid (any more).
  const store::SegmentReader* at(uint64_t rowid, uint32_t* row) {
    const bool covers =
        segment_ && rowid >= segment_->first_rowid() && rowid <= segment_->last_rowid();
    if (generation_ != env_.generation() || !covers) {
      segment_ = env_.segment(table_, rowid);
      generation_ = env_.generation();
      if (!segment_) return nullptr;
    }
    *row = static_cast<uint32_t>(rowid - segment_->first_rowid());
    return segment_->is_hole(*row) ? nullptr : &*segment_;
  }

 private:
  store::Environment& env_;
  uint64_t table_;
  std::optional<store::SegmentReader> segment_;
  uint64_t generation_ = 0, first_ = 0, end_ = 0;
};

}  // namespace

Versions find_versions(Relation relation, const char* name, const char* text) {
  Versions found;
  Predicate* p = pg::call([=] { return prepare(relation, name, text); });
  const RelationInfo* info = pg::call([=] { return &relation_info(relation); });
  store::IdSet entities;
  if (store::Environment* env = pg::try_store()) {
    for (Segments segments(*env, info->table); segments.next();) {
      for (uint64_t rowid = segments.first(); rowid < segments.end(); ++rowid) {
        if (versioning::is_redacted(rowid)) continue;
        uint32_t row;
        const store::SegmentReader* segment = segments.at(rowid, &row);
        if (!segment) continue;
        const uint64_t entity = segment->entity(row);
        store_segment_row(p->slot, relation, *info, rowid, *segment, row, true);
        if (!pg::call([=] { return holds(p); })) continue;
        found.rows.add(rowid);
        ++found.count;
        found.entities += entities.add(entity);
      }
      pg::call([] { CHECK_FOR_INTERRUPTS(); });
    }
  }
  pg::call([=] { finish(p); });
  return found;
}

namespace {

void remove_extended_statistics(Relation relation) {
  ListCell* cell;
  List* ids = RelationGetStatExtList(relation);
  foreach (cell, ids)
    for (bool inherited : {false, true}) RemoveStatisticsDataById(lfirst_oid(cell), inherited);
}

}  // namespace

void remove_statistics(Relation relation) {
  RemoveStatistics(RelationGetRelid(relation), 0);
  ListCell* cell;
  List* indexes = RelationGetIndexList(relation);
  foreach (cell, indexes) RemoveStatistics(lfirst_oid(cell), 0);
  remove_extended_statistics(relation);
}

}  // namespace datahike::am
