// Computed views: row sets that are no state of a branch or commit. They are overlays like others,
// so that every kind of scan reads them as it reads a branch, but their tables are made, when they
// are first asked for, out of the views that they are computed from.
#pragma once

#include <optional>

#include "store/commit.h"
#include "versioning/difference.h"
#include "versioning/view.h"

namespace datahike::versioning {

// Of a commit and its first parent: the rows live at one of them and not at the other, as the
// commit's delta says.
struct StepRows {
  store::Uuid of, without;
  std::shared_ptr<const store::Delta> delta;
  bool added = false;  // whether they are live at the commit
};

// What a computed view is made of. Belongs to its overlay.
struct ComputedFrom {
  View rows_of;                  // where its rows are to be found
  std::optional<StepRows> step;  // its rows
  std::optional<View> without;   // whose rows it does not have
  // Of rows_of only those that are not folded into its head, and were folded after this point.
  std::optional<pg::AsOf> unfolded_after;
  // All versions that ancestors of this commit made, those of later ones than `after_tx` and
  // `after_time`.
  std::optional<store::Uuid> history_of;
  uint64_t after_tx = 0;
  int64_t after_time = INT64_MIN;
};

// The view, not of a step, made anew unless it is among those used last. `rows_of` and `without`
// are not computed themselves.
View computed_view(const ComputedFrom& from);

struct Computation {
  const ComputedFrom* from = nullptr;
  std::shared_ptr<Overlay> overlay;  // owns `from`
};
Computation compute(const ComputedFrom& from);

// Fills a table of a computed overlay with the rows `ranges`, all of which `rows_of` can find.
void set_rows(TableOverlay& table, tree::NodeSink& nodes, uint64_t id, const View& rows_of,
              std::span<const tree::RowidRange> ranges);

}  // namespace datahike::versioning
