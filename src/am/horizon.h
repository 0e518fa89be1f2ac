// The horizon of a table. A command that changes a column's type converts the rows that are live on
// a branch; the row versions of old commits stay as they were written, and are cast when they are
// read. The converted rows get rowids above all earlier ones: the first of them is the horizon.
//   - Rows at or above it hold values that are bit for bit of the columns' present types, whatever
//     type their segment names: PostgreSQL rewrites a table unless the bits are the same.
//   - Indexes have entries for rows at or above it alone. So a view with older rows (an old commit,
//     a branch made from one) uses no index, and cannot be written row by row, for uniqueness could
//     not be checked.
#pragma once

#include "am/fetch.h"

namespace datahike::am {

// Whether the view has committed rows below the table's horizon.
bool has_older_rows(const TableView& view, const RelationInfo& info);
// Throws 0A000 if the branch has such rows.
void refuse_older_rows(Relation relation, const RelationInfo& info, int32_t branch);
// The same for a plan that reads an index for such a view: it was made for another view.
void refuse_index(Relation relation, const TableView& view, const RelationInfo& info);

// For the planner: the relation as the session's settings and the active snapshot have it, without
// own changes set apart. nullopt where that is not known. Plans are made anew when settings change.
std::optional<TableView> view_of_settings(Relation relation);
// Whether what the session's settings say allows the planner to use the relation's indexes now.
bool indexes_are_complete(Relation relation);
// Whether this session has ever planned with a table whose plans depend on the view.
bool plans_depend_on_view();
void note_planned_by_view();

}  // namespace datahike::am
