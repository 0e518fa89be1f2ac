// Views of what one commit changed: the rows live at a commit and not at its first parent, or at
// the parent and not at the commit. They cost what the commit changed, and no look at the state of
// either unless a table was emptied.
#pragma once

#include "versioning/view.h"

namespace datahike::versioning {

// The rows live at commit `of` and not at `without`, where one is the first parent of the other;
// nullopt where it is not. Pins both. The overlay lives to the end of the statement, or as long as
// what hold_step_view() has returned. Errors: 42704 no such commit, 72000 collected.
std::optional<View> step_view(const store::Uuid& of, const store::Uuid& without, int32_t branch);

// For a query that is one of very many of a statement: what the view needs goes when this does.
// nullptr where step_view() is nullopt.
std::shared_ptr<const void> hold_step_view(const store::Uuid& of, const store::Uuid& without);

}  // namespace datahike::versioning
