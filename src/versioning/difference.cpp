// Container by container: what can differ at all are the containers in which the two trees do, and
// those that a delta or the transaction itself touches.
#include "versioning/difference.h"

#include <bit>
#include <set>

#include "pg/bridge.h"
#include "versioning/redacted.h"

namespace datahike::versioning {

namespace {

constexpr uint64_t kRowsPerContainer = 65536;

// One side's live rows, by container.
class LiveRows {
 public:
  LiveRows(const Side& side, uint64_t table)
      : view_(side.view), own_(side.own), table_(side.view.overlay->table(table)) {
    clear_ = Overlay::last_clear(table_, view_.limit);
    for (const auto& [rowid, removal] : table_.removed)
      if (removal.sequence <= view_.limit) removed_.push_back(rowid);
    std::sort(removed_.begin(), removed_.end());
  }

  bool has_committed() const { return !own_ || !own_->cleared; }
  bool has_tree() const { return has_committed() && clear_ == 0 && !table_.live.empty(); }
  tree::NodeRef tree() const { return has_tree() ? table_.live : tree::NodeRef{}; }
  tree::NodeSource& nodes() const { return view_.overlay->nodes(); }

  // Containers to which something has been added on top of the tree, or in which it has been
  // removed.
  void note_added(std::set<uint64_t>& highs) const {
    if (has_committed())
      for (const auto& [first, run] : table_.added)
        if (counts(run)) note(highs, first, run.rows);
    if (own_)
      for (const tree::RowidRange& range : own_->added) note(highs, range.first, range.count);
  }
  void note_removed(std::set<uint64_t>& highs) const {
    for (uint64_t rowid : removed_) highs.insert(rowid >> 16);
    if (own_)
      for (uint64_t rowid : own_->removed) highs.insert(rowid >> 16);
  }

  tree::Container container(uint64_t high) const {
    tree::Container c;
    if (has_tree()) tree::find_container(nodes(), table_.live, high, &c);
    if (has_committed()) {
      add_runs(high, c);
      remove(removed_, high, c);
      leave_out_redacted(high, c);
    }
    if (!own_) return c;
    for (const tree::RowidRange& range : own_->added) add(high, range.first, range.count, c);
    remove(own_->removed, high, c);
    return c;
  }

 private:
  bool counts(const AddedRun& run) const {
    return run.sequence <= view_.limit && run.sequence >= clear_;
  }
  static void note(std::set<uint64_t>& highs, uint64_t first, uint64_t count) {
    for (uint64_t high = first >> 16; high <= (first + count - 1) >> 16; ++high) highs.insert(high);
  }
  static void add(uint64_t high, uint64_t first, uint64_t count, tree::Container& c) {
    uint64_t begin = high << 16, end = begin + kRowsPerContainer;
    uint64_t from = std::max(first, begin), to = std::min(first + count, end);
    if (from < to) c.add_range(static_cast<uint16_t>(from), static_cast<uint16_t>(to - 1));
  }
  void add_runs(uint64_t high, tree::Container& c) const {
    uint64_t begin = high << 16;
    auto run = Overlay::find_added(table_, begin);
    if (run == table_.added.end()) run = table_.added.lower_bound(begin);
    for (; run != table_.added.end() && run->first < begin + kRowsPerContainer; ++run)
      if (counts(run->second)) add(high, run->first, run->second.rows, c);
  }
  static void remove(const std::vector<uint64_t>& removed, uint64_t high, tree::Container& c) {
    auto at = std::lower_bound(removed.begin(), removed.end(), high << 16);
    for (; at != removed.end() && *at >> 16 == high; ++at) c.remove(static_cast<uint16_t>(*at));
  }

  const View& view_;
  const OwnChanges* own_;
  TableOverlay& table_;
  uint32_t clear_;
  std::vector<uint64_t> removed_;  // by the view's deltas, ascending
};

std::set<uint64_t> containers_that_may_differ(const LiveRows& a, const LiveRows& b) {
  std::set<uint64_t> highs;
  if (a.has_tree())
    tree::diff_containers(a.nodes(), b.tree(), a.tree(),
                          [&](uint64_t high) { highs.insert(high); });
  a.note_added(highs);
  b.note_removed(highs);
  return highs;
}

}  // namespace

std::vector<tree::RowidRange> rows_only_in(const Side& side_a, const Side& side_b, uint64_t table) {
  std::vector<tree::RowidRange> ranges;
  LiveRows a(side_a, table), b(side_b, table);
  for (uint64_t high : containers_that_may_differ(a, b)) {
    tree::Container in_a = a.container(high);
    if (in_a.count == 0) continue;
    tree::Container in_b = b.container(high);
    for (size_t w = 0; w < in_a.words.size(); ++w)
      for (uint64_t bits = in_a.words[w] & ~in_b.words[w]; bits; bits &= bits - 1)
        append_range(ranges, high << 16 | w << 6 | static_cast<uint64_t>(std::countr_zero(bits)),
                     1);
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
  }
  return ranges;
}

}  // namespace datahike::versioning
