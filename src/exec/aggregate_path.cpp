// Planning "Datahike Aggregate": grouping and aggregates of one datahike table whose conditions,
// keys and aggregates all compile (compile.h). All else is left to PostgreSQL.
#include <algorithm>
#include <cmath>

#include "am/slot.h"
#include "exec/aggregate.h"
#include "exec/view_call.h"
#include "fdw/other_pieces.h"
#include "pg/bridge.h"
#include "pg/vector_settings.h"

extern "C" {
#include "catalog/pg_aggregate.h"
#include "catalog/pg_operator.h"
#include "executor/nodeHash.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/pg_locale.h"
#include "utils/selfuncs.h"
}

namespace datahike::exec {

namespace {

create_upper_paths_hook_type previous_upper_paths = nullptr;

// Of one value and one row, in terms of cpu_operator_cost: measured on numbers.
constexpr double kValueCost = 0.1;
// Of keeping a string of a group that has no equal there, and of comparing it by a collation.
constexpr double kTextCost = 20;
// Of finding the segments and compiling: a few rows are read as quickly one by one or by an index,
// which locks less under SERIALIZABLE.
constexpr double kStartCost = 20;

bool has_segments(Relation relation) {
  return (relation->rd_tableam && relation->rd_tableam->slot_callbacks &&
          relation->rd_tableam->slot_callbacks(relation) == &am::slot_operations) ||
         fdw::is_other_table(relation);
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

// Also where its columns are one grouping set: the planner's hook makes it so in views of the past
// (pg/planner_hooks.cpp). By now the planner has expanded the sets to lists of references.
bool groups_once(Query* query) {
  if (query->groupingSets == NIL) return true;
  return list_length(query->groupingSets) == 1 &&
         list_length(static_cast<List*>(linitial(query->groupingSets))) ==
             list_length(query->groupClause);
}

bool is_plain_query(PlannerInfo* root) {
  Query* query = root->parse;
  return groups_once(query) && !query->hasTargetSRFs && query->rowMarks == NIL &&
         root->rowMarks == NIL && query->commandType == CMD_SELECT;
}

bool describe(PlannerInfo* root, const JoinSides& sides, RelOptInfo* grouped, Node* having,
              AggregatePlan* plan) {
  plan->table = sides.probe->relid;
  if (sides.build) plan->build = static_cast<Index>(bms_next_member(sides.build->relids, -1));
  plan->join_kind = sides.kind;
  plan->conditions = sides.conditions;
  if (!take_filters(root, sides.probe, &plan->filters)) return false;
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
    Compiler compiler(relation, bound.table, bound.build);
    compiler.planning = true;
    return compile(compiler, bound);
  });
}

Plan* make_plan(PlannerInfo* root, RelOptInfo*, CustomPath* path, List* tlist, List*,
                List* children) {
  AggregatePlan described = unpack(static_cast<List*>(linitial(path->custom_private)));
  if (described.build) described.columns = columns_of(static_cast<Plan*>(linitial(children)));
  auto* plan = makeNode(CustomScan);
  plan->scan.plan.targetlist = tlist;
  plan->scan.plan.qual = static_cast<List*>(lsecond(path->custom_private));
  plan->scan.scanrelid = described.table;
  plan->flags = path->flags;
  plan->custom_private = pack(described);
  plan->custom_plans = children;
  plan->custom_exprs = parameters_of(reinterpret_cast<Node*>(expressions_of(described)));
  plan->custom_scan_tlist = scan_tlist(list_concat_copy(described.keys, described.aggregates));
  plan->methods = &aggregate_scan_methods;
  return &plan->scan.plan;
}

const CustomPathMethods path_methods = {"Datahike Aggregate", make_plan, nullptr};

struct Needs {
  double bytes;  // of memory for so many groups, about
  double texts;  // different strings of groups, which are compared by a collation one by one
};

Needs needs_of(PlannerInfo* root, RelOptInfo* input, const AggregatePlan& plan, double groups) {
  constexpr double kKeyBytes = 20, kTextBytes = 64, kStateBytes = 16, kDistinctBytes = 40;
  const double ordered_bytes = plan.keys == NIL ? 16 : 20;  // of each value of a percentile
  double of_group = list_length(plan.aggregates) * kStateBytes, distinct = 0;
  double texts = 0, kept = 0;  // what several groups have is kept once
  double kept_values = 0;
  ListCell* cell;
  foreach (cell, plan.keys)
    of_group += get_typbyval(exprType(static_cast<Node*>(lfirst(cell)))) ? kKeyBytes : kTextBytes;
  foreach (cell, plan.aggregates) {
    auto* aggregate = lfirst_node(Aggref, cell);
    if (AGGKIND_IS_ORDERED_SET(aggregate->aggkind)) {
      kept_values += input->rows * ordered_bytes;
      continue;
    }
    const bool text = aggregate->aggfnoid == F_MIN_TEXT || aggregate->aggfnoid == F_MAX_TEXT;
    const bool bytewise = text && lc_collate_is_c(aggregate->inputcollid);
    if (bytewise) of_group += kTextBytes;
    if (bytewise || (aggregate->aggdistinct == NIL && !text)) continue;
    auto* value = static_cast<TargetEntry*>(linitial(aggregate->args))->expr;
    List* pair = lappend(list_copy(plan.keys), value);
    const double pairs = estimate_num_groups(root, pair, input->rows, nullptr, nullptr);
    distinct += pairs;
    if (!text) continue;
    texts += pairs;
    kept += estimate_num_groups(root, list_make1(value), input->rows, nullptr, nullptr);
  }
  const double of_groups = plan.keys == NIL ? 0 : groups * of_group;
  return {of_groups + distinct * kDistinctBytes + kept * kTextBytes + kept_values, texts};
}

double build_bytes(const RelOptInfo* build) {
  constexpr double kRowBytes = 40, kValueBytes = 10;
  return build->rows *
         (kRowBytes + build->reltarget->width + kValueBytes * list_length(build->reltarget->exprs));
}

void add_aggregate_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* grouped,
                        GroupPathExtraData* extra) {
  if (!pg::setting_vectorized || grouped->pathlist == NIL) return;
  JoinSides sides;
  if (!describe_input(root, input, &sides)) return;
  if (sides.probe->tuples < pg::setting_vectorized_min_rows) return;
  AggregatePlan plan{};
  if (!describe(root, sides, grouped, extra->havingQual, &plan)) return;
  if (!can_run(planner_rt_fetch(plan.table, root), plan)) return;
  auto* path = makeNode(CustomPath);
  path->path.pathtype = T_CustomScan;
  path->path.parent = grouped;
  path->path.pathtarget = grouped->reltarget;
  path->path.rows = static_cast<Path*>(linitial(grouped->pathlist))->rows;
  const double memory = static_cast<double>(get_hash_memory_limit());
  // Groups, or a build side, that need more are computed in several passes over the table.
  constexpr double kMostPasses = 8;
  const double build = sides.build ? build_bytes(sides.build) : 0;
  const double batches = std::max(1.0, std::ceil(build / memory));
  const Needs needs = needs_of(root, input, plan, path->path.rows);
  const double passes = std::ceil(needs.bytes / memory);
  if (passes > (plan.keys == NIL ? 1 : kMostPasses)) return;
  const double readings = std::max(passes, 1.0) * batches;
  if (readings > kMostPasses) return;
  QualCost having;
  cost_qual_eval(&having, static_cast<List*>(static_cast<void*>(extra->havingQual)), root);
  path->path.startup_cost =
      run_cost(input, sides, plan, readings) + needs.texts * kTextCost * cpu_operator_cost;
  if (batches > 1)  // written once, read for each
    path->path.startup_cost += (1 + readings) * build / BLCKSZ * seq_page_cost;
  path->path.total_cost = path->path.startup_cost + having.startup +
                          path->path.rows * (cpu_tuple_cost + having.per_tuple) +
                          grouped->reltarget->cost.startup +
                          grouped->reltarget->cost.per_tuple * path->path.rows;
  path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
  if (sides.build) path->custom_paths = list_make1(sides.build->cheapest_total_path);
  path->custom_private = list_make2(pack(plan), extra->havingQual);
  path->methods = &path_methods;
  add_path(grouped, &path->path);
}

// Which aggregate is a count that an ORDER BY sorts by, and alone; -1: none.
int sorted_count(PlannerInfo* root, const AggregatePlan& plan, bool* descending) {
  constexpr Oid kInt8Greater = 413;  // pg_operator has no name for it
  if (list_length(root->parse->sortClause) != 1) return -1;
  auto* clause = static_cast<SortGroupClause*>(linitial(root->parse->sortClause));
  if (clause->sortop != Int8LessOperator && clause->sortop != kInt8Greater) return -1;
  Node* by = get_sortgroupclause_expr(clause, root->processed_tlist);
  if (!IsA(by, Aggref)) return -1;
  Oid function = reinterpret_cast<Aggref*>(by)->aggfnoid;
  if (function != F_COUNT_ && function != F_COUNT_ANY) return -1;
  *descending = clause->sortop == kInt8Greater;
  int number = 0;
  ListCell* cell;
  foreach (cell, plan.aggregates) {
    if (equal(lfirst(cell), by)) return number;
    ++number;
  }
  return -1;
}

// ORDER BY count(...) LIMIT n: the first n groups alone are returned, in that order.
void add_top_path(PlannerInfo* root, RelOptInfo* input, RelOptInfo* output) {
  Query* query = root->parse;
  int most = query->limitOption == LIMIT_OPTION_COUNT ? most_rows(query) : 0;
  if (!pg::setting_vectorized || most == 0 || query->distinctClause != NIL ||
      query->hasWindowFuncs || query->setOperations)
    return;
  ListCell* cell;
  foreach (cell, input->pathlist) {
    auto* path = static_cast<CustomPath*>(lfirst(cell));
    if (!IsA(path, CustomPath) || path->methods != &path_methods) continue;
    AggregatePlan plan = unpack(static_cast<List*>(linitial(path->custom_private)));
    if (lsecond(path->custom_private) || plan.keys == NIL) return;
    plan.top_by = sorted_count(root, plan, &plan.descending);
    if (plan.top_by < 0) return;
    plan.top = most;
    auto* top = makeNode(CustomPath);
    *top = *path;
    top->path.parent = output;
    top->path.pathtarget = root->upper_targets[UPPERREL_ORDERED];
    top->path.pathkeys = root->sort_pathkeys;
    top->path.rows = std::min(path->path.rows, static_cast<double>(most));
    top->path.startup_cost += path->path.rows * kValueCost * cpu_operator_cost;
    top->path.total_cost =
        top->path.startup_cost +
        top->path.rows * (cpu_tuple_cost + top->path.pathtarget->cost.per_tuple) +
        top->path.pathtarget->cost.startup;
    top->custom_private = list_make2(pack(plan), nullptr);
    add_path(output, &top->path);
    return;
  }
}

void upper_paths(PlannerInfo* root, UpperRelationKind stage, RelOptInfo* input, RelOptInfo* output,
                 void* extra) {
  if (previous_upper_paths) previous_upper_paths(root, stage, input, output, extra);
  if (stage == UPPERREL_GROUP_AGG)
    add_aggregate_path(root, input, output, static_cast<GroupPathExtraData*>(extra));
  if (stage == UPPERREL_ORDERED) {
    add_top_path(root, input, output);
    add_top_rows_path(root, input, output);
  }
  if (stage == UPPERREL_WINDOW) {
    add_first_rows_path(root, input, output);
    add_window_path(root, input, output);
  }
}

}  // namespace

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

// What is scanned by column, and what is read before that.
bool describe_input(PlannerInfo* root, RelOptInfo* input, JoinSides* sides) {
  if (IS_DUMMY_REL(input) || !is_plain_query(root)) return false;
  if (input->reloptkind == RELOPT_JOINREL) return describe_join(root, input, sides);
  *sides = {input, nullptr, vector::Join::None, NIL};
  return is_plain_table(root, input) && !input->joininfo;
}

bool can_run(RangeTblEntry* entry, const AggregatePlan& plan) {
  Relation relation = table_open(entry->relid, NoLock);
  bool possible = has_segments(relation);
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

// Of reading, filtering, grouping and adding up; with a join, of reading the build side and finding
// matches.
Cost run_cost(RelOptInfo* input, const JoinSides& sides, const AggregatePlan& plan, double passes) {
  double of_row = list_length(plan.filters) + list_length(plan.conditions) * 2.0 + 1.0;
  double of_match = list_length(plan.keys) * 2.0 + list_length(plan.aggregates);
  double matches = sides.build ? input->rows : sides.probe->tuples;
  Cost of_pass = (sides.probe->tuples * of_row + matches * of_match) * kValueCost;
  Cost cost = kStartCost + passes * of_pass * cpu_operator_cost;
  if (!enable_seqscan) cost += disable_cost;  // it is one, too
  if (!sides.build) return cost;
  Path* build = sides.build->cheapest_total_path;
  return cost + build->total_cost +
         build->rows * (cpu_tuple_cost + list_length(plan.conditions) * cpu_operator_cost);
}

// Not a relation that the planner expands, nor one of datahike.at().
bool is_plain_table(PlannerInfo* root, RelOptInfo* rel) {
  if (rel->reloptkind != RELOPT_BASEREL || rel->rtekind != RTE_RELATION) return false;
  RangeTblEntry* entry = planner_rt_fetch(rel->relid, root);
  return !entry->inh && !entry->tablesample &&
         (entry->relkind == RELKIND_RELATION || entry->relkind == RELKIND_FOREIGN_TABLE) &&
         !is_view_call(entry) && bms_is_empty(rel->lateral_relids);
}

bool is_read_by_column(PlannerInfo* root, RelOptInfo* rel) {
  Relation relation = table_open(planner_rt_fetch(rel->relid, root)->relid, NoLock);
  bool is = has_segments(relation);
  table_close(relation, NoLock);
  return is;
}

List* pack(const AggregatePlan& plan) {
  List* packed =
      list_concat(list_make4(makeInteger(static_cast<int>(plan.table)), plan.filters, plan.keys,
                             plan.aggregates),
                  list_make4(makeInteger(static_cast<int>(plan.build)), makeInteger(plan.join_kind),
                             plan.conditions, plan.columns));
  packed = list_concat(packed, list_make3(makeInteger(plan.top), makeInteger(plan.top_by),
                                          makeInteger(plan.descending)));
  const FirstRowsPlan& first = plan.first;
  packed = list_concat(
      packed, list_make4(makeInteger(first.most), first.order, first.directions, first.columns));
  return list_concat(packed, list_make2(makeInteger(first.ranking), makeInteger(first.sorted)));
}

AggregatePlan unpack(const List* packed) {
  return {static_cast<Index>(intVal(linitial(packed))),
          static_cast<List*>(lsecond(packed)),
          static_cast<List*>(lthird(packed)),
          static_cast<List*>(lfourth(packed)),
          static_cast<Index>(intVal(list_nth(packed, 4))),
          intVal(list_nth(packed, 5)),
          static_cast<List*>(list_nth(packed, 6)),
          static_cast<List*>(list_nth(packed, 7)),
          intVal(list_nth(packed, 8)),
          intVal(list_nth(packed, 9)),
          intVal(list_nth(packed, 10)) != 0,
          {intVal(list_nth(packed, 11)), static_cast<List*>(list_nth(packed, 12)),
           static_cast<List*>(list_nth(packed, 13)), static_cast<List*>(list_nth(packed, 14)),
           intVal(list_nth(packed, 15)), intVal(list_nth(packed, 16)) != 0}};
}

List* expressions_of(const AggregatePlan& plan) {
  return list_make5(plan.filters, plan.keys, plan.aggregates, plan.conditions, plan.first.order);
}

void set_expressions(AggregatePlan& plan, List* expressions) {
  plan.filters = static_cast<List*>(linitial(expressions));
  plan.keys = static_cast<List*>(lsecond(expressions));
  plan.aggregates = static_cast<List*>(lthird(expressions));
  plan.conditions = static_cast<List*>(lfourth(expressions));
  plan.first.order = static_cast<List*>(list_nth(expressions, 4));
}

bool compile(Compiler& compiler, const AggregatePlan& plan) {
  ListCell* cell;
  compiler.program.join.kind = static_cast<vector::Join::Kind>(plan.join_kind);
  foreach (cell, plan.conditions)
    if (!compiler.join_key(static_cast<Node*>(lfirst(cell)))) return false;
  foreach (cell, plan.filters)
    if (!compiler.filter(static_cast<Node*>(lfirst(cell)))) return false;
  foreach (cell, plan.keys)
    if (!compiler.key(static_cast<Node*>(lfirst(cell)))) return false;
  foreach (cell, plan.aggregates)
    if (!compiler.aggregate(static_cast<Aggref*>(lfirst(cell)))) return false;
  return plan.first.most == 0 || compiler.first_rows(plan.first.order, plan.first.directions,
                                                     plan.first.ranking, plan.first.most);
}

void install_aggregate_paths() {
  RegisterCustomScanMethods(&aggregate_scan_methods);
  RegisterCustomScanMethods(&first_rows_scan_methods);
  RegisterCustomScanMethods(&window_scan_methods);
  previous_upper_paths = create_upper_paths_hook;
  create_upper_paths_hook = upper_paths;
}

}  // namespace datahike::exec
