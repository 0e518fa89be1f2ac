// "Datahike Score" below projections and aggregates: the paths that PostgreSQL has made are changed
// in place, so a score is computed where PostgreSQL computes it, above a sort if it is put off
// until then. A call that is a column of the plan below becomes a reference to it when PostgreSQL
// resolves the references of a plan, also within an aggregate's arguments and FILTER.
#include "exec/score.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
}

namespace datahike::exec {

namespace {

create_upper_paths_hook_type previous_upper = nullptr;

// Whether a path's columns are all that the calls need. The columns of these cannot be added to.
bool has_columns(const Path* path, List* calls) {
  ListCell* cell;
  foreach (cell, pull_var_clause(reinterpret_cast<Node*>(calls), 0))
    if (!list_member(path->pathtarget->exprs, lfirst(cell))) return false;
  return true;
}

// What can have the node above it: scans, what has the columns of several tables, rows from workers
// or from several scans.
bool is_source(const Path* path, List* calls) {
  if (path->param_info || path->rows < kFewRowsToScore) return false;
  switch (nodeTag(path)) {
    case T_NestPath:
    case T_MergePath:
    case T_HashPath:
    case T_GatherPath:
    case T_GatherMergePath:
      return true;
    case T_AppendPath:
    case T_MergeAppendPath:
      return has_columns(path, calls);
    default:
      return is_score_path(path) || (IS_SIMPLE_REL(path->parent) && is_plain_scan(path));
  }
}

// Where a path keeps the one that it reads from, for those that leave its columns alone or only
// aggregate them; nullptr for others.
Path** below(Path* path) {
  switch (nodeTag(path)) {
    case T_SortPath:
      return &reinterpret_cast<SortPath*>(path)->subpath;
    case T_IncrementalSortPath:
      return &reinterpret_cast<IncrementalSortPath*>(path)->spath.subpath;
    case T_UpperUniquePath:
      return &reinterpret_cast<UpperUniquePath*>(path)->subpath;
    case T_LimitPath:
      return &reinterpret_cast<LimitPath*>(path)->subpath;
    case T_WindowAggPath:
      return &reinterpret_cast<WindowAggPath*>(path)->subpath;
    case T_AggPath:
      return &reinterpret_cast<AggPath*>(path)->subpath;
    case T_GroupPath:
      return &reinterpret_cast<GroupPath*>(path)->subpath;
    case T_ProjectSetPath:
      return &reinterpret_cast<ProjectSetPath*>(path)->subpath;
    case T_ModifyTablePath:
      return &reinterpret_cast<ModifyTablePath*>(path)->subpath;
    default:
      return nullptr;
  }
}

void add_columns(Path* path, List* calls) {
  PathTarget* target = copy_pathtarget(path->pathtarget);
  add_new_columns_to_pathtarget(target, calls);  // those that it has not got
  path->pathtarget = target;
}

// Those of the calls that a path has not, which passes on the others.
List* missing_in(Path* path, List* calls) {
  if (!is_score_path(path)) return calls;
  List* known = scores_of(path);
  List* missing = list_difference(calls, known);
  if (missing != NIL) add_columns(path, list_intersection(calls, known));
  return missing;
}

void put_scores(Path** slot, List* calls) {
  Path* path = *slot;
  calls = missing_in(path, calls);
  if (calls == NIL) return;
  const bool join = IsA(path, NestPath) || IsA(path, MergePath) || IsA(path, HashPath);
  *slot = score_path(path->parent, path, calls, join);
}

// How rows are asked for from above.
struct Demand {
  bool all;      // of them, or the first of what has been sorted: they may be read ahead
  List* wanted;  // calls among the arguments of aggregates above, or beside window functions
};

void score_below(PlannerInfo* root, Path** slot, Demand demand);

// Rows that a sort has put in order may be read ahead where no LIMIT wants the first of them, which
// would not be told to the sort: that is for scores that a cursor's query computes behind the sort.
bool is_sorted_source(PlannerInfo* root, const Path* path, List* calls) {
  return IsA(path, SortPath) && !root->parent_root && !root->parse->limitCount &&
         !root->parse->limitOffset && path->rows >= kFewRowsToScore && has_columns(path, calls);
}

void score_projection(PlannerInfo* root, ProjectionPath* projection, Demand demand) {
  auto* expressions = reinterpret_cast<Node*>(projection->path.pathtarget->exprs);
  List* calls = demand.all ? list_concat_unique(calls_in(expressions, 0), demand.wanted) : NIL;
  Path* child = projection->subpath;
  if (calls != NIL && (is_source(child, calls) || is_sorted_source(root, child, calls))) {
    if (!is_source(child, calls)) score_below(root, &projection->subpath, {true, NIL});
    put_scores(&projection->subpath, calls);
    if (demand.wanted != NIL) add_columns(&projection->path, demand.wanted);
    return;
  }
  score_below(root, &projection->subpath, {demand.all, NIL});  // say what is behind a sort
}

template <class P>
Path* with_target(const Path* path, PathTarget* target) {
  auto* copy = static_cast<P*>(palloc(sizeof(P)));
  *copy = *reinterpret_cast<const P*>(path);
  Path* result = reinterpret_cast<Path*>(copy);
  result->pathtarget = target;
  return result;
}

// What a select list is computed from, by a node of its own or by a scan in the order wanted;
// nullptr where that is not known.
Path* unprojected(Path* path) {
  switch (nodeTag(path)) {
    case T_ProjectionPath:
      return reinterpret_cast<ProjectionPath*>(path)->subpath;
    case T_GatherMergePath:
      return with_target<GatherMergePath>(
          path, reinterpret_cast<GatherMergePath*>(path)->subpath->pathtarget);
    case T_IndexPath:
      if (path->pathtype != T_IndexScan || !IS_SIMPLE_REL(path->parent)) return nullptr;
      return with_target<IndexPath>(path, path->parent->reltarget);
    default:
      if (!is_score_path(path) || !IS_SIMPLE_REL(path->parent)) return nullptr;
      return with_target<CustomPath>(path, path->parent->reltarget);
  }
}

// Scores of the first rows in an order that does not need them: of those that come out of the
// limit. A limit directly above a sort goes on telling it how many it wants.
void score_above_limit(PlannerInfo* root, Path** slot) {
  auto* limit = reinterpret_cast<LimitPath*>(*slot);
  PathTarget* target = limit->subpath->pathtarget;
  auto* expressions = reinterpret_cast<Node*>(target->exprs);
  List* calls = calls_in(expressions, 0);
  if (calls == NIL || limit->limitOption != LIMIT_OPTION_COUNT ||
      limit->path.rows < kFewRowsToScore || contain_volatile_functions(expressions))
    return;
  Path* rows = unprojected(limit->subpath);
  if (!rows) return;
  if (rows->param_info || !has_columns(rows, calls)) return;
  calls = missing_in(rows, calls);
  if (calls == NIL) return;
  auto* below = makeNode(LimitPath);
  *below = *limit;
  below->subpath = rows;
  below->path.pathtarget = rows->pathtarget;
  RelOptInfo* rel = limit->path.parent;
  Path* scores = score_path(rel, &below->path, calls, false);
  *slot = reinterpret_cast<Path*>(create_projection_path(root, rel, scores, target));
}

void score_append(PlannerInfo* root, Path* path) {
  List* children = IsA(path, AppendPath) ? reinterpret_cast<AppendPath*>(path)->subpaths
                                         : reinterpret_cast<MergeAppendPath*>(path)->subpaths;
  ListCell* cell;
  foreach (cell, children) score_below(root, reinterpret_cast<Path**>(&lfirst(cell)), {true, NIL});
}

void score_below(PlannerInfo* root, Path** slot, Demand demand) {
  Path* path = *slot;
  if (IsA(path, ProjectionPath))
    return score_projection(root, reinterpret_cast<ProjectionPath*>(path), demand);
  if (demand.all && demand.wanted != NIL && is_source(path, demand.wanted)) {
    put_scores(slot, demand.wanted);
    return add_columns(*slot, demand.wanted);
  }
  if (demand.all && (IsA(path, AppendPath) || IsA(path, MergeAppendPath)))
    return score_append(root, path);
  Path** next = below(path);
  if (!next) return;
  switch (nodeTag(path)) {
    case T_LimitPath:
      score_above_limit(root, slot);  // below it as before
      demand = {false, NIL};
      break;
    case T_SortPath:
      demand.all = true;
      break;
    case T_AggPath: {
      auto* aggregate = reinterpret_cast<AggPath*>(path);
      if (aggregate->aggsplit != AGGSPLIT_SIMPLE) return;
      if (aggregate->aggstrategy != AGG_SORTED) demand.all = true;
      auto* expressions = reinterpret_cast<Node*>(path->pathtarget->exprs);
      demand.wanted =
          list_concat_unique(aggregated_calls_in(expressions, 0),
                             aggregated_calls_in(reinterpret_cast<Node*>(aggregate->qual), 0));
      break;
    }
    case T_WindowAggPath: {  // its select list is computed for every row, unless it drops some
      auto* window = reinterpret_cast<WindowAggPath*>(path);
      const bool every = window->qual == NIL && window->winclause->runCondition == NIL;
      demand.wanted = every ? calls_in(reinterpret_cast<Node*>(path->pathtarget->exprs), 0) : NIL;
      break;
    }
    case T_GroupPath:
      demand.wanted = NIL;
      break;
    default:
      break;
  }
  score_below(root, next, demand);
}

void upper_paths(PlannerInfo* root, UpperRelationKind stage, RelOptInfo* input, RelOptInfo* output,
                 void* extra) {
  if (previous_upper) previous_upper(root, stage, input, output, extra);
  if (stage != UPPERREL_FINAL || !may_read_ahead(root)) return;
  // Whether a row is still to be changed is looked up in the plan from the scan upwards: of one
  // table, not of a join.
  const CmdType command = root->parse->commandType;
  if ((command == CMD_UPDATE || command == CMD_DELETE) &&
      (bms_membership(root->all_baserels) != BMS_SINGLETON || root->append_rel_list != NIL))
    return;
  ListCell* cell;
  foreach (cell, output->pathlist)
    score_below(root, reinterpret_cast<Path**>(&lfirst(cell)), {true, NIL});
}

}  // namespace

void install_upper_score_paths() {
  previous_upper = create_upper_paths_hook;
  create_upper_paths_hook = upper_paths;
}

}  // namespace datahike::exec
