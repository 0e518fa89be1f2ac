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

bool begins_before(const PresentRun& a, const PresentRun& b) { return a.run->first < b.run->first; }

}  // namespace

size_t PresentRuns::first_with(uint64_t rowid) const {
  auto at = std::partition_point(runs.begin(), runs.end(), [=](const PresentRun& p) {
    return p.run->first + p.run->second.rows <= rowid;
  });
  return static_cast<size_t>(at - runs.begin());
}

size_t PresentRuns::first_behind(uint64_t rowid) const {
  auto at = std::partition_point(runs.begin(), runs.end(),
                                 [=](const PresentRun& p) { return p.run->first <= rowid; });
  return static_cast<size_t>(at - runs.begin());
}

// What was found for fewer deltas is brought up to more of them: the runs that these have added, in
// the order in which they were applied, less those of which they have removed the last row.
std::shared_ptr<PresentRuns> present_runs(TableOverlay& table, uint32_t limit) {
  std::shared_ptr<PresentRuns>& known = table.present;
  if (known && known->limit == limit) return known;
  const Visible visible{Overlay::last_clear(table, limit), limit};
  if (!known || known->limit > limit) {
    auto made = std::make_shared<PresentRuns>();
    made->limit = limit;
    for (auto run = table.added.begin(); run != table.added.end(); ++run)
      if (visible(run->second)) made->runs.push_back({&*run, {}});
    // A scan under an older snapshot must not take away what the newest views go on with.
    if (!known) known = made;
    return made;
  }
  if (known.use_count() > 1) known = std::make_shared<PresentRuns>(*known);
  std::vector<PresentRun>& runs = known->runs;
  std::erase_if(runs, [&](const PresentRun& p) { return !visible(p.run->second); });
  const auto before = static_cast<std::ptrdiff_t>(runs.size());
  auto& in_order = table.added.in_order();
  auto next = std::upper_bound(in_order.begin(), in_order.end(), known->limit,
                               [](uint32_t sequence, const AddedRuns::Entry& run) {
                                 return sequence < run.second.sequence;
                               });
  for (; next != in_order.end() && next->second.sequence <= limit; ++next)
    if (visible(next->second)) runs.push_back({&*next, {}});
  std::sort(runs.begin() + before, runs.end(), begins_before);
  std::inplace_merge(runs.begin(), runs.begin() + before, runs.end(), begins_before);
  runs.erase(std::unique(runs.begin(), runs.end(),
                         [](const PresentRun& a, const PresentRun& b) { return a.run == b.run; }),
             runs.end());
  known->limit = limit;
  return known;
}

}  // namespace datahike::versioning
