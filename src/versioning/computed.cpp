#include "versioning/computed.h"

namespace datahike::versioning {

namespace {

// Lives as long as the overlay that is computed, and keeps alive what that is computed from.
struct Source {
  ComputedFrom from;
  std::vector<std::shared_ptr<Overlay>> overlays;
};

struct Computed {
  const ComputedFrom* from;
  std::shared_ptr<Overlay> overlay;  // owns `from`
};
constexpr size_t kComputedViews = 4;
std::vector<Computed> computed;  // most recently used first

bool same_view(const View& a, const View& b) {
  return a.overlay == b.overlay && a.limit == b.limit && a.branch == b.branch;
}

bool same(const ComputedFrom& a, const ComputedFrom& b) {
  return same_view(a.rows_of, b.rows_of) && a.without.has_value() == b.without.has_value() &&
         (!a.without || same_view(*a.without, *b.without));
}

void make_table(const ComputedFrom& from, uint64_t id, TableOverlay& table, tree::NodeSink& nodes) {
  set_rows(table, nodes, id, from.rows_of, rows_only_in(from.rows_of, *from.without, id));
}

Computed make(ComputedFrom from) {
  auto source = std::make_shared<Source>();
  source->overlays.push_back(from.rows_of.overlay->shared_from_this());
  if (from.without) source->overlays.push_back(from.without->overlay->shared_from_this());
  source->from = std::move(from);
  auto overlay =
      std::make_shared<Overlay>([source](uint64_t id, TableOverlay& table, tree::NodeSink& nodes) {
        make_table(source->from, id, table, nodes);
      });
  return {&source->from, overlay};
}

// The computed view, made anew unless it is among those used last.
View computed_view(ComputedFrom from) {
  auto known = std::find_if(computed.begin(), computed.end(),
                            [&](const Computed& c) { return same(*c.from, from); });
  if (known == computed.end()) {
    Computed made = make(std::move(from));
    if (computed.size() == kComputedViews) {
      retain_overlay(computed.back().overlay);
      computed.pop_back();
    }
    known = computed.insert(computed.end(), std::move(made));
  }
  std::rotate(computed.begin(), known, known + 1);
  const Computed& c = computed.front();
  const View& base = c.from->rows_of;
  return {c.overlay.get(), c.overlay->size(), base.branch, base.pinned, base.tx, c.from};
}

}  // namespace

View difference_view(const View& a, const View& b) { return computed_view({a, b}); }

void set_rows(TableOverlay& table, tree::NodeSink& nodes, uint64_t id, const View& rows_of,
              std::span<const tree::RowidRange> ranges) {
  AddedRuns& logged = rows_of.overlay->table(id).added;
  std::vector<tree::RowidRange> stored;
  uint64_t rows = 0, stored_rows = 0;
  for (const tree::RowidRange& range : ranges) {
    rows += range.count;
    for (uint64_t at = range.first, end = range.first + range.count; at < end;) {
      auto run = Overlay::find_added(rows_of.overlay->table(id), at);
      bool in_run = run != logged.end();
      auto next = in_run ? std::next(run) : logged.upper_bound(at);
      uint64_t last = in_run ? run->first + run->second.rows : end;
      if (!in_run && next != logged.end()) last = next->first;
      uint64_t count = std::min(last, end) - at;
      if (in_run && run->second.transaction) {
        AddedRun part = run->second;
        part.rows = count;
        part.sequence = 1;
        part.removed_rows = part.last_removal = 0;
        table.added[at] = part;
      } else {
        append_range(stored, at, count);
        stored_rows += count;
      }
      at += count;
    }
  }
  table.live = tree::update_live_set(nodes, {}, stored, {}, nullptr);
  table.live_rows = stored_rows;
  table.counts.push_back({1, rows});
}

}  // namespace datahike::versioning
