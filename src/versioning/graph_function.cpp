// The SQL function graph().
#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/tags.h"
#include "versioning/graph.h"
#include "versioning/revision.h"
#include "versioning/sql_values.h"

using namespace datahike;
using namespace datahike::versioning;

namespace {

// What stands in parentheses beside a commit.
using Decorations = std::map<store::Uuid, std::string>;

Decorations read_decorations() {
  Decorations names;
  auto add = [&](const store::Uuid& commit, const std::string& name) {
    std::string& text = names[commit];
    text += (text.empty() ? "" : ", ") + name;
  };
  std::map<std::string, int32_t> branches;
  for (int32_t branch : pg::named_branches()) branches[pg::branch_name(branch)] = branch;
  for (const auto& [name, branch] : branches) add(branch_head(branch), name);
  for (const pg::Tag& tag : pg::all_tags()) add(tag.commit, "tag: " + tag.name);
  return names;
}

std::string describe(const store::Commit& commit, const Decorations& names) {
  std::string text = store::format_uuid(commit.id).substr(0, 8);
  auto at = names.find(commit.id);
  if (at != names.end()) text += " (" + at->second + ")";
  std::string subject = commit.message.substr(0, commit.message.find('\n'));
  return subject.empty() ? text : text + " " + subject;
}

void put_graph(ReturnSetInfo* result, List* revisions, int32_t max) {
  std::vector<store::Uuid> heads;
  ListCell* cell;
  foreach (cell, revisions) heads.push_back(resolve_revision(static_cast<char*>(lfirst(cell))));
  if (heads.empty()) heads.push_back(resolve_revision_or_current(nullptr));
  if (max == 0) return;
  Decorations names = read_decorations();
  GraphPainter painter([=](const std::string& line) {
    const std::string* l = &line;
    pg::call([=] {
      CHECK_FOR_INTERRUPTS();
      Datum value = CStringGetTextDatum(l->c_str());
      bool isnull = false;
      tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
    });
  });
  store::walk_log(store_for_reading(), heads, [&](const store::Commit& commit) {
    painter.draw(commit, describe(commit, names));
    return --max > 0;
  });
}

Datum graph(FunctionCallInfo fcinfo, int32_t max, int revisions_arg) {
  if (max < 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max must not be negative")));
  List* revisions = required_texts(fcinfo, revisions_arg, "a revision");
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { put_graph(result, revisions, max); });
  return 0;
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_graph);
PG_FUNCTION_INFO_V1(datahike_graph_max);
PGDLLEXPORT Datum datahike_graph(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_graph_max(PG_FUNCTION_ARGS);
}

Datum datahike_graph(PG_FUNCTION_ARGS) { return graph(fcinfo, PG_INT32_MAX, 0); }

Datum datahike_graph_max(PG_FUNCTION_ARGS) {
  return graph(fcinfo, PG_ARGISNULL(0) ? PG_INT32_MAX : PG_GETARG_INT32(0), 1);
}
