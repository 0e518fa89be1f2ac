#include "versioning/computed.h"

#include "pg/bridge.h"
#include "pg/pins.h"
#include "pg/store.h"
#include "versioning/redacted.h"
#include "versioning/row_origin.h"

namespace datahike::versioning {

namespace {

// Lives as long as the overlay that is computed, and keeps alive what that is computed from.
struct Source {
  ComputedFrom from;
  std::vector<std::shared_ptr<Overlay>> overlays;
};

struct Computed : Computation {
  uint64_t collections;  // pg::collections() when it was made
};
constexpr size_t kComputedViews = 4;
std::vector<Computed> computed;  // most recently used first

bool same_view(const View& a, const View& b) {
  return a.overlay == b.overlay && a.limit == b.limit && a.branch == b.branch &&
         a.pinned == b.pinned;
}

bool same_point(const std::optional<pg::AsOf>& a, const std::optional<pg::AsOf>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->is_tx == b->is_tx && a->tx == b->tx && a->time == b->time;
}

bool same(const ComputedFrom& a, const ComputedFrom& b) {
  return same_view(a.rows_of, b.rows_of) && a.without.has_value() == b.without.has_value() &&
         (!a.without || same_view(*a.without, *b.without)) &&
         same_point(a.unfolded_after, b.unfolded_after) && a.history_of == b.history_of &&
         a.after_tx == b.after_tx && a.after_time == b.after_time;
}

// Whether the transaction's commit on the branch came after the point. REQUIRES: it is folded.
bool is_after(const pg::AsOf& point, uint64_t xid, int32_t branch) {
  store::Environment& env = pg::open_store();
  for (const store::WrittenCommit& write : env.commits_of(xid)) {
    if (write.branch != static_cast<uint32_t>(branch)) continue;
    if (point.is_tx) return write.tx > point.tx;
    if (std::optional<store::Uuid> id = env.commit_by_tx(write.tx))
      return store::load_known_commit(env, *id).time > point.time;
  }
  throw CorruptError("transaction " + std::to_string(xid) + " is folded, but has no commit");
}

std::vector<tree::RowidRange> unfolded_rows(const View& view, const pg::AsOf& after, uint64_t id) {
  std::vector<tree::RowidRange> ranges;
  TableOverlay& table = view.overlay->table(id);
  std::unordered_map<uint64_t, bool> counts;  // by transaction
  for (const auto& [first, run] : table.added) {
    if (!run.transaction || run.sequence > view.limit) continue;
    uint64_t xid = run.transaction->xid;
    auto known = counts.find(xid);
    if (known == counts.end())
      known = counts.emplace(xid, is_after(after, xid, run.transaction->branch)).first;
    if (!known->second) continue;
    for (uint64_t i = 0; i < run.rows; ++i)
      if (view.overlay->is_live(table, first + i, view.limit)) append_range(ranges, first + i, 1);
  }
  return ranges;
}

// A row whose commit has been collected is part of history as long as it is live: of the time from
// which it is, no more is known than that it lies before what is kept.
bool is_in_history(const ComputedFrom& from, const store::Origin* origin, uint64_t table,
                   uint64_t rowid) {
  if (origin) return origin->tx > from.after_tx && origin->time > from.after_time;
  if (from.after_tx > 0 || from.after_time != INT64_MIN) return false;
  Overlay& overlay = *from.rows_of.overlay;
  return overlay.is_live(overlay.table(table), rowid, from.rows_of.limit);
}

// Rows of one commit come in ranges, so most are decided by the one before.
std::vector<tree::RowidRange> history_rows(const ComputedFrom& from, uint64_t table) {
  std::vector<tree::RowidRange> ranges;
  store::RowOrigins& origins = origins_of(*from.history_of);
  store::Environment& env = pg::open_store();
  tree::RowidRange decided;  // by the commit of `decided_xid`
  uint64_t decided_xid = 0;
  bool counts = false;
  for (uint64_t at = 0;;) {
    std::optional<store::SegmentReader> segment = env.segment_at_or_after(table, at);
    if (!segment) return ranges;
    for (uint32_t row = 0; row < segment->rows(); ++row) {
      if (segment->is_hole(row)) continue;
      uint64_t rowid = segment->first_rowid() + row, xid = segment->xid(row);
      if (xid != decided_xid || rowid - decided.first >= decided.count) {
        const store::Origin* origin = origins.added(table, rowid, xid);
        counts = is_in_history(from, origin, table, rowid);
        decided = origin ? origin->range_of(table, rowid) : tree::RowidRange{rowid, 1};
        decided_xid = xid;
      }
      if (counts && !is_redacted(rowid)) append_range(ranges, rowid, 1);
    }
    at = segment->last_rowid() + 1;
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
  }
}

// A look-up by an index decides for the rows that it meets; a scan makes the whole table.
void make_history(const ComputedFrom& from, uint64_t id, TableOverlay& table,
                  tree::NodeSink& nodes) {
  const ComputedFrom* f = &from;
  table.counts.push_back(
      {1, Overlay::count_rows(from.rows_of.overlay->table(id), from.rows_of.limit)});  // about
  table.contains = [f, id](uint64_t rowid) {
    return is_in_history(*f, row_origin(*f->history_of, id, rowid), id, rowid);
  };
  table.make_rest = [f, id, &table, &nodes] {
    std::vector<tree::RowidRange> ranges = history_rows(*f, id);
    table.counts.clear();
    set_rows(table, nodes, id, f->rows_of, ranges);
  };
}

// What was live when a table was emptied is told by the trees alone.
std::vector<tree::RowidRange> step_rows(const StepRows& step, uint64_t id) {
  const auto table =
      std::ranges::lower_bound(step.delta->tables, id, {}, &store::TableDelta::table);
  if (table == step.delta->tables.end() || table->table != id) return {};
  if (table->cleared)
    return rows_only_in(view_of_commit(step.of), view_of_commit(step.without), id);
  return step.added ? store::rows_made(*table) : store::rows_taken(*table);
}

void make_table(const ComputedFrom& from, uint64_t id, TableOverlay& table, tree::NodeSink& nodes) {
  if (from.history_of) return make_history(from, id, table, nodes);
  if (from.step) return set_rows(table, nodes, id, from.rows_of, step_rows(*from.step, id));
  set_rows(table, nodes, id, from.rows_of,
           from.unfolded_after ? unfolded_rows(from.rows_of, *from.unfolded_after, id)
                               : rows_only_in(from.rows_of, *from.without, id));
}

}  // namespace

Computation compute(const ComputedFrom& from) {
  auto source = std::make_shared<Source>();
  source->from = from;
  source->overlays.push_back(from.rows_of.overlay->shared_from_this());
  if (from.without) source->overlays.push_back(from.without->overlay->shared_from_this());
  auto overlay =
      std::make_shared<Overlay>([source](uint64_t id, TableOverlay& table, tree::NodeSink& nodes) {
        make_table(source->from, id, table, nodes);
      });
  return {&source->from, overlay};
}

View computed_view(const ComputedFrom& from) {
  refresh_redacted_rows();
  // All of history is read, whoever else reads what of it; and what was found may have been
  // collected since another transaction found it.
  if (from.history_of) pg::call([&] { pg::pin_commit(std::max<uint64_t>(from.after_tx, 1)); });
  const uint64_t collections = pg::collections();
  auto known = std::find_if(computed.begin(), computed.end(), [&](const Computed& c) {
    return c.collections == collections && same(*c.from, from);
  });
  if (known == computed.end()) {
    Computed made{compute(from), collections};
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

void set_rows(TableOverlay& table, tree::NodeSink& nodes, uint64_t id, const View& rows_of,
              std::span<const tree::RowidRange> ranges) {
  TableOverlay& base = rows_of.overlay->table(id);
  std::vector<tree::RowidRange> stored;
  uint64_t rows = 0, stored_rows = 0;
  for (const tree::RowidRange& range : ranges) {
    rows += range.count;
    for (uint64_t at = range.first, end = range.first + range.count; at < end;) {
      auto run = Overlay::find_added(base, at);
      bool in_run = run != base.added.end();
      auto next = in_run ? std::next(run) : base.added.upper_bound(at);
      uint64_t last = in_run ? run->first + run->second.rows : end;
      if (!in_run && next != base.added.end()) last = next->first;
      uint64_t count = std::min(last, end) - at;
      if (in_run && run->second.transaction) {
        AddedRun part = run->second;
        part.rows = count;
        part.sequence = 1;
        part.removed_rows = part.last_removal = 0;
        table.added.put(at, part);
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
