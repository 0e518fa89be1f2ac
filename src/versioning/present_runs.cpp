#include "versioning/present_runs.h"

#include <algorithm>

namespace datahike::versioning {

namespace {

// Which runs a view of the first `limit` deltas has.
struct Visible {
  uint32_t clear, limit;
  bool operator()(const AddedRun& run) const {
    const bool gone = run.removed_rows == run.rows && run.last_removal <= limit;
    return run.sequence <= limit && run.sequence >= clear && !gone;
  }
};

bool begins_before(const PresentRun& a, const PresentRun& b) { return a.first < b.first; }

constexpr uint64_t kFewRows = 64;  // that are looked at one by one

PresentRun present_run(const TableOverlay& table, const AddedRuns::Entry& run, uint32_t limit) {
  PresentRun present{run.first, run.second.rows, &run, {}};
  if (present.rows > kFewRows || table.removed_again) return present;
  present.is_whole = true;
  for (uint64_t rowid = present.first; rowid < present.first + present.rows; ++rowid)
    if (const RemovedRow* removed = table.removed.find(rowid);
        removed && removed->sequence <= limit)
      present.is_whole = false;
  return present;
}

// How many of the table's removals are those of the first `limit` deltas. REQUIRES: none has been
// removed again, or they are in another order.
size_t removals_up_to(const TableOverlay& table, uint32_t limit) {
  auto behind = std::upper_bound(
      table.removed.begin(), table.removed.end(), limit,
      [](uint32_t of, const RemovedRows::Entry& entry) { return of < entry.second.sequence; });
  return static_cast<size_t>(behind - table.removed.begin());
}

// Takes out what the deltas between have removed altogether.
void leave_out_removed(const TableOverlay& table, PresentRuns& present, const Visible& visible) {
  std::vector<PresentRun>& runs = present.runs;
  bool some_gone = false;
  for (; present.removals < table.removed.size(); ++present.removals) {
    const auto& [rowid, removal] = table.removed[present.removals];
    if (removal.sequence > visible.limit) break;
    const size_t at = present.first_with(rowid);
    if (at == runs.size() || rowid < runs[at].first) continue;
    PresentRun& run = runs[at];
    run.is_whole = false;
    some_gone |= run.rows == 1 || !visible(run.run->second);
    if (run.rows == 1) run.rows = 0;  // first_with() finds its way all the same
  }
  if (!some_gone) return;
  std::erase_if(runs, [&](const PresentRun& p) {
    return p.rows == 0 || (p.rows > 1 && !p.is_whole && !visible(p.run->second));
  });
}

// The runs that the deltas between have added: ascending, each once.
std::vector<PresentRun> added_between(TableOverlay& table, uint32_t before,
                                      const Visible& visible) {
  std::vector<PresentRun> added;
  auto& in_order = table.added.in_order();
  const bool some_replaced = in_order.size() != table.added.size();
  auto next = std::upper_bound(in_order.begin(), in_order.end(), before,
                               [](uint32_t sequence, const AddedRuns::Entry& run) {
                                 return sequence < run.second.sequence;
                               });
  for (; next != in_order.end() && next->second.sequence <= visible.limit; ++next) {
    if (!visible(next->second)) continue;
    if (some_replaced && &*table.added.lower_bound(next->first) != &*next) continue;
    added.push_back(present_run(table, *next, visible.limit));
  }
  std::sort(added.begin(), added.end(), begins_before);
  return added;
}

// Both ascending; from the end, so that each moves once.
void merge_into(std::vector<PresentRun>& runs, const std::vector<PresentRun>& added) {
  size_t from = runs.size(), more = added.size();
  runs.resize(from + more);
  while (more > 0) {
    PresentRun& to = runs[from + more - 1];
    const bool old = from > 0 && begins_before(added[more - 1], runs[from - 1]);
    to = old ? runs[--from] : added[--more];
  }
}

}  // namespace

size_t PresentRuns::first_with(uint64_t rowid) const {
  auto at = std::partition_point(runs.begin(), runs.end(),
                                 [=](const PresentRun& p) { return p.first + p.rows <= rowid; });
  return static_cast<size_t>(at - runs.begin());
}

size_t PresentRuns::first_behind(uint64_t rowid) const {
  auto at = std::partition_point(runs.begin(), runs.end(),
                                 [=](const PresentRun& p) { return p.first <= rowid; });
  return static_cast<size_t>(at - runs.begin());
}

// What was found for fewer deltas is brought up to more of them: the runs that these have added, in
// the order in which they were applied, less those of which they have removed the last row. The
// removals are in the order of the deltas as long as no row has been removed twice.
std::shared_ptr<PresentRuns> present_runs(TableOverlay& table, uint32_t limit) {
  std::shared_ptr<PresentRuns>& known = table.present;
  if (known && known->limit == limit) return known;
  const Visible visible{Overlay::last_clear(table, limit), limit};
  if (!known || known->limit > limit) {
    auto made = std::make_shared<PresentRuns>();
    made->limit = limit;
    made->clear = visible.clear;
    for (auto run = table.added.begin(); run != table.added.end(); ++run)
      if (visible(run->second)) made->runs.push_back(present_run(table, *run, limit));
    if (!table.removed_again) made->removals = removals_up_to(table, limit);
    // A scan under an older snapshot must not take away what the newest views go on with.
    if (!known) known = made;
    return made;
  }
  if (known.use_count() > 1) known = std::make_shared<PresentRuns>(*known);
  if (table.removed_again || visible.clear > known->clear) {
    std::erase_if(known->runs, [&](const PresentRun& p) { return !visible(p.run->second); });
    for (PresentRun& p : known->runs) p.is_whole = false;
    if (!table.removed_again) known->removals = removals_up_to(table, limit);
  } else {
    leave_out_removed(table, *known, visible);
  }
  merge_into(known->runs, added_between(table, known->limit, visible));
  known->limit = limit;
  known->clear = visible.clear;
  return known;
}

}  // namespace datahike::versioning
