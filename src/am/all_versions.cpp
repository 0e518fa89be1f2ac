#include "am/all_versions.h"

#include "pg/snapshot.h"

namespace datahike::am {

// The store is read from after the views were made: what they do not find in the log is in it.
AllVersions::AllVersions(Relation table, const RelationInfo& info, Snapshot snapshot)
    : table_(table), info_(info) {
  Snapshot s = snapshot ? snapshot : pg::call([] { return pg::latest_snapshot(); });
  for (int32_t branch : pg::branches_with_heads(s))
    views_.push_back(snapshot ? table_view_of_branch(info, branch, snapshot)
                              : latest_table_view(info, branch));
  if (store::Environment* env = pg::try_store()) env->refresh();
}

std::optional<uint64_t> AllVersions::first_version(uint64_t rowid) {
  std::optional<uint64_t> found;
  rowid = std::max({rowid, info_.horizon, info_.floor});
  auto meet = [&](uint64_t first) {
    first = std::max(first, rowid);
    found = std::min(first, found.value_or(first));
  };
  if (store::Environment* env = pg::try_store())
    if (auto segment = env->segment_at_or_after(info_.table, rowid)) meet(segment->first_rowid());
  for (const TableView& view : views_) {
    auto run = first_run_with(*view.table, rowid);
    if (run != view.table->added.end()) meet(run->first);
    TablePending* own = view.pending();
    if (!own) continue;
    for (const auto& [first, run] : own->runs)
      if (first + run.count > rowid) {
        meet(first);
        break;
      }
  }
  return found;
}

uint64_t AllVersions::end() {
  uint64_t end = 0;
  for (const TableView& view : views_) end = std::max(end, end_of_unfolded_rows(view));
  if (store::Environment* env = pg::try_store())
    if (auto segment = env->segment_at_or_before(info_.table, UINT64_MAX))
      end = std::max(end, segment->last_rowid() + 1);
  return end;
}

uint64_t end_of_unfolded_rows(const TableView& view) {
  uint64_t end = 0;
  if (auto& added = view.table->added; !added.empty()) {
    auto last = std::prev(added.end());
    end = last->first + last->second.rows;
  }
  if (TablePending* own = view.pending(); own && !own->runs.empty()) {
    auto last = std::prev(own->runs.end());
    end = std::max(end, last->first + last->second.count);
  }
  return end;
}

versioning::AddedRuns::iterator AllVersions::first_run_with(versioning::TableOverlay& table,
                                                            uint64_t rowid) {
  auto run = versioning::Overlay::find_added(table, rowid);
  return run == table.added.end() ? table.added.upper_bound(rowid) : run;
}

bool AllVersions::in_some_log(uint64_t rowid) const {
  for (const TableView& view : views_)
    if (versioning::Overlay::find_added(*view.table, rowid) != view.table->added.end()) return true;
  return false;
}

versioning::FoundRow AllVersions::row_in_store(store::Environment& env, uint64_t rowid) {
  bool stale = generation_ != env.generation() || rowid < segment_.first_rowid() ||
               rowid > segment_.last_rowid();
  if (stale) {
    auto segment = env.segment(info_.table, rowid);
    if (!segment)
      throw CorruptError("row " + std::to_string(rowid) + " has vanished from the store");
    segment_ = *segment;
    generation_ = env.generation();
  }
  return {segment_, static_cast<uint32_t>(rowid - segment_.first_rowid()), true};
}

}  // namespace datahike::am
