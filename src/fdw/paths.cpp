#include "fdw/paths.h"

#include "fdw/fact_scan.h"
#include "fdw/options.h"
#include "fdw/pushed.h"

extern "C" {
#include "foreign/foreign.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
}

namespace datahike::fdw {

namespace {

// What a row costs that conditions on columns leave out, of one that is decoded: measured.
constexpr double kTestedRow = 0.1;

Cost cost_of_all_rows(RelOptInfo* rel) {
  return seq_page_cost * rel->pages +
         (cpu_tuple_cost + rel->baserestrictcost.per_tuple) * rel->tuples;
}

void add_path_for(PlannerInfo* root, RelOptInfo* rel, ParamPathInfo* info) {
  QualCost clauses;
  cost_qual_eval(&clauses, info->ppi_clauses, root);
  const Cost startup = rel->baserestrictcost.startup + clauses.startup;
  const Cost of_row = cpu_tuple_cost + rel->baserestrictcost.per_tuple + clauses.per_tuple;
  const Cost total = startup + kTestedRow * cost_of_all_rows(rel) + of_row * info->ppi_rows;
  Path* path = reinterpret_cast<Path*>(create_foreignscan_path(
      root, rel, nullptr, info->ppi_rows, startup, total, NIL, info->ppi_req_outer, nullptr, NIL));
  path->param_info = info;
  add_path(rel, path);
}

// A member of equivalence classes that is a column of the table; one after the other.
struct Columns {
  Expr* current;
  List* used;
};

bool is_next_column(PlannerInfo*, RelOptInfo* rel, EquivalenceClass*, EquivalenceMember* member,
                    void* context) {
  auto* columns = static_cast<Columns*>(context);
  Expr* expression = member->em_expr;
  if (columns->current) return equal(expression, columns->current);
  if (!IsA(expression, Var) || list_member(columns->used, expression)) return false;
  columns->current = expression;
  return true;
}

List* add_parameters(PlannerInfo* root, RelOptInfo* rel, RestrictInfo* info, List* all) {
  if (!join_clause_is_movable_to(info, rel) ||
      !can_be_pushed(reinterpret_cast<Node*>(info->clause), rel->relid))
    return all;
  Relids outer = bms_union(info->clause_relids, rel->lateral_relids);
  outer = bms_del_member(outer, static_cast<int>(rel->relid));
  if (bms_is_empty(outer)) return all;
  return list_append_unique_ptr(all, get_baserel_parampathinfo(root, rel, outer));
}

}  // namespace

void add_paths(PlannerInfo* root, RelOptInfo* rel, Oid foreign_table) {
  const Cost startup = rel->baserestrictcost.startup;
  add_path(rel, reinterpret_cast<Path*>(create_foreignscan_path(
                    root, rel, nullptr, rel->rows, startup, startup + cost_of_all_rows(rel), NIL,
                    rel->lateral_relids, nullptr, NIL)));
  const Oid server = GetForeignTable(foreign_table)->serverid;
  if (is_fact_table(foreign_table) || server_options(server).is_local()) return;
  List* parameters = NIL;
  ListCell* cell;
  foreach (cell, rel->joininfo)
    parameters = add_parameters(root, rel, lfirst_node(RestrictInfo, cell), parameters);
  Columns columns{nullptr, NIL};
  while (rel->has_eclass_joins) {
    columns.current = nullptr;
    List* clauses = generate_implied_equalities_for_column(root, rel, is_next_column, &columns,
                                                           rel->lateral_referencers);
    if (!columns.current) break;
    foreach (cell, clauses)
      parameters = add_parameters(root, rel, lfirst_node(RestrictInfo, cell), parameters);
    columns.used = lappend(columns.used, columns.current);
  }
  foreach (cell, parameters) add_path_for(root, rel, static_cast<ParamPathInfo*>(lfirst(cell)));
}

}  // namespace datahike::fdw
