// The sweep: nodes, rows and lineage that no commit has any more, and tombstones beyond those that
// are remembered.
#include <algorithm>

#include "store/collector.h"
#include "store/horizon.h"
#include "store/maps.h"
#include "store/segment_copier.h"

namespace datahike::store {

namespace {

constexpr size_t kEntriesAtOnce = 20000;
constexpr uint64_t kErasedAtOnce = 8 << 20;  // bytes
// Ids of collected commits that are remembered, the newest ones: 3 MB or so.
constexpr size_t kMostTombstones = 65536;

// A segment without some of its rows is written anew where that makes it so much smaller.
constexpr size_t kWorthwhile = 4;  // a quarter

// What of a segment stays. Rows that go become holes.
std::vector<Bytes> rebuild(const SegmentReader& segment, const std::vector<uint32_t>& stay) {
  std::vector<Bytes> made;
  SegmentCopier copier([&](Bytes part) { made.push_back(std::move(part)); });
  for (const uint32_t row : stay) copier.add(segment, row, 1);
  copier.finish();
  return made;
}

}  // namespace

bool Collector::sweep(Environment& env, WriteBatch* batch) {
  bool done = true;
  switch (part_) {
    case Part::Nodes:
      done = sweep_nodes(env, batch);
      break;
    case Part::Rows:
      done = sweep_rows(env, batch);
      break;
    case Part::Lineage:
      done = sweep_lineage(env, batch);
      break;
    case Part::Writes:
      done = sweep_commit_numbers(env, batch, Map::Writes);
      break;
    case Part::Clears:
      done = sweep_commit_numbers(env, batch, Map::Clears);
      break;
    case Part::Tombstones:
      done = sweep_tombstones(env, batch);
      break;
    case Part::Done:
      return true;
  }
  if (done) {
    part_ = static_cast<Part>(static_cast<int>(part_) + 1);
    swept_to_.clear();
  }
  return part_ == Part::Done;
}

bool Collector::sweep_nodes(Environment& env, WriteBatch* batch) {
  size_t looked_at = 0;
  const uint64_t bytes_before = result_.bytes;
  bool done = true;
  env.scan(Map::Nodes, swept_to_, [&](ByteView key, ByteView value) {
    const auto id = ByteReader(key, "node id").fixed<uint64_t>();
    if (id >= next_node_) return false;
    if (++looked_at > kEntriesAtOnce || result_.bytes - bytes_before > kErasedAtOnce) {
      swept_to_.assign(key.begin(), key.end());
      return done = false;
    }
    if (nodes_.contains(id)) return true;
    ++result_.nodes;
    result_.bytes += value.size();
    if (batch) batch->erase(Map::Nodes, key);
    return true;
  });
  return done;
}

bool Collector::is_garbage(uint64_t table, uint64_t rowid, uint64_t xid) {
  return xid < options_.xmin && !rows_[table].contains(rowid);
}

bool Collector::sweep_rows(Environment& env, WriteBatch* batch) {
  size_t rows = 0;
  const uint64_t bytes_before = result_.bytes;
  bool done = true;
  env.scan(Map::Rows, swept_to_, [&](ByteView key, ByteView value) {
    if (rows > kEntriesAtOnce || result_.bytes - bytes_before > kErasedAtOnce) {
      swept_to_.assign(key.begin(), key.end());
      return done = false;
    }
    const SegmentReader segment(value);
    rows += segment.rows();
    sweep_segment(batch, get_big_endian(key.data()), segment);
    return true;
  });
  if (done && batch)
    for (uint64_t table : erased_) batch->put_meta(erased_rows_key(table), {});
  return done;
}

void Collector::sweep_segment(WriteBatch* batch, uint64_t table, const SegmentReader& segment) {
  std::vector<uint32_t> stay;
  uint64_t garbage = 0;
  for (uint32_t i = 0; i < segment.rows(); ++i) {
    if (segment.is_hole(i)) continue;
    if (is_garbage(table, segment.first_rowid() + i, segment.xid(i)))
      ++garbage;
    else
      stay.push_back(i);
  }
  const size_t before = segment.raw().size(), worthwhile = before - before / kWorthwhile;
  if (garbage == 0 || before * stay.size() / (stay.size() + garbage) > worthwhile) return;
  segment.verify();  // what is damaged stays as it is, to be found
  const std::vector<Bytes> made = rebuild(segment, stay);
  size_t after = 0;
  for (const Bytes& part : made) after += part.size();
  if (after > worthwhile) return;
  result_.rows += garbage;
  result_.bytes += before - after;
  erased_.insert(table);
  if (!batch) return;
  batch->erase_segment(table, segment.first_rowid());
  for (const Bytes& part : made) batch->put_segment(table, part);
}

// Lineage of rows that are gone, which no snapshot can come from any more, and which no commit that
// stays says.
bool Collector::sweep_lineage(Environment& env, WriteBatch* batch) {
  size_t looked_at = 0;
  uint64_t erased = 0;
  bool done = true;
  env.scan(Map::Lineage, swept_to_, [&](ByteView key, ByteView value) {
    if (++looked_at > kEntriesAtOnce || erased > kEntriesAtOnce / 4) {
      swept_to_.assign(key.begin(), key.end());
      return done = false;
    }
    const uint64_t table = get_big_endian(key.data()), rowid = get_big_endian(key.data() + 8);
    const Lineage lineage = decode_lineage(key, value);
    if (!is_garbage(table, rowid, lineage.xid) || removed_[table].contains(rowid)) return true;
    ++erased;
    result_.bytes += value.size();
    if (batch) batch->erase(Map::Lineage, key);
    return true;
  });
  return done;
}

// Entries of the maps that say which commit a transaction became, and which emptied a table.
bool Collector::sweep_commit_numbers(Environment& env, WriteBatch* batch, Map map) {
  size_t looked_at = 0;
  uint64_t erased = 0;
  bool done = true;
  if (!batch) return true;
  env.scan(map, swept_to_, [&](ByteView key, ByteView value) {
    if (++looked_at > kEntriesAtOnce || erased > kEntriesAtOnce / 4) {
      swept_to_.assign(key.begin(), key.end());
      return done = false;
    }
    const uint64_t tx =
        map == Map::Writes ? decode_write(key, value) : get_big_endian(key.data() + 8);
    if (tx >= options_.next_tx || env.commit_by_tx(tx)) return true;
    ++erased;
    result_.bytes += value.size();
    batch->erase(map, key);
    return true;
  });
  return done;
}

// Whoever names a collected commit is told so, as long as it is remembered. What commits that stay
// name as parents is, always; of the others the newest.
bool Collector::sweep_tombstones(Environment& env, WriteBatch* batch) {
  if (!batch || env.statistics().tombstones < 2 * kMostTombstones) return true;
  std::vector<Candidate> others;
  env.scan(Map::Tombstones, {}, [&](ByteView key, ByteView value) {
    Uuid id{};
    std::ranges::copy(key.first(id.size()), id.begin());
    if (!named_tombstones_.count(id)) others.push_back({decode_tombstone(key, value).tx, id});
    return true;
  });
  std::ranges::sort(others, {}, &Candidate::tx);
  const size_t keep = std::min(others.size(), kMostTombstones);
  others.resize(others.size() - keep);
  for (const Candidate& old : others) batch->erase(Map::Tombstones, old.id);
  return true;
}

}  // namespace datahike::store
