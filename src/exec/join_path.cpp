// Which joins "Datahike Aggregate" takes: of a table that is scanned by column with one other
// relation, or with several that are joined first, by equality of values that compile. The others'
// rows are what any plan returns.
#include <algorithm>

#include "exec/aggregate.h"
#include "pg/vector_settings.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
}

namespace datahike::exec {

namespace {

constexpr double kMostProductRows = 1e6;

// As build_joinrel_restrictlist() in relnode.c, which no one else may call: the clauses that are
// tested where the two meet.
List* clauses_of(PlannerInfo* root, RelOptInfo* join, RelOptInfo* outer, RelOptInfo* inner) {
  List* clauses = NIL;
  for (List* infos : {outer->joininfo, inner->joininfo}) {
    ListCell* cell;
    foreach (cell, infos) {
      auto* info = lfirst_node(RestrictInfo, cell);
      if (bms_is_subset(info->required_relids, join->relids))
        clauses = list_append_unique_ptr(clauses, info);
    }
  }
  return list_concat(clauses,
                     generate_join_implied_equalities(root, join->relids, outer->relids, inner));
}

// The conditions of the join, if each is an equality of the one side with the other.
bool take_conditions(PlannerInfo* root, RelOptInfo* join, JoinSides* sides) {
  ListCell* cell;
  foreach (cell, clauses_of(root, join, sides->probe, sides->build)) {
    auto* info = lfirst_node(RestrictInfo, cell);
    if (info->pseudoconstant || info->security_level > 0 || !IsA(info->clause, OpExpr) ||
        !info->can_join)
      return false;
    // Of an outer join's result, not of its matches.
    bool outer = sides->kind == vector::Join::Left || sides->kind == vector::Join::Anti;
    if (outer && RINFO_IS_PUSHED_DOWN(info, join->relids)) return false;
    const auto is_of_build = [sides](const Relids relids) {
      return !bms_is_empty(relids) && bms_is_subset(relids, sides->build->relids);
    };
    const bool forth =
        bms_equal(info->left_relids, sides->probe->relids) && is_of_build(info->right_relids);
    const bool back =
        is_of_build(info->left_relids) && bms_equal(info->right_relids, sides->probe->relids);
    if (!forth && !back) return false;
    sides->conditions = lappend(sides->conditions, info->clause);
  }
  return sides->conditions != NIL && list_length(sides->conditions) <= 32;
}

// What its rows are made of can be read from a plan of its own.
bool can_be_read_first(RelOptInfo* rel) {
  if ((rel->reloptkind != RELOPT_BASEREL && rel->reloptkind != RELOPT_JOINREL) ||
      !bms_is_empty(rel->lateral_relids) || IS_DUMMY_REL(rel))
    return false;
  if (!rel->cheapest_total_path || rel->cheapest_total_path->param_info) return false;
  ListCell* cell;
  foreach (cell, rel->reltarget->exprs)
    if (!IsA(lfirst(cell), Var)) return false;
  return true;
}

// How the rows of `probe` are joined; None where they are not the side that counts.
vector::Join::Kind kind_of(PlannerInfo* root, RelOptInfo* probe, RelOptInfo* build) {
  if (root->join_info_list == NIL) return vector::Join::Inner;
  if (list_length(root->join_info_list) > 1) return vector::Join::None;
  auto* info = static_cast<SpecialJoinInfo*>(linitial(root->join_info_list));
  if (!bms_equal(info->min_lefthand, probe->relids) ||
      !bms_equal(info->min_righthand, build->relids))
    return vector::Join::None;
  switch (info->jointype) {
    case JOIN_LEFT:
      return vector::Join::Left;
    case JOIN_SEMI:
      return vector::Join::Semi;
    case JOIN_ANTI:
      return vector::Join::Anti;
    default:
      return vector::Join::None;
  }
}

bool can_be(PlannerInfo* root, RelOptInfo* join, RelOptInfo* probe, RelOptInfo* build,
            JoinSides* sides) {
  if (!is_plain_table(root, probe) || !can_be_read_first(build) || !is_read_by_column(root, probe))
    return false;
  *sides = {probe, build, kind_of(root, probe, build), NIL};
  return sides->kind != vector::Join::None && take_conditions(root, join, sides);
}

}  // namespace

namespace {

// The product of two relations that no condition joins: small ones, so that a table that is joined
// with both finds its matches in it at once.
RelOptInfo* product_of(PlannerInfo* root, Relids relids) {
  if (bms_num_members(relids) != 2) return nullptr;
  const int first = bms_next_member(relids, -1);
  RelOptInfo* a = find_base_rel(root, first);
  RelOptInfo* b = find_base_rel(root, bms_next_member(relids, first));
  if (!can_be_read_first(a) || !can_be_read_first(b) || a->rows * b->rows > kMostProductRows)
    return nullptr;
  RelOptInfo* product = make_join_rel(root, a, b);
  if (product) set_cheapest(product);
  return product;
}

// What is left of the join without the table, if that is inner joins of all of it.
RelOptInfo* others_of(PlannerInfo* root, RelOptInfo* join, RelOptInfo* probe) {
  Relids others = bms_difference(join->relids, probe->relids);
  RelOptInfo* known = find_join_rel(root, others);
  return known ? known : product_of(root, others);
}

}  // namespace

// The larger side is scanned by column, if both can be; of more than two relations the largest
// table, and the others are joined first, as the planner would.
bool describe_join(PlannerInfo* root, RelOptInfo* join, JoinSides* sides) {
  if (root->placeholder_list != NIL) return false;
  int first = bms_next_member(join->relids, -1);
  RelOptInfo* a = find_base_rel(root, first);
  if (bms_num_members(join->relids) == 2) {
    RelOptInfo* b = find_base_rel(root, bms_next_member(join->relids, first));
    if (a->tuples < b->tuples) std::swap(a, b);
    return can_be(root, join, a, b, sides) || can_be(root, join, b, a, sides);
  }
  if (root->join_info_list != NIL) return false;
  for (int next = first; (next = bms_next_member(join->relids, next)) >= 0;) {
    RelOptInfo* other = find_base_rel(root, next);
    if (other->tuples > a->tuples) a = other;
  }
  if (a->tuples < pg::setting_vectorized_min_rows || !is_plain_table(root, a) ||
      !is_read_by_column(root, a))
    return false;
  RelOptInfo* others = others_of(root, join, a);
  return others && can_be(root, join, a, others, sides);
}

List* columns_of(const Plan* plan) {
  List* columns = NIL;
  ListCell* cell;
  foreach (cell, plan->targetlist) {
    auto* var = reinterpret_cast<Var*>(lfirst_node(TargetEntry, cell)->expr);
    const bool known = IsA(var, Var) && var->varlevelsup == 0 && var->varattno > 0;
    columns = lappend_int(columns, known ? build_code(var) : 0);
  }
  return columns;
}

}  // namespace datahike::exec
