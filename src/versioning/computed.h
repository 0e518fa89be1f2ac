// Computed views: row sets that are no state of a branch or commit. They are overlays like others,
// so that every kind of scan reads them as it reads a branch, but their tables are made, when they
// are first asked for, out of the views that they are computed from.
#pragma once

#include <optional>

#include "versioning/difference.h"
#include "versioning/view.h"

namespace datahike::versioning {

// What a computed view is made of. Belongs to its overlay.
struct ComputedFrom {
  View rows_of;                 // where its rows are to be found
  std::optional<View> without;  // whose rows it does not have
};

// The rows live in `a` and not in `b`. REQUIRES: both are views of commits.
View difference_view(const View& a, const View& b);

// Fills a table of a computed overlay with the rows `ranges`, all of which `rows_of` can find.
void set_rows(TableOverlay& table, tree::NodeSink& nodes, uint64_t id, const View& rows_of,
              std::span<const tree::RowidRange> ranges);

}  // namespace datahike::versioning
