#include "store/segment_joiner.h"

#include <algorithm>

#include "column/decompress.h"
#include "store/maps.h"
#include "store/segment_copier.h"

namespace datahike::store {

namespace {

constexpr size_t kMostLookedAt = 4096;               // segments in a step
constexpr size_t kMostCopied = kSegmentTargetBytes;  // raw bytes in a step
constexpr uint32_t kFullRows = kMaxSegmentRows / 2;
constexpr size_t kFullBytes = kSegmentTargetBytes / 2;  // raw
// In the background, a group is joined if it is so many times as large as the largest in it.
constexpr size_t kTier = 4;
constexpr size_t kMostInGroup = 64;  // of nodes that are looked at for one group
constexpr size_t kSurveyAtOnce = 20000;
constexpr size_t kManySmall = kTier;  // fewer make no group
// What a segment costs beside its bytes: the entry of the map.
constexpr size_t kEntryBytes = 64;

// Bytes of the values before encoding. Of byte strings a few are looked at.
size_t estimate_raw_bytes(const SegmentReader& segment) {
  constexpr uint32_t kSample = 16;
  const uint32_t step = std::max(segment.rows() / kSample, uint32_t{1});
  size_t bytes = 0;
  column::ShortScratch scratch;
  for (int column = 0; column < segment.columns(); ++column) {
    const ColumnSpec spec = segment.spec(column);
    if (column::is_word(spec.kind)) {
      bytes += column::word_bytes(spec.kind) * size_t{segment.rows()};
      continue;
    }
    size_t found = 0, looked = 0;
    for (uint32_t row = 0; row < segment.rows(); row += step) {
      if (segment.is_hole(row)) continue;
      ++looked;
      if (segment.is_null(column, row)) continue;
      const StoredBytes value = segment.stored(column, row, scratch);
      found += value.compressed ? column::weight_of_compressed(value.bytes) : value.bytes.size();
    }
    if (looked > 0) bytes += found * segment.rows() / looked;
  }
  return bytes;
}

bool is_small(const SegmentReader& segment) {
  return segment.raw().size() < kSmallSegmentBytes && segment.rows() < kFullRows;
}

bool is_full(size_t raw) { return raw >= kFullBytes; }

}  // namespace

void SegmentJoiner::clear() {
  places_.clear();
  ranges_.clear();
}

void SegmentJoiner::add_all_tables(Environment& env) {
  for (uint64_t table = 0;;) {
    bool found = false;
    env.scan(Map::Rows, row_key(table, 0), [&](ByteView key, ByteView) {
      table = get_big_endian(key.data());
      found = true;
      return false;
    });
    if (!found) return;
    add_table(table);
    if (++table == 0) return;
  }
}

// `rows`: how many the segment that is to hold both has up to the end of `a`.
bool SegmentJoiner::may_join(const SegmentReader& a, const SegmentReader& b, uint64_t rows,
                             uint64_t settled) const {
  if (!same_columns(a, b)) return false;
  const uint64_t gap = b.first_rowid() - (a.last_rowid() + 1);
  if (gap == 0) return true;
  return gap <= most_holes(rows) && (mode_ == Mode::All || a.xid(a.rows() - 1) < settled);
}

// Where the run begins that the place is in.
uint64_t SegmentJoiner::start_of(Environment& env, uint64_t table, uint64_t rowid,
                                 uint64_t settled) const {
  std::optional<SegmentReader> right = env.segment_at_or_after(table, rowid);
  if (!right || !is_small(*right)) return rowid;
  const uint64_t least = table == done_table_ ? done_to_ : 0;
  for (size_t i = 0; i < kMostLookedAt / 4 && right->first_rowid() > 0; ++i) {
    const auto left = env.segment_at_or_before(table, right->first_rowid() - 1);
    if (!left || left->first_rowid() < least || !is_small(*left) ||
        !may_join(*left, *right, left->rows(), settled) || is_full(estimate_raw_bytes(*left)))
      break;
    right = left;
  }
  return right->first_rowid();
}

// The neighbours from `from` on that may be in one segment. Empty: there is no segment any more.
SegmentJoiner::Run SegmentJoiner::collect(Environment& env, uint64_t table, uint64_t from,
                                          uint64_t settled) {
  Run run;
  uint64_t rows = 0;
  size_t raw = 0;
  while (const auto segment = env.segment_at_or_after(table, from)) {
    ++looked_at_;
    if (!run.members.empty() && !may_join(run.members.back().segment, *segment, rows, settled))
      break;
    const size_t own = is_small(*segment) ? estimate_raw_bytes(*segment) : kSegmentTargetBytes;
    const bool alone = is_full(own) || (segment->rows() == 1 && own >= kLargeValueBytes);
    if (alone && !run.members.empty()) break;
    run.members.push_back({*segment, own});
    if (alone) break;
    rows += segment->rows();
    raw += own;
    from = segment->last_rowid() + 1;
    run.cut = looked_at_ >= kMostLookedAt || raw >= 4 * kMostCopied;
    if (run.cut) break;
  }
  return run;
}

// The largest groups that fit into a segment.
std::vector<SegmentJoiner::Group> SegmentJoiner::all_of(const Run& run) const {
  std::vector<Group> groups;
  const auto& members = run.members;
  for (size_t begin = 0; begin < members.size();) {
    size_t end = begin + 1, raw = members[begin].raw;
    while (end < members.size() && raw + members[end].raw <= kSegmentTargetBytes &&
           members[end].end() - members[begin].segment.first_rowid() <= kMaxSegmentRows)
      raw += members[end++].raw;
    groups.push_back({begin, end});
    begin = end;
  }
  return groups;
}

// Groups of segments of about the same size, and groups of such groups: kTier times as large as
// the largest member, at least.
std::vector<SegmentJoiner::Group> SegmentJoiner::tiers_of(const Run& run) const {
  struct Node {
    size_t begin, end, raw;
  };
  std::vector<Node> stack;
  const auto rowid = [&](const Node& node) {
    return run.members[node.begin].segment.first_rowid();
  };
  for (size_t i = 0; i < run.members.size(); ++i) {
    stack.push_back({i, i + 1, run.members[i].raw + 1});
    for (;;) {
      size_t raw = 0, largest = 0, best = stack.size();
      for (size_t at = stack.size(); at-- > 0 && stack.size() - at <= kMostInGroup;) {
        raw += stack[at].raw;
        largest = std::max(largest, stack[at].raw);
        if (raw > kSegmentTargetBytes || run.members[i].end() - rowid(stack[at]) > kMaxSegmentRows)
          break;
        if (raw >= kTier * largest) best = at;
      }
      if (best + 1 >= stack.size()) break;
      Node joined = {stack[best].begin, i + 1, 0};
      for (size_t at = best; at < stack.size(); ++at) joined.raw += stack[at].raw;
      stack.resize(best);
      stack.push_back(joined);
    }
  }
  std::vector<Group> groups;
  for (const Node& node : stack) groups.push_back({node.begin, node.end});
  return groups;
}

std::vector<SegmentJoiner::Group> SegmentJoiner::groups_of(const Run& run) const {
  return mode_ == Mode::All ? all_of(run) : tiers_of(run);
}

void SegmentJoiner::join(const Run& run, const Group& group,
                         const std::function<WriteBatch&()>& begin) {
  std::vector<Bytes> made;
  SegmentCopier copier([&](Bytes segment) { made.push_back(std::move(segment)); });
  size_t before = 0, after = 0;
  for (size_t i = group.begin; i < group.end; ++i) {
    copier.add(run.members[i].segment);
    before += run.members[i].segment.raw().size() + kEntryBytes;
  }
  copier.finish();
  for (const Bytes& segment : made) after += segment.size() + kEntryBytes;
  if (made.size() >= group.end - group.begin || after > before) return;
  WriteBatch& batch = begin();
  for (size_t i = group.begin; i < group.end; ++i)
    batch.erase_segment(table_, run.members[i].segment.first_rowid());
  for (const Bytes& segment : made) batch.put_segment(table_, segment);
  result_.before += group.end - group.begin;
  result_.after += made.size();
  result_.bytes += after;
}

void SegmentJoiner::step(Environment& env, const std::function<WriteBatch&()>& begin,
                         uint64_t settled) {
  looked_at_ = copied_ = 0;
  done_table_ = done_to_ = 0;
  while (!done() && looked_at_ < kMostLookedAt && copied_ < kMostCopied) {
    const bool ranged = !ranges_.empty();
    uint64_t from;
    if (ranged) {
      table_ = ranges_.front().table;
      from = ranges_.front().next;
    } else {
      const auto& [place, leftwards] = *places_.begin();
      table_ = place.first;
      from = leftwards ? start_of(env, table_, place.second, settled) : place.second;
    }
    const Run run = collect(env, table_, from, settled);
    uint64_t end = run.members.empty() ? UINT64_MAX : run.members.back().end();
    const std::vector<Group> groups = groups_of(run);
    for (size_t i = 0; i < groups.size(); ++i) {
      const Group& group = groups[i];
      const uint64_t first = run.members[group.begin].segment.first_rowid();
      // Of a run that goes on the last group may, too; and the next step goes on where this ends.
      if (i > 0 && (copied_ >= kMostCopied || (run.cut && i + 1 == groups.size()))) {
        end = first;
        break;
      }
      if (group.end - group.begin < 2) continue;
      for (size_t at = group.begin; at < group.end; ++at) copied_ += run.members[at].raw;
      join(run, group, begin);
    }
    done_table_ = table_;
    done_to_ = end;
    if (ranged) {
      ranges_.front().next = end;
      if (run.members.empty()) ranges_.pop_front();
      continue;
    }
    places_.erase(places_.begin(), places_.lower_bound({table_, end}));
    const bool goes_on = !run.members.empty() && (run.cut || end < run.members.back().end());
    // Not leftwards, also where a place is: who has been looked at without being joined would be
    // looked at by the next step again, and by all that follow.
    if (goes_on) places_.insert_or_assign({table_, end}, false);
  }
}

bool has_small_neighbours(Environment& env, uint64_t table) {
  uint64_t last = UINT64_MAX;
  bool small_before = false, found = false;
  env.scan(Map::Rows, row_key(table, 0), [&](ByteView key, ByteView value) {
    if (get_big_endian(key.data()) != table) return false;
    const bool small = value.size() < kSmallSegmentBytes;
    found = small && small_before && last != UINT64_MAX;
    small_before = small;
    last = get_big_endian(key.data() + 8);
    return !found;
  });
  return found;
}

bool SegmentSurvey::step(Environment& env, SegmentJoiner& joiner) {
  size_t looked_at = 0, small = 0;
  uint64_t table = 0;
  bool done = true;
  env.scan(Map::Rows, next_, [&](ByteView key, ByteView value) {
    if (++looked_at > kSurveyAtOnce) {
      next_.assign(key.begin(), key.end());
      return done = false;
    }
    if (value.size() >= kSmallSegmentBytes || get_big_endian(key.data()) != table) small = 0;
    table = get_big_endian(key.data());
    // Whatever lies between them, of those that make a group this is in one of so many.
    if (value.size() < kSmallSegmentBytes && ++small % kManySmall == 0)
      joiner.add_place(table, get_big_endian(key.data() + 8));
    return true;
  });
  return done;
}

}  // namespace datahike::store
