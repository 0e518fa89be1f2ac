#include "am/row_cursor.h"

#include <bit>

#include "am/slot.h"
#include "pg/bridge.h"
#include "pg/store.h"
#include "versioning/redacted.h"

namespace datahike::am {

namespace {

// The next member above `bit`, or 65536.
int next_bit(const tree::Container& c, int bit) {
  unsigned at = static_cast<unsigned>(bit + 1);
  if (at >= 65536) return 65536;
  uint64_t word = c.words[at >> 6] >> (at & 63) << (at & 63);
  for (size_t w = at >> 6;;) {
    if (word) return static_cast<int>(w * 64 + static_cast<unsigned>(std::countr_zero(word)));
    if (++w == c.words.size()) return 65536;
    word = c.words[w];
  }
}

// The next member below `bit`, or -1.
int previous_bit(const tree::Container& c, int bit) {
  if (bit <= 0) return -1;
  unsigned at = static_cast<unsigned>(bit - 1);
  uint64_t word = c.words[at >> 6] << (63 - (at & 63)) >> (63 - (at & 63));
  for (size_t w = at >> 6;;) {
    if (word) return static_cast<int>(w * 64 + 63 - static_cast<unsigned>(std::countl_zero(word)));
    if (w-- == 0) return -1;
    word = c.words[w];
  }
}

// The entry of an ordered map that follows (or precedes) key `first`; without one, the first
// (last).
template <class Map>
auto neighbour(Map& map, bool has, uint64_t first, bool forward) {
  if (forward) return has ? map.upper_bound(first) : map.begin();
  auto at = has ? map.lower_bound(first) : map.end();
  return at == map.begin() ? map.end() : std::prev(at);
}

uint64_t rows_of(const versioning::AddedRun& run) { return run.rows; }
uint64_t rows_of(const PendingRun& run) { return run.count; }

// The run that holds `rowid`, or else the next one.
template <class Runs>
auto first_run_with(Runs& runs, uint64_t rowid) {
  auto next = runs.upper_bound(rowid);
  if (next == runs.begin()) return next;
  auto run = std::prev(next);
  return rowid - run->first < rows_of(run->second) ? run : next;
}

// Rows in the log lie here and there in memory.
constexpr size_t kRunsAhead = 4;

void prefetch(const versioning::PresentRun& run) {
  if (!run.is_open) return;
  const ByteView bytes = run.segment.raw();
  for (size_t at = 0; at < std::min<size_t>(bytes.size(), 192); at += 64)
    __builtin_prefetch(bytes.data() + at);
}

}  // namespace

std::vector<uint64_t> removed_rows(const TableView& view) {
  std::vector<uint64_t> rows;
  for (const auto& [rowid, removal] : view.table->removed)
    if (removal.sequence <= view.view.limit) rows.push_back(rowid);
  if (TablePending* own = view.pending())
    for (const auto& [rowid, removal] : own->removed)
      if (own_removed(*own, rowid, view.command)) rows.push_back(rowid);
  std::sort(rows.begin(), rows.end());
  return rows;
}

void RowCursor::limit_to(uint64_t first, uint64_t last) {
  first_ = std::max(first, view_.floor);
  last_ = last;
  rewind();
}

void RowCursor::rewind() {
  started_ = false;
  has_segment_ = false;
}

bool RowCursor::has_committed_below(uint64_t rowid) {
  limit_to(0, rowid - 1);
  bool found = false;
  for (Phase phase : {Base, Overlay}) {
    if (found) break;
    enter(phase, true);
    found = step_in_phase(true);
  }
  limit_to(0, UINT64_MAX);
  return found;
}

bool RowCursor::is_removed(uint64_t rowid) const {
  if (versioning::is_redacted(rowid)) return true;
  if (!view_.table->removed.empty()) {
    const versioning::RemovedRow* r = versioning::Overlay::find_removed(*view_.table, rowid);
    if (r && r->sequence <= view_.view.limit) return true;
  }
  TablePending* own = view_.pending();
  return own && (own_cleared(*own, view_.command) || own_removed(*own, rowid, view_.command));
}

bool RowCursor::step(bool forward) {
  if (!started_) phase_ = forward ? Before : After;
  started_ = true;
  for (;;) {
    if (step_in_phase(forward)) return true;
    if (phase_ == (forward ? After : Before)) return false;
    enter(static_cast<Phase>(phase_ + (forward ? 1 : -1)), forward);
  }
}

bool RowCursor::step_in_phase(bool forward) {
  switch (phase_) {
    case Base:
      return step_base(forward);
    case Overlay:
      return step_overlay(forward);
    case Own:
      return step_own(forward);
    default:
      return false;
  }
}

bool RowCursor::base_is_cleared() const {
  TablePending* own = view_.pending();
  return versioning::Overlay::last_clear(*view_.table, view_.view.limit) > 0 ||
         (own && own_cleared(*own, view_.command));
}

std::optional<uint64_t> RowCursor::first_occupied(uint64_t rowid) {
  rewind();
  rowid = std::max(rowid, view_.floor);
  std::optional<uint64_t> found;
  auto run = first_run_with(view_.table->added, rowid);
  if (run != view_.table->added.end()) found = std::max(rowid, run->first);
  if (TablePending* own = view_.pending())
    if (auto next = first_run_with(own->runs, rowid); next != own->runs.end())
      found = std::min(std::max(rowid, next->first), found.value_or(UINT64_MAX));
  if (view_.table->live.empty() || base_is_cleared()) return found;
  tree::ContainerCursor containers(view_.view.overlay->nodes(), view_.table->live);
  containers.seek(rowid >> 16);
  if (containers.valid() && containers.high() == rowid >> 16) {
    auto container = std::make_unique<tree::Container>();
    containers.load(container.get());
    int bit = next_bit(*container, static_cast<int>(rowid & 0xffff) - 1);
    if (bit < 65536) {
      uint64_t row = containers.high() << 16 | static_cast<unsigned>(bit);
      return std::min(row, found.value_or(row));
    }
    containers.next();
  }
  if (!containers.valid()) return found;
  return std::min(containers.high() << 16, found.value_or(UINT64_MAX));
}

void RowCursor::enter(Phase phase, bool forward) {
  phase_ = phase;
  has_run_ = false;
  if (phase != Base) return;
  containers_.reset();
  stored_.reset();
  if (base_is_cleared() || view_.table->live.empty()) return;
  stored_ = versioning::present_stored(*view_.view.overlay, *view_.table, view_.view.limit);
  if (stored_) {
    enter_stored(forward);
    return;
  }
  if (!container_) container_ = std::make_unique<tree::Container>();
  containers_ =
      std::make_unique<tree::ContainerCursor>(view_.view.overlay->nodes(), view_.table->live);
  if (!forward)
    containers_->last();
  else if (first_ > 0)
    containers_->seek(first_ >> 16);
  else
    containers_->first();
  if (load_container() && forward && high_ > last_ >> 16) containers_.reset();
  bit_ = forward ? bit_before(first_) : 65536;
}

// Where a scan begins in the container at hand whose first row is `first`.
int RowCursor::bit_before(uint64_t first) const {
  return containers_ && containers_->valid() && high_ == first >> 16
             ? static_cast<int>(first & 0xffff) - 1
             : -1;
}

bool RowCursor::load_container() {
  if (!containers_->valid()) return false;
  high_ = containers_->high();
  containers_->load(container_.get());
  const bool tested = filter_ && container_->count >= RowFilter::kFewRows;
  if (tested && high_ >= first_ >> 16 && high_ <= last_ >> 16) leave_out();
  return true;
}

// Rows of the container that do not pass. Those that the view has not got are none that were left
// out.
void RowCursor::leave_out() {
  tree::Container before = *container_;
  filter_->narrow(view_, high_, first_, last_, *container_);
  versioning::leave_out_redacted(high_, before);
  if (!removed_) removed_ = removed_rows(view_);
  auto at = std::lower_bound(removed_->begin(), removed_->end(), high_ << 16);
  for (; at != removed_->end() && *at >> 16 == high_; ++at)
    before.remove(static_cast<uint16_t>(*at));
  uint64_t count = 0;
  for (size_t i = 0; i < before.words.size(); ++i)
    count += static_cast<uint64_t>(std::popcount(before.words[i] & ~container_->words[i]));
  left_out_ += count;
  filter_->count(count);
}

void RowCursor::enter_stored(bool forward) {
  const std::vector<uint64_t>& rows = stored_->rows;
  stored_at_ = forward ? std::lower_bound(rows.begin(), rows.end(), first_) - rows.begin() - 1
                       : std::upper_bound(rows.begin(), rows.end(), last_) - rows.begin();
}

// What the deltas have removed is not among the rows.
bool RowCursor::step_stored(bool forward) {
  const std::vector<uint64_t>& rows = stored_->rows;
  TablePending* own = view_.pending();
  for (stored_at_ += forward ? 1 : -1;
       stored_at_ >= 0 && stored_at_ < static_cast<int64_t>(rows.size());
       stored_at_ += forward ? 1 : -1) {
    rowid_ = rows[static_cast<size_t>(stored_at_)];
    if (!in_range(rowid_)) return false;
    if (versioning::is_redacted(rowid_)) continue;
    if (own && (own_cleared(*own, view_.command) || own_removed(*own, rowid_, view_.command)))
      continue;
    return true;
  }
  return false;
}

bool RowCursor::step_base(bool forward) {
  if (stored_) return step_stored(forward);
  if (!containers_) return false;
  while (containers_->valid()) {
    bit_ = forward ? next_bit(*container_, bit_) : previous_bit(*container_, bit_);
    if (bit_ == 65536 || bit_ == -1) {
      if (forward)
        containers_->next();
      else
        containers_->prev();
      if (!load_container()) break;
      if (forward ? high_ > last_ >> 16 : high_ < first_ >> 16) break;
      bit_ = forward ? -1 : 65536;
      pg::call([] { CHECK_FOR_INTERRUPTS(); });
      continue;
    }
    rowid_ = high_ << 16 | static_cast<unsigned>(bit_);
    if (forward && rowid_ > last_) return false;
    if (in_range(rowid_) && !is_removed(rowid_)) return true;
  }
  return false;
}

uint64_t RowCursor::skip(uint64_t rows) {
  uint64_t done = 0;
  while (done < rows) {
    done += skip_base(rows - done);
    if (done == rows || !step(true)) break;
    ++done;
  }
  return done;
}

// Over whole words of the container at hand, where the live set says all there is to know. What is
// left of `rows` lies within the next word, or behind the container.
uint64_t RowCursor::skip_base(uint64_t rows) {
  const bool plain = last_ == UINT64_MAX && view_.table->removed.empty() && !view_.pending() &&
                     !versioning::known_redacted_rows;
  if (!started_ || phase_ != Base || !containers_ || !containers_->valid() || !plain) return 0;
  uint64_t done = 0;
  for (auto next = static_cast<unsigned>(bit_ + 1); next < 65536; next = (next | 63) + 1) {
    const auto more =
        static_cast<uint64_t>(std::popcount(container_->words[next >> 6] >> (next & 63)));
    if (done + more > rows) break;
    done += more;
    bit_ = static_cast<int>(next | 63);
  }
  return done;
}

// To the next run that the view has rows of; false behind the last.
bool RowCursor::step_run(bool forward) {
  const std::vector<versioning::PresentRun>& runs = present_->runs;
  size_t next = present_at_;
  if (forward) {
    next = has_run_ ? next + 1 : present_->first_with(first_);
    if (next >= runs.size() || runs[next].first > last_) return false;
  } else {
    if (!has_run_) next = present_->first_behind(last_);
    if (next == 0) return false;
    --next;
    if (runs[next].first + runs[next].rows <= first_) return false;
  }
  present_at_ = next;
  if (forward && next + kRunsAhead < runs.size()) prefetch(runs[next + kRunsAhead]);
  return has_run_ = true;
}

bool RowCursor::step_overlay(bool forward) {
  TablePending* own = view_.pending();
  if (own && own_cleared(*own, view_.command)) return false;
  if (!present_) present_ = versioning::present_runs(*view_.table, view_.view.limit);
  for (;;) {
    if (has_run_) {
      const versioning::PresentRun& run = present_->runs[present_at_];
      index_ += forward ? 1 : -1;
      if (index_ >= 0 && index_ < static_cast<int64_t>(run.rows)) {
        rowid_ = run.first + static_cast<uint64_t>(index_);
        const bool removed = run.is_whole ? versioning::is_redacted(rowid_) ||
                                                (own && own_removed(*own, rowid_, view_.command))
                                          : is_removed(rowid_);
        if (!removed && in_range(rowid_)) return true;
        continue;
      }
    }
    if (!step_run(forward)) return false;
    index_ = forward ? -1 : static_cast<int64_t>(present_->runs[present_at_].rows);
  }
}

// The current row, of the overlay, where its transaction's log rows have it.
bool RowCursor::fetch_unfolded(Relation relation, const RelationInfo& info, TupleTableSlot* slot) {
  versioning::PresentRun& present = present_->runs[present_at_];
  if (!present.is_open) {
    if (!present.run->second.transaction) return false;
    const versioning::FoundRow found =
        versioning::load_row(present.run->second, view_.table_id, rowid_);
    if (found.in_store) {  // the log has been purged of it
      store_segment_row(slot, relation, info, rowid_, found.segment, found.row, true);
      return true;
    }
    present.segment = found.segment;
    present.is_open = true;
  }
  const auto row = static_cast<uint32_t>(rowid_ - present.segment.first_rowid());
  store_segment_row(slot, relation, info, rowid_, present.segment, row, false);
  return true;
}

// To the next run that has rows up to `last_`, and there before the first row that is looked for.
bool RowCursor::step_own_run(TablePending& own, bool forward) {
  auto next = forward && !has_run_ ? first_run_with(own.runs, first_)
                                   : neighbour(own.runs, has_run_, run_first_, forward);
  if (next == own.runs.end() || (forward && next->first > last_)) return false;
  run_first_ = next->first;
  has_run_ = true;
  if (forward)
    index_ = static_cast<int64_t>(std::max(first_, run_first_) - run_first_) - 1;
  else
    index_ = static_cast<int64_t>(next->second.count);
  return true;
}

// Runs may be added while the scan is under way, and go with a subtransaction: found by key each
// time.
bool RowCursor::step_own(bool forward) {
  for (;;) {
    TablePending* own = view_.pending();
    if (!own) return false;
    if (has_run_) {
      auto run = own->runs.find(run_first_);
      index_ += forward ? 1 : -1;
      if (run != own->runs.end() && index_ >= 0 &&
          index_ < static_cast<int64_t>(run->second.count)) {
        rowid_ = run_first_ + static_cast<uint64_t>(index_);
        if (forward && rowid_ > last_) return false;
        if (in_range(rowid_) && own_row_visible(*own, run->second, rowid_, view_.command))
          return true;
        continue;
      }
    }
    if (!step_own_run(*own, forward)) return false;
  }
}

void RowCursor::fetch(Relation relation, const RelationInfo& info, TupleTableSlot* slot) {
  if (phase_ == Own) {
    fetch_row(view_, relation, info, rowid_, slot);
    return;
  }
  if (phase_ == Overlay && fetch_unfolded(relation, info, slot)) return;
  // Of a small table of which rows are changed, as long as some of the old ones are left. Else
  // most rows lie in one segment, which is looked up once.
  const bool copied = phase_ == Base && stored_ && stored_->removals > 0;
  if (copied) {
    if (const store::SegmentReader* copy = stored_->copies->find(rowid_)) {
      const auto row = static_cast<uint32_t>(rowid_ - copy->first_rowid());
      store_segment_row(slot, relation, info, rowid_, *copy, row, false);
      return;
    }
  }
  bool in_store = phase_ == Base;
  store::Environment* env = pg::try_store();
  bool stale = !has_segment_ || rowid_ < segment_.first_rowid() || rowid_ > segment_.last_rowid() ||
               (env && generation_ != env->generation()) ||
               segment_.is_hole(static_cast<uint32_t>(rowid_ - segment_.first_rowid()));
  if (in_store && !stale) {
    store_segment_row(slot, relation, info, rowid_, segment_,
                      static_cast<uint32_t>(rowid_ - segment_.first_rowid()), true);
    return;
  }
  std::optional<versioning::FoundRow> found;
  if (!in_store) {
    found = versioning::find_row(view_.view, *view_.table, view_.table_id, rowid_);
  } else if (auto segment = env ? env->segment(view_.table_id, rowid_) : std::nullopt) {
    auto row = static_cast<uint32_t>(rowid_ - segment->first_rowid());
    found = versioning::FoundRow{*segment, row, true};
  }
  if (!found)
    throw CorruptError("row " + std::to_string(rowid_) + " of table " +
                       RelationGetRelationName(relation) + " is live but missing in the store");
  store_segment_row(slot, relation, info, rowid_, found->segment, found->row, found->in_store);
  if (!found->in_store) return;
  if (copied) stored_->copies->add(found->segment);
  segment_ = found->segment;
  has_segment_ = true;
  generation_ = env->generation();
}

}  // namespace datahike::am
