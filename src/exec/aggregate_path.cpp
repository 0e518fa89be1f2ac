// Planning "Datahike Aggregate": grouping and aggregates of one datahike table whose conditions,
// keys and aggregates all compile (compile.h). All else is left to PostgreSQL.
#include <algorithm>

#include "am/slot.h"
#include "exec/aggregate.h"
#include "exec/view_call.h"
#include "pg/bridge.h"
#include "pg/vector_settings.h"

extern "C" {
#include "executor/nodeHash.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/selfuncs.h"
}

namespace datahike::exec {

namespace {

create_upper_paths_hook_type previous_upper_paths = nullptr;

// Of one value and one row, in terms of cpu_operator_cost: measured on numbers.
constexpr double kValueCost = 0.1;
// Of finding the segments and compiling: a few rows are read as quickly one by one or by an index,
// which locks less under SERIALIZABLE.
constexpr double kStartCost = 20;

// PostgreSQL 15 declares walkers without parameters.
template <class F>
auto untyped(F* walker) {
  return reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(walker));
}

bool is_datahike(Relation relation) {
  return relation->rd_tableam && relation->rd_tableam->slot_callbacks &&
         relation->rd_tableam->slot_callbacks(relation) == &am::slot_operations;
}

// What a target list or HAVING is made of: keys, aggregates, and what can be computed from those.
struct Ingredients {
  List *keys, *aggregates;
};

bool collect(Node* node, void* context) {
  if (!node) return false;
  auto* found = static_cast<Ingredients*>(context);
  if (list_member(found->keys, node)) return false;
  if (IsA(node, Aggref)) {
    found->aggregates = list_append_unique(found->aggregates, node);
    return false;
  }
  if (IsA(node, Var) || IsA(node, PlaceHolderVar) || IsA(node, GroupingFunc)) return true;
  return expression_tree_walker(node, untyped(collect), context);
}

// False if a clause is not a plain condition on the table's rows.
// In the order in which the planner would have them tested (order_qual_clauses() in createplan.c):
// cheap ones first keep an error of a later one from rows that they exclude.
bool take_filters(PlannerInfo* root, RelOptInfo* rel, List** filters) {
  List* infos = rel->baserestrictinfo;
  auto* costs = static_cast<Cost*>(palloc(sizeof(Cost) * (list_length(infos) + 1)));
  int count = 0;
  ListCell* cell;
  foreach (cell, infos) {
    auto* info = lfirst_node(RestrictInfo, cell);
    // Row security decides what later conditions may see.
    if (info->pseudoconstant || info->security_level > 0) return false;
    QualCost cost;
    cost_qual_eval_node(&cost, reinterpret_cast<Node*>(info), root);
    int at = count++;
    for (; at > 0 && cost.per_tuple < costs[at - 1]; --at) costs[at] = costs[at - 1];
    costs[at] = cost.per_tuple;
    *filters = list_insert_nth(*filters, at, info->clause);
  }
  return true;
}

// Also where its columns are one grouping set: the planner's hook makes it so in views of the past
// (pg/planner_hooks.cpp). By now the planner has expanded the sets to lists of references.
bool groups_once(Query* query) {
  if (query->groupingSets == NIL) return true;
  return list_length(query->groupingSets) == 1 &&
         list_length(static_cast<List*>(linitial(query->groupingSets))) ==
             list_length(query->groupClause);
}

bool is_simple(PlannerInfo* root, RelOptInfo* input) {
  Query* query = root->parse;
  if (input->reloptkind != RELOPT_BASEREL || input->rtekind != RTE_RELATION || IS_DUMMY_REL(input))
    return false;
  if (!groups_once(query) || query->hasTargetSRFs || query->rowMarks != NIL ||
      root->rowMarks != NIL || query->commandType != CMD_SELECT)
    return false;
  RangeTblEntry* entry = planner_rt_fetch(input->relid, root);
  return !entry->inh && !entry->tablesample && entry->relkind == RELKIND_RELATION &&
         !is_view_call(entry) && !input->joininfo && bms_is_empty(input->lateral_relids);
}

bool describe(PlannerInfo* root, RelOptInfo* input, RelOptInfo* grouped, Node* having,
              AggregatePlan* plan) {
  plan->table = input->relid;
  if (!take_filters(root, input, &plan->filters)) return false;
  ListCell* cell;
  foreach (cell, root->parse->groupClause)
    plan->keys = lappend(plan->keys, get_sortgroupclause_expr(lfirst_node(SortGroupClause, cell),
                                                              root->processed_tlist));
  Ingredients found{plan->keys, NIL};
  foreach (cell, grouped->reltarget->exprs)
    if (collect(static_cast<Node*>(lfirst(cell)), &found)) return false;
  if (collect(having, &found)) return false;
  plan->aggregates = found.aggregates;
  return true;
}

bool compiles(Relation relation, const AggregatePlan& bound) {
  return pg::guard([&bound, relation] {
    Compiler compiler(relation, bound.table);
    return compile(compiler, bound);
  });
}

bool can_run(RelOptInfo* input, RangeTblEntry* entry, const AggregatePlan& plan) {
  Relation relation = table_open(entry->relid, NoLock);
  bool possible = is_datahike(relation);
  if (possible) {
    AggregatePlan bound = plan;
    List* expressions = expressions_of(plan);
    set_expressions(
        bound, reinterpret_cast<List*>(bind_parameters(reinterpret_cast<Node*>(expressions), NIL)));
    possible = compiles(relation, bound);
  }
  table_close(relation, NoLock);
  return possible;
}

Plan* make_plan(PlannerInfo* root, RelOptInfo*, CustomPath* path, List* tlist, List*, List*) {
  auto* packed = static_cast<List*>(linitial(path->custom_private));
  AggregatePlan described = unpack(packed);
  auto* plan = makeNode(CustomScan);
  plan->scan.plan.targetlist = tlist;
  plan->scan.plan.qual = static_cast<List*>(lsecond(path->custom_private));
  plan->scan.scanrelid = described.table;
  plan->flags = path->flags;
  plan->custom_private = packed;
  plan->custom_exprs = parameters_of(reinterpret_cast<Node*>(expressions_of(described)));
  AttrNumber number = 1;
  ListCell* cell;
  foreach (cell, list_concat_copy(described.keys, described.aggregates))
    plan->custom_scan_tlist = lappend(
        plan->custom_scan_tlist, makeTargetEntry(static_cast<Expr*>(copyObjectImpl(lfirst(cell))),
                                                 number++, nullptr, false));
  plan->methods = &aggregate_scan_methods;
  return &plan->scan.plan;
}

const CustomPathMethods path_methods = {"Datahike Aggregate", make_plan, nullptr};

// Of memory for so many groups, about.
double needed_bytes(PlannerInfo* root, RelOptInfo* input, const AggregatePlan& plan,
                    double groups) {
  constexpr double kKeyBytes = 20, kTextBytes = 64, kStateBytes = 16, kDistinctBytes = 40;
  double of_group = list_length(plan.aggregates) * kStateBytes, distinct = 0;
  ListCell* cell;
  foreach (cell, plan.keys)
    of_group += get_typbyval(exprType(static_cast<Node*>(lfirst(cell)))) ? kKeyBytes : kTextBytes;
  foreach (cell, plan.aggregates) {
    auto* aggregate = lfirst_node(Aggref, cell);
    if (aggregate->aggdistinct == NIL) continue;
    auto* value = static_cast<TargetEntry*>(linitial(aggregate->args))->expr;
    List* pair = lappend(list_copy(plan.keys), value);
    distinct += estimate_num_groups(root, pair, input->rows, nullptr, nullptr);
  }
  // Several parts of the table have groups of their own until they are merged.
  constexpr double kRowsOfMorsel = 131072, kMostMorsels = 64;
  double tables = std::clamp(input->tuples / kRowsOfMorsel, 1.0, kMostMorsels);
  double once = (plan.keys == NIL ? 0 : groups * of_group) + distinct * kDistinctBytes;
  return std::min(once * tables, once + input->tuples * (of_group + kDistinctBytes));
}

void add_aggregate_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* grouped,
                        GroupPathExtraData* extra) {
  if (!pg::setting_vectorized || grouped->pathlist == NIL || !is_simple(root, input)) return;
  if (input->tuples < pg::setting_vectorized_min_rows) return;
  AggregatePlan plan{};
  if (!describe(root, input, grouped, extra->havingQual, &plan)) return;
  if (!can_run(input, planner_rt_fetch(input->relid, root), plan)) return;
  auto* path = makeNode(CustomPath);
  path->path.pathtype = T_CustomScan;
  path->path.parent = grouped;
  path->path.pathtarget = grouped->reltarget;
  path->path.rows = static_cast<Path*>(linitial(grouped->pathlist))->rows;
  if (needed_bytes(root, input, plan, path->path.rows) >
      static_cast<double>(get_hash_memory_limit()))
    return;
  double values =
      list_length(plan.filters) + list_length(plan.keys) * 2.0 + list_length(plan.aggregates) + 1.0;
  QualCost having;
  cost_qual_eval(&having, static_cast<List*>(static_cast<void*>(extra->havingQual)), root);
  path->path.startup_cost = kStartCost + input->tuples * values * kValueCost * cpu_operator_cost;
  if (!enable_seqscan) path->path.startup_cost += disable_cost;  // it is one, too
  path->path.total_cost = path->path.startup_cost + having.startup +
                          path->path.rows * (cpu_tuple_cost + having.per_tuple) +
                          grouped->reltarget->cost.startup +
                          grouped->reltarget->cost.per_tuple * path->path.rows;
  path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
  path->custom_private = list_make2(pack(plan), extra->havingQual);
  path->methods = &path_methods;
  add_path(grouped, &path->path);
}

void upper_paths(PlannerInfo* root, UpperRelationKind stage, RelOptInfo* input, RelOptInfo* output,
                 void* extra) {
  if (previous_upper_paths) previous_upper_paths(root, stage, input, output, extra);
  if (stage == UPPERREL_GROUP_AGG)
    add_aggregate_path(root, input, output, static_cast<GroupPathExtraData*>(extra));
}

}  // namespace

List* pack(const AggregatePlan& plan) {
  return list_make4(makeInteger(static_cast<int>(plan.table)), plan.filters, plan.keys,
                    plan.aggregates);
}

AggregatePlan unpack(const List* packed) {
  return {static_cast<Index>(intVal(linitial(packed))), static_cast<List*>(lsecond(packed)),
          static_cast<List*>(lthird(packed)), static_cast<List*>(lfourth(packed))};
}

List* expressions_of(const AggregatePlan& plan) {
  return list_make3(plan.filters, plan.keys, plan.aggregates);
}

void set_expressions(AggregatePlan& plan, List* expressions) {
  plan.filters = static_cast<List*>(linitial(expressions));
  plan.keys = static_cast<List*>(lsecond(expressions));
  plan.aggregates = static_cast<List*>(lthird(expressions));
}

bool compile(Compiler& compiler, const AggregatePlan& plan) {
  ListCell* cell;
  foreach (cell, plan.filters)
    if (!compiler.filter(static_cast<Node*>(lfirst(cell)))) return false;
  foreach (cell, plan.keys)
    if (!compiler.key(static_cast<Node*>(lfirst(cell)))) return false;
  foreach (cell, plan.aggregates)
    if (!compiler.aggregate(static_cast<Aggref*>(lfirst(cell)))) return false;
  return true;
}

void install_aggregate_paths() {
  RegisterCustomScanMethods(&aggregate_scan_methods);
  previous_upper_paths = create_upper_paths_hook;
  create_upper_paths_hook = upper_paths;
}

}  // namespace datahike::exec
