// Calls are replaced when a query has been analysed, so that views, prepared statements and the
// planner know nothing but calls with features, which carry the features' names: what is kept of a
// query may meet another model of the name. Names are looked up as those of unqualified columns
// are: in the FROM clause of the query itself, then in those around it.
#include "iforest/sql/short_form.h"

#include "am/horizon.h"
#include "iforest/sql/measures.h"
#include "pg/bridge.h"

extern "C" {
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_agg.h"
#include "parser/parse_coerce.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "access/sysattr.h"
#include "rewrite/rewriteManip.h"
#include "utils/array.h"
}

namespace datahike::anomaly {

namespace {

post_parse_analyze_hook_type previous_hook = nullptr;

// Arguments that a call may have besides an array of them.
constexpr int kMostArguments = FUNC_MAX_ARGS - 3;

// A query, and those around it. Plain data: PostgreSQL's errors leave these frames.
struct Level {
  Query* query;
  const Level* outer;
  bool visible;          // false: seen from a subquery in FROM that is not LATERAL
  const JoinExpr* join;  // whose condition it is: its columns alone are visible
  ParseState* state;
  bool target = true;     // false: where the row that is written to cannot be seen
  bool replaced = false;  // one of the query's own calls
};

// PostgreSQL 15 declares walkers and mutators without parameters.
template <class F>
auto untyped(F* f) {
  return reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(f));
}
template <class F>
auto untyped_mutator(F* f) {
  return reinterpret_cast<Node* (*)()>(reinterpret_cast<void*>(f));
}

bool is_short(Node* node) {
  if (!IsA(node, FuncExpr)) return false;
  const std::optional<KnownFunction> known =
      known_function(reinterpret_cast<FuncExpr*>(node)->funcid);
  return known && known->short_form;
}

bool has_short(Node* node, void* context) {
  if (!node) return false;
  if (is_short(node)) return true;
  if (IsA(node, Query))
    return query_tree_walker(reinterpret_cast<Query*>(node), untyped(has_short), context, 0);
  return expression_tree_walker(node, untyped(has_short), context);
}

// The column of that name in an entry of the range table, as an expression of the query; nullptr.
Node* column_of(const Level* level, int index, const char* name, int up, int location) {
  RangeTblEntry* entry = rt_fetch(index, level->query->rtable);
  int found = 0, number = 0;
  ListCell* cell;
  foreach (cell, entry->eref->colnames) {
    ++number;
    if (std::strcmp(strVal(lfirst(cell)), name) != 0) continue;
    if (found > 0)
      ereport(
          ERROR,
          (errcode(ERRCODE_AMBIGUOUS_COLUMN), errmsg("column reference \"%s\" is ambiguous", name),
           errdetail("It is a feature of the model."), parser_errposition(level->state, location)));
    found = number;
  }
  if (found == 0) return nullptr;
  if (entry->rtekind == RTE_JOIN) {
    auto* column = static_cast<Node*>(copyObjectImpl(list_nth(entry->joinaliasvars, found - 1)));
    if (column && up > 0) IncrementVarSublevelsUp(column, up, 0);
    return column;
  }
  List* columns = NIL;
  expandRTE(entry, index, up, location, true, nullptr, &columns);
  return static_cast<Node*>(list_nth(columns, found - 1));
}

Node* column_in(const Level* level, int index, const char* name, int up, int location,
                Node* other) {
  Node* column = column_of(level, index, name, up, location);
  if (!column) return other;
  if (other)
    ereport(
        ERROR,
        (errcode(ERRCODE_AMBIGUOUS_COLUMN), errmsg("column reference \"%s\" is ambiguous", name),
         errdetail("It is a feature of the model."), parser_errposition(level->state, location)));
  return column;
}

Node* find_here(const Level* level, const char* name, int up, int location) {
  if (level->join) return column_of(level, level->join->rtindex, name, up, location);
  Node* found = nullptr;
  bool has_target = false;
  ListCell* cell;
  if (level->query->jointree)
    foreach (cell, level->query->jointree->fromlist) {
      auto* item = static_cast<Node*>(lfirst(cell));
      const int index = IsA(item, JoinExpr) ? reinterpret_cast<JoinExpr*>(item)->rtindex
                                            : reinterpret_cast<RangeTblRef*>(item)->rtindex;
      has_target |= index == level->query->resultRelation;
      found = column_in(level, index, name, up, location, found);
    }
  if (level->query->resultRelation > 0 && !has_target && level->target)
    found = column_in(level, level->query->resultRelation, name, up, location, found);
  return found;
}

// The privilege to read the columns, as where they are named in the query.
void require_select(const Level* level, Node* expression) {
  ListCell* cell;
  foreach (cell, pull_vars_of_level(expression, 0)) {
    auto* var = static_cast<Var*>(lfirst(cell));
    RangeTblEntry* entry = rt_fetch(var->varno, level->query->rtable);
    if (entry->rtekind != RTE_RELATION) continue;
    entry->requiredPerms |= ACL_SELECT;
    entry->selectedCols =
        bms_add_member(entry->selectedCols, var->varattno - FirstLowInvalidHeapAttributeNumber);
  }
}

Node* find_column(const Level* level, const char* model, const char* name, int location) {
  int up = 0;
  for (const Level* at = level; at; at = at->outer, ++up) {
    if (!at->visible) continue;
    Node* column = find_here(at, name, up, location);
    if (!column) continue;
    Node* there = column;
    if (up > 0) {
      there = static_cast<Node*>(copyObjectImpl(column));
      IncrementVarSublevelsUp(there, -up, up);
    }
    require_select(at, there);
    return column;
  }
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" does not exist", name),
                  errdetail("It is a feature of model \"%s\".", model),
                  errhint("Name the features: anomaly_score('model', feature1, feature2, ...)."),
                  parser_errposition(level->state, location)));
  pg_unreachable();
}

// The arguments in the function's order, without the names that calls may give them.
List* positional(List* arguments) {
  const int count = list_length(arguments);
  auto* in_order = static_cast<Node**>(palloc0(sizeof(Node*) * count));
  List* result = NIL;
  for (int i = 0; i < count; ++i) {
    auto* argument = static_cast<Node*>(list_nth(arguments, i));
    if (IsA(argument, NamedArgExpr)) {
      auto* named = castNode(NamedArgExpr, argument);
      in_order[named->argnumber] = reinterpret_cast<Node*>(named->arg);
    } else {
      in_order[i] = argument;
    }
  }
  for (int i = 0; i < count; ++i) result = lappend(result, in_order[i]);
  return result;
}

const char* model_of(const Level* level, const FuncExpr* call) {
  auto* name = static_cast<Node*>(linitial(call->args));
  while (name && IsA(name, RelabelType))
    name = reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(name)->arg);
  if (name && IsA(name, Const) && !castNode(Const, name)->constisnull)
    return TextDatumGetCString(castNode(Const, name)->constvalue);
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("the model must be named in the query itself where its features are not"),
                  errhint("Name the features: anomaly_score($1, feature1, feature2, ...)."),
                  parser_errposition(level->state, call->location)));
  pg_unreachable();
}

// The names of a model's features; palloc'd.
List* features_of(const char* model) {
  List* names = NIL;
  pg::guard([&names, model] {
    auto loaded = model_for_planning(model);
    const std::vector<std::string>& features = loaded->model.features;
    pg::call([&] {
      for (const std::string& feature : features) names = lappend(names, pstrdup(feature.c_str()));
    });
  });
  return names;
}

// The function that takes the features and their names, too.
Oid named_form(Oid function, bool decay) {
  Oid types[4] = {TEXTOID, TEXTARRAYOID, ANYOID, InvalidOid};
  if (decay) {
    types[1] = FLOAT8OID;
    types[2] = TEXTARRAYOID;
    types[3] = ANYOID;
  }
  oidvector* arguments = buildoidvector(types, decay ? 4 : 3);
  const char* name = psprintf("%s_by_name", get_func_name(function));
  Oid found =
      GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
                      PointerGetDatum(arguments), ObjectIdGetDatum(get_func_namespace(function)));
  if (!OidIsValid(found))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("there is no function %s that takes features", name)));
  return found;
}

// The names as a constant text[].
Node* constant_of(List* names) {
  auto* texts = static_cast<Datum*>(palloc(sizeof(Datum) * list_length(names)));
  int count = 0;
  ListCell* cell;
  foreach (cell, names) texts[count++] = CStringGetTextDatum(static_cast<char*>(lfirst(cell)));
  ArrayType* array = construct_array(texts, count, TEXTOID, -1, false, TYPALIGN_INT);
  return reinterpret_cast<Node*>(
      makeConst(TEXTARRAYOID, -1, DEFAULT_COLLATION_OID, -1, PointerGetDatum(array), false, false));
}

Node* replace(Level* level, const FuncExpr* original) {
  auto* call = static_cast<FuncExpr*>(copyObjectImpl(original));
  call->args = positional(call->args);
  const KnownFunction known = *known_function(call->funcid);
  const char* model = model_of(level, call);
  // Another branch's model of the name may have other features: plans are made anew there.
  pg::guard([] { am::note_planned_by_view(); });
  List *columns = NIL, *names = features_of(model);
  ListCell* cell;
  foreach (cell, names) {
    auto* name = static_cast<char*>(lfirst(cell));
    Node* column = find_column(level, model, name, call->location);
    if (conversion_of(exprType(column)) == Conversion::None)
      ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                      errmsg("feature \"%s\" is of type %s, which is not numeric", name,
                             format_type_be(exprType(column))),
                      parser_errposition(level->state, call->location)));
    columns = lappend(columns, column);
  }
  call->funcid = named_form(call->funcid, known.decay >= 0);
  call->args = lappend(call->args, constant_of(names));
  if (list_length(columns) > kMostArguments) {
    auto* array = makeNode(ArrayExpr);
    array->array_typeid = FLOAT8ARRAYOID;
    array->element_typeid = FLOAT8OID;
    array->location = -1;
    foreach (cell, columns) {
      auto* column = static_cast<Node*>(lfirst(cell));
      array->elements = lappend(
          array->elements, coerce_to_target_type(level->state, column, exprType(column), FLOAT8OID,
                                                 -1, COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1));
    }
    columns = list_make1(array);
    call->funcvariadic = true;
  }
  call->args = list_concat(call->args, columns);
  level->replaced = true;
  return reinterpret_cast<Node*>(call);
}

void process(Query* query, const Level* outer, ParseState* state);

Node* replace_all(Node* node, Level* level) {
  if (!node) return nullptr;
  if (is_short(node)) return replace(level, reinterpret_cast<FuncExpr*>(node));
  if (IsA(node, Query)) {  // of a SubLink
    auto* query = static_cast<Query*>(copyObjectImpl(node));
    process(query, level, level->state);
    return reinterpret_cast<Node*>(query);
  }
  return expression_tree_mutator(node, untyped_mutator(replace_all), level);
}

// Conditions of joins see the columns of the join alone.
void process_joins(Node* node, Level* level) {
  if (!node || !IsA(node, JoinExpr)) return;
  auto* join = reinterpret_cast<JoinExpr*>(node);
  process_joins(join->larg, level);
  process_joins(join->rarg, level);
  level->join = join;
  join->quals = replace_all(join->quals, level);
  level->join = nullptr;
}

void process(Query* query, const Level* outer, ParseState* state) {
  if (!has_short(reinterpret_cast<Node*>(query), nullptr)) return;
  Level level{query, outer, true, nullptr, state};
  Level hidden{query, outer, false, nullptr, state};
  ListCell* cell;
  foreach (cell, query->cteList) {
    auto* cte = lfirst_node(CommonTableExpr, cell);
    if (IsA(cte->ctequery, Query)) process(reinterpret_cast<Query*>(cte->ctequery), &hidden, state);
  }
  foreach (cell, query->rtable) {
    auto* entry = lfirst_node(RangeTblEntry, cell);
    Level* seen = entry->lateral ? &level : &hidden;
    if (entry->rtekind == RTE_SUBQUERY) process(entry->subquery, seen, state);
    if (entry->rtekind == RTE_FUNCTION)
      entry->functions =
          reinterpret_cast<List*>(replace_all(reinterpret_cast<Node*>(entry->functions), &level));
    if (entry->rtekind == RTE_VALUES)
      entry->values_lists =
          reinterpret_cast<List*>(replace_all(reinterpret_cast<Node*>(entry->values_lists), seen));
  }
  if (query->jointree)
    foreach (cell, query->jointree->fromlist)
      process_joins(static_cast<Node*>(lfirst(cell)), &level);
  // What is inserted is made before there is a row of the target's.
  if (query->commandType == CMD_INSERT) {
    level.target = false;
    query->targetList =
        reinterpret_cast<List*>(replace_all(reinterpret_cast<Node*>(query->targetList), &level));
    level.target = true;
  }
  foreach (cell, query->mergeActionList) {
    auto* action = lfirst_node(MergeAction, cell);
    level.target = action->matched;
    action->qual = replace_all(action->qual, &level);
    action->targetList =
        reinterpret_cast<List*>(replace_all(reinterpret_cast<Node*>(action->targetList), &level));
    level.target = true;
  }
  query_tree_mutator(query, untyped_mutator(replace_all), &level,
                     QTW_DONT_COPY_QUERY | QTW_IGNORE_RANGE_TABLE | QTW_IGNORE_CTE_SUBQUERIES);
  const bool grouped =
      query->hasAggs || query->groupClause || query->havingQual || query->groupingSets;
  if (!level.replaced || !grouped) return;
  // Columns that have come in must be grouped by, too.
  ParseState* check = make_parsestate(nullptr);
  check->p_sourcetext = state->p_sourcetext;
  check->p_rtable = query->rtable;
  check->p_hasAggs = query->hasAggs;
  parseCheckAggregates(check, query);
  free_parsestate(check);
}

void process_analyzed(ParseState* state, Node* node) {
  if (!node || !IsA(node, Query)) return;
  auto* query = reinterpret_cast<Query*>(node);
  if (query->commandType != CMD_UTILITY) return process(query, nullptr, state);
  // Commands with a query that has been analysed along with them.
  Node* command = query->utilityStmt;
  if (!command) return;
  if (IsA(command, ExplainStmt)) {
    process_analyzed(state, reinterpret_cast<ExplainStmt*>(command)->query);
  } else if (IsA(command, DeclareCursorStmt)) {
    process_analyzed(state, reinterpret_cast<DeclareCursorStmt*>(command)->query);
  } else if (IsA(command, CreateTableAsStmt)) {
    auto* create = reinterpret_cast<CreateTableAsStmt*>(command);
    process_analyzed(state, create->query);
    process_analyzed(state, create->into->viewQuery);  // a copy, for the definition
  }
}

void analyzed(ParseState* state, Query* query, JumbleState* jumble) {
  if (previous_hook) previous_hook(state, query, jumble);
  process_analyzed(state, reinterpret_cast<Node*>(query));
}

}  // namespace

void install_short_form() {
  register_model_callbacks();
  previous_hook = post_parse_analyze_hook;
  post_parse_analyze_hook = analyzed;
}

}  // namespace datahike::anomaly
