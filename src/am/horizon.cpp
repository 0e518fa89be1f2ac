#include "am/horizon.h"

#include "am/row_cursor.h"
#include "pg/bridge.h"

extern "C" {
#include "utils/plancache.h"
}

namespace datahike::am {

namespace {
bool planned_by_view = false;
}

bool has_older_rows(const TableView& view, const RelationInfo& info) {
  return info.horizon > 0 && RowCursor(view).has_committed_below(info.horizon);
}

void refuse_older_rows(Relation relation, const RelationInfo& info, int32_t branch) {
  if (info.horizon == 0 || !has_older_rows(latest_table_view(info, branch), info)) return;
  throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                     std::string("cannot change rows of table \"") +
                         RelationGetRelationName(relation) +
                         "\" on a branch that has rows from before a column changed its type",
                     "VACUUM FULL converts the rows of every branch.");
}

void refuse_index(Relation relation, const TableView& view, const RelationInfo& info) {
  if (!has_older_rows(view, info)) return;
  pg::call([] { ResetPlanCache(); });
  throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                     std::string("an index of table \"") + RelationGetRelationName(relation) +
                         "\" has no entries for rows from before a column changed its type",
                     "The plan was made for another view; DISCARD PLANS.");
}

std::optional<TableView> view_of_settings(Relation relation) {
  planned_by_view = true;
  versioning::SessionView session = versioning::current_settings();
  if (session.branch < 0 || !ActiveSnapshotSet()) return std::nullopt;
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(relation); });
  const versioning::SessionView* before = versioning::use_session_view(&session);
  try {
    TableView view = table_view(info, GetActiveSnapshot());
    versioning::use_session_view(before);
    return view;
  } catch (...) {
    versioning::use_session_view(before);
    throw;
  }
}

bool indexes_are_complete(Relation relation) {
  const RelationInfo& info =
      pg::call([=]() -> const RelationInfo& { return relation_info(relation); });
  if (info.horizon == 0) return true;
  std::optional<TableView> view = view_of_settings(relation);
  return view && !has_older_rows(*view, info);
}

bool plans_depend_on_view() { return planned_by_view; }

void note_planned_by_view() { planned_by_view = true; }

}  // namespace datahike::am
