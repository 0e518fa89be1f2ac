#include "am/table_difference.h"

#include "versioning/difference.h"

namespace datahike::am {

namespace {

versioning::OwnChanges own_changes(const TableView& view) {
  versioning::OwnChanges changes;
  TablePending* own = view.pending();
  if (!own) return changes;
  changes.cleared = own_cleared(*own, view.command);
  for (const auto& [first, run] : own->runs)
    for (uint64_t i = 0; i < run.count; ++i)
      if (own_row_visible(*own, run, first + i, view.command))
        tree::append_range(changes.added, first + i, 1);
  for (const auto& [rowid, removal] : own->removed)
    if (own_removed(*own, rowid, view.command)) changes.removed.push_back(rowid);
  std::sort(changes.removed.begin(), changes.removed.end());
  return changes;
}

}  // namespace

std::vector<tree::RowidRange> rows_only_in(const TableView& a, const TableView& b) {
  versioning::OwnChanges own_a = own_changes(a), own_b = own_changes(b);
  std::vector<tree::RowidRange> ranges =
      versioning::rows_only_in({a.view, &own_a}, {b.view, &own_b}, a.table_id);
  std::erase_if(ranges, [&](tree::RowidRange& range) {
    if (range.first >= a.floor) return false;
    uint64_t below = std::min(range.count, a.floor - range.first);
    range.first += below;
    range.count -= below;
    return range.count == 0;
  });
  return ranges;
}

}  // namespace datahike::am
