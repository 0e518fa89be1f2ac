// What the planner may believe of a table under a view that the statement names: how large it is,
// which indexes have all its rows, and whether a unique index says anything about them. Where the
// revision is not known yet (a parameter of a generic plan), as little as possible.
#include "am/horizon.h"
#include "am/omitted_rows.h"
#include "am/sample.h"
#include "exec/view_call.h"
#include "pg/bridge.h"
#include "versioning/named_view.h"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
}

namespace datahike::exec {

namespace {

get_relation_info_hook_type previous_relation_info = nullptr;

// A copy of the active snapshot that names a view for as long as the object lives.
class NamedSnapshot {
 public:
  explicit NamedSnapshot(const versioning::SessionView* view) : snapshot_(*GetActiveSnapshot()) {
    if (view) versioning::name_view(&snapshot_, view);
  }
  ~NamedSnapshot() { versioning::forget_named_view(&snapshot_); }
  NamedSnapshot(const NamedSnapshot&) = delete;
  NamedSnapshot& operator=(const NamedSnapshot&) = delete;
  Snapshot get() { return &snapshot_; }

 private:
  SnapshotData snapshot_;
};

// The value of an argument as text, where planning knows it.
bool is_known(PlannerInfo* root, Node* expression, char** text) {
  Node* value = eval_const_expressions(root, expression);
  if (!IsA(value, Const)) return false;
  auto* constant = reinterpret_cast<Const*>(value);
  *text =
      constant->constisnull ? nullptr : argument_text(constant->constvalue, constant->consttype);
  return true;
}

// A difference is small, or its reader patient: guesses at its size are small, too.
constexpr double kRowsOfDifference = 1000;
constexpr double kRowsPerPage = 50;

void believe_size(RelOptInfo* rel, double rows) {
  rel->tuples = std::max(rows, 1.0);
  rel->pages = static_cast<BlockNumber>(std::min(rel->tuples / kRowsPerPage + 1, 4e9));
  rel->allvisfrac = 0;
}

bool has_all_rows(const IndexOptInfo* index, const am::TableView* view) {
  if (index->indexprs == NIL && index->indpred == NIL) return true;
  return view ? am::serves_view(index->indexoid, *view) : !am::omitted_rows(index->indexoid);
}

// view: nullptr where it is not known.
void hide_incomplete_indexes(RelOptInfo* rel, const am::TableView* view) {
  ListCell* cell;
  foreach (cell, rel->indexlist)
    if (!has_all_rows(static_cast<IndexOptInfo*>(lfirst(cell)), view))
      rel->indexlist = foreach_delete_current(rel->indexlist, cell);
}

void believe_nothing(Relation relation, RelOptInfo* rel, NamedKind kind) {
  const am::RelationInfo& info =
      pg::call([=]() -> const am::RelationInfo& { return am::relation_info(relation); });
  if (info.horizon > 0) rel->indexlist = NIL;
  hide_incomplete_indexes(rel, nullptr);
  if (kind == NamedKind::Difference || kind == NamedKind::Step)
    believe_size(rel, kRowsOfDifference);
  ListCell* cell;
  foreach (cell, rel->indexlist) static_cast<IndexOptInfo*>(lfirst(cell))->unique = false;
}

void believe_view(Relation relation, RelOptInfo* rel, const versioning::SessionView* view) {
  const am::RelationInfo& info =
      pg::call([=]() -> const am::RelationInfo& { return am::relation_info(relation); });
  NamedSnapshot snapshot(view);
  am::TableView table = am::table_view(info, snapshot.get());
  if (table.view.computed_from)
    believe_size(rel, static_cast<double>(am::count_rows(table)));
  else
    am::estimate_for_planner(table, relation, info, rel->attr_widths - rel->min_attr, &rel->pages,
                             &rel->tuples, &rel->allvisfrac);
  if (am::has_older_rows(table, info)) rel->indexlist = NIL;
  hide_incomplete_indexes(rel, &table);
  am::note_planned_by_view();
  // What is unique now need not have been: the key may be younger, and so may be its collation.
  ListCell* cell;
  foreach (cell, rel->indexlist) {
    auto* index = static_cast<IndexOptInfo*>(lfirst(cell));
    index->unique = false;
    index->tuples = index->indpred == NIL ? rel->tuples : std::min(index->tuples, rel->tuples);
  }
}

void relation_info(PlannerInfo* root, Oid relid, bool inherited, RelOptInfo* rel) {
  if (previous_relation_info) previous_relation_info(root, relid, inherited, rel);
  RangeTblEntry* entry = root->simple_rte_array ? root->simple_rte_array[rel->relid] : nullptr;
  if (!entry || inherited || !is_view_call(entry)) return;
  require_datahike(relid);
  ViewCall call = view_call_of(entry);
  Relation relation = RelationIdGetRelation(relid);
  char *first = nullptr, *second = nullptr;
  if (!ActiveSnapshotSet() || !is_known(root, call.first, &first) ||
      !is_known(root, call.second, &second)) {
    NamedKind kind = call.kind;
    pg::guard([=] { believe_nothing(relation, rel, kind); });
  } else {
    NamedKind kind = call.kind;
    pg::guard([=] {
      auto view = view_of_call(kind, first, second, GetActiveSnapshot());
      if (view) believe_view(relation, rel, &*view);
    });
  }
  RelationClose(relation);
}

}  // namespace

void install_view_statistics() {
  previous_relation_info = get_relation_info_hook;
  get_relation_info_hook = relation_info;
}

}  // namespace datahike::exec
