// Which joins "Datahike Aggregate" takes: of two relations, one of them a table that is scanned by
// column, by equality of values that compile. The other's rows are what any plan returns.
#include "exec/aggregate.h"

extern "C" {
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
}

namespace datahike::exec {

namespace {

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
    bool forth = bms_equal(info->left_relids, sides->probe->relids) &&
                 bms_equal(info->right_relids, sides->build->relids);
    bool back = bms_equal(info->left_relids, sides->build->relids) &&
                bms_equal(info->right_relids, sides->probe->relids);
    if (!forth && !back) return false;
    sides->conditions = lappend(sides->conditions, info->clause);
  }
  return sides->conditions != NIL && list_length(sides->conditions) <= 32;
}

// What its rows are made of can be read from a plan of its own.
bool can_be_read_first(RelOptInfo* rel) {
  if (rel->reloptkind != RELOPT_BASEREL || !bms_is_empty(rel->lateral_relids) || IS_DUMMY_REL(rel))
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
  if (!is_plain_table(root, probe) || !can_be_read_first(build) || !is_datahike_table(root, probe))
    return false;
  *sides = {probe, build, kind_of(root, probe, build), NIL};
  return sides->kind != vector::Join::None && take_conditions(root, join, sides);
}

}  // namespace

// The larger side is scanned by column, if both can be.
bool describe_join(PlannerInfo* root, RelOptInfo* join, JoinSides* sides) {
  if (bms_num_members(join->relids) != 2 || root->placeholder_list != NIL) return false;
  int first = bms_next_member(join->relids, -1);
  RelOptInfo* a = find_base_rel(root, first);
  RelOptInfo* b = find_base_rel(root, bms_next_member(join->relids, first));
  if (a->tuples < b->tuples) std::swap(a, b);
  return can_be(root, join, a, b, sides) || can_be(root, join, b, a, sides);
}

List* columns_of(const Plan* plan, Index build) {
  List* columns = NIL;
  ListCell* cell;
  foreach (cell, plan->targetlist) {
    auto* var = reinterpret_cast<Var*>(lfirst_node(TargetEntry, cell)->expr);
    bool known = IsA(var, Var) && var->varno == static_cast<int>(build) && var->varlevelsup == 0;
    columns = lappend_int(columns, known ? var->varattno : 0);
  }
  return columns;
}

}  // namespace datahike::exec
