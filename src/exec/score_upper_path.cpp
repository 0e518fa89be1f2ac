// "Datahike Score" above joins, and below aggregates of PostgreSQL's: the paths that PostgreSQL has
// made are changed in place. A call that is a column of the plan below becomes a reference to it
// when PostgreSQL resolves the references of a plan, also within an aggregate's arguments and
// FILTER.
#include "exec/score.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
}

namespace datahike::exec {

namespace {

create_upper_paths_hook_type previous_upper = nullptr;

// What has the columns of several tables, or rows from workers.
bool is_source(const Path* path) {
  if (path->param_info || path->rows < kFewRowsToScore) return false;
  switch (nodeTag(path)) {
    case T_NestPath:
    case T_MergePath:
    case T_HashPath:
    case T_GatherPath:
    case T_GatherMergePath:
      return true;
    default:
      return false;
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
    case T_GroupingSetsPath:
      return &reinterpret_cast<GroupingSetsPath*>(path)->subpath;
    default:
      return nullptr;
  }
}

void add_columns(Path* path, List* calls) {
  PathTarget* target = copy_pathtarget(path->pathtarget);
  add_new_columns_to_pathtarget(target, calls);  // those that it has not got
  path->pathtarget = target;
}

void score_below(Path** slot, List* wanted);

// Calls in the select list of a join.
void score_projection(ProjectionPath* projection, List* wanted) {
  Path* child = projection->subpath;
  if (is_source(child)) {
    List* calls = calls_in(reinterpret_cast<Node*>(projection->path.pathtarget->exprs), 0);
    calls = list_concat_unique(calls, wanted);
    if (calls == NIL) return;
    projection->subpath = score_path(child->parent, child, calls);
  } else if (!is_score_path(child)) {
    return score_below(&projection->subpath, NIL);  // say what is computed behind a sort
  }
  if (wanted != NIL) add_columns(&projection->path, wanted);
}

// `wanted`: calls that aggregates above have among their arguments.
void score_below(Path** slot, List* wanted) {
  Path* path = *slot;
  if (IsA(path, ProjectionPath))
    return score_projection(reinterpret_cast<ProjectionPath*>(path), wanted);
  if (is_score_path(path)) {
    if (wanted != NIL) add_columns(path, wanted);
    return;
  }
  if (is_source(path)) {
    if (wanted == NIL) return;
    *slot = score_path(path->parent, path, wanted);
    add_columns(*slot, wanted);
    return;
  }
  Path** next = below(path);
  if (!next) return;
  if (IsA(path, AggPath) || IsA(path, GroupingSetsPath)) {
    if (IsA(path, AggPath) && reinterpret_cast<AggPath*>(path)->aggsplit != AGGSPLIT_SIMPLE) return;
    List* having = IsA(path, AggPath) ? reinterpret_cast<AggPath*>(path)->qual
                                      : reinterpret_cast<GroupingSetsPath*>(path)->qual;
    wanted = aggregated_calls_in(reinterpret_cast<Node*>(path->pathtarget->exprs), 0);
    wanted = list_concat_unique(wanted, aggregated_calls_in(reinterpret_cast<Node*>(having), 0));
  } else if (IsA(path, WindowAggPath) || IsA(path, GroupPath)) {
    wanted = NIL;
  }
  score_below(next, wanted);
}

void upper_paths(PlannerInfo* root, UpperRelationKind stage, RelOptInfo* input, RelOptInfo* output,
                 void* extra) {
  if (previous_upper) previous_upper(root, stage, input, output, extra);
  if (stage != UPPERREL_FINAL || !may_read_ahead(root)) return;
  ListCell* cell;
  foreach (cell, output->pathlist) {
    auto** slot = reinterpret_cast<Path**>(&lfirst(cell));
    score_below(slot, NIL);
  }
}

}  // namespace

void install_upper_score_paths() {
  previous_upper = create_upper_paths_hook;
  create_upper_paths_hook = upper_paths;
}

}  // namespace datahike::exec
