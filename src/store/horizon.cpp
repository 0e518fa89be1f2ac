// Entries of map meta:
//
//   "fold_marks"       -> mark*                   ascending
//   "horizon/" table   -> mark kept*              table: decimal digits
//   "erased_rows/" table -> (empty)               rows of the table have been collected
//   mark               := last_tx:u64 time:i64 xmin:u64 xmax:u64
//   kept               := tx:u64 node id:u64 hash:u8[32]
#include "store/horizon.h"

#include <algorithm>

namespace datahike::store {

namespace {

constexpr const char* kMarksKey = "fold_marks";
constexpr int64_t kMarksPerAge = 16;
constexpr int64_t kLeastDistanceUs = 20'000;

constexpr const char* kHorizonPrefix = "horizon/";
std::string horizon_key(uint64_t table) { return kHorizonPrefix + std::to_string(table); }

void write_mark(ByteWriter& out, const FoldMark& mark) {
  out.fixed(mark.last_tx);
  out.fixed(mark.time);
  out.fixed(mark.xmin);
  out.fixed(mark.xmax);
}

FoldMark read_mark(ByteReader& in) {
  FoldMark mark;
  mark.last_tx = in.fixed<uint64_t>();
  mark.time = in.fixed<int64_t>();
  mark.xmin = in.fixed<uint64_t>();
  mark.xmax = in.fixed<uint64_t>();
  return mark;
}

std::vector<FoldMark> decode_marks(const std::optional<Bytes>& stored) {
  std::vector<FoldMark> marks;
  if (!stored) return marks;
  ByteReader in(*stored, "fold marks");
  while (in.left() > 0) marks.push_back(read_mark(in));
  return marks;
}

}  // namespace

void add_fold_mark(std::vector<FoldMark>& marks, const FoldMark& mark) {
  // Between its neighbours a mark is worth keeping while they are further apart than that. The last
  // one stays in any case: without it a new one would have nothing before it.
  std::vector<FoldMark> kept;
  for (size_t i = 0; i < marks.size(); ++i) {
    bool last = i + 1 == marks.size();
    int64_t before = kept.empty() ? INT64_MIN / 2 : kept.back().time;
    int64_t after = last ? mark.time : marks[i + 1].time;
    int64_t age = std::max<int64_t>(mark.time - marks[i].time, 0);
    if (after - before > std::max(kLeastDistanceUs, age / kMarksPerAge)) kept.push_back(marks[i]);
  }
  kept.push_back(mark);
  marks = std::move(kept);
}

std::vector<FoldMark> read_fold_marks(Environment& env) {
  return decode_marks(env.meta(kMarksKey));
}

void put_fold_mark(WriteBatch& batch, const FoldMark& mark, uint64_t next_tx) {
  std::vector<FoldMark> marks = decode_marks(batch.meta(kMarksKey));
  std::erase_if(marks, [=](const FoldMark& m) { return m.last_tx >= next_tx; });
  add_fold_mark(marks, mark);
  Bytes bytes;
  ByteWriter out(bytes);
  for (const FoldMark& m : marks) write_mark(out, m);
  batch.put_meta(kMarksKey, bytes);
}

std::optional<Horizon> read_horizon(Environment& env, uint64_t table) {
  std::optional<Bytes> stored = env.meta(horizon_key(table));
  if (!stored) return std::nullopt;
  ByteReader in(*stored, "horizon");
  Horizon horizon;
  horizon.mark = read_mark(in);
  while (in.left() > 0) {
    KeptVersion kept;
    kept.tx = in.fixed<uint64_t>();
    kept.live.id = in.fixed<uint64_t>();
    std::ranges::copy(in.take(kept.live.hash.size()), kept.live.hash.begin());
    horizon.kept.push_back(kept);
  }
  return horizon;
}

void visit_horizons(Environment& env,
                    const std::function<void(uint64_t table, const Horizon&)>& visit) {
  const std::string prefix = kHorizonPrefix;
  std::vector<uint64_t> tables;
  env.scan(Map::Meta, as_bytes(prefix), [&](ByteView key, ByteView) {
    const std::string name(as_string_view(key));
    if (!name.starts_with(prefix)) return false;
    tables.push_back(std::stoull(name.substr(prefix.size())));
    return true;
  });
  for (uint64_t table : tables)
    if (const auto horizon = read_horizon(env, table)) visit(table, *horizon);
}

std::string erased_rows_key(uint64_t table) { return "erased_rows/" + std::to_string(table); }

void put_horizon(WriteBatch& batch, uint64_t table, const Horizon& horizon) {
  Bytes bytes;
  ByteWriter out(bytes);
  write_mark(out, horizon.mark);
  for (const KeptVersion& kept : horizon.kept) {
    out.fixed(kept.tx);
    out.fixed(kept.live.id);
    out.raw(kept.live.hash);
  }
  batch.put_meta(horizon_key(table), bytes);
}

DeadVersions::Block& DeadVersions::block(Environment& env, uint64_t high) {
  if (high == last_high_) return *last_block_;
  auto at = blocks_.find(high);
  if (at == blocks_.end()) {
    auto made = std::make_unique<Block>();
    const tree::NodeRef* before = nullptr;
    for (const KeptVersion& kept : horizon_.kept) {
      if (kept.live.empty() || (before && before->same_content(kept.live))) continue;
      before = &kept.live;
      tree::Container container;
      if (!tree::find_container(env, kept.live, high, &container)) continue;
      for (size_t i = 0; i < container.words.size(); ++i) made->live.words[i] |= container.words[i];
    }
    if (blocks_.size() >= most_blocks_) blocks_.clear();
    at = blocks_.emplace(high, std::move(made)).first;
  }
  last_high_ = high;
  last_block_ = at->second.get();
  return *last_block_;
}

DeadVersions::Verdict DeadVersions::judge(Environment& env, Block& block, uint64_t rowid) {
  if (block.live.contains(static_cast<uint16_t>(rowid))) return Verdict::Kept;
  bool at_hand = env.reading() && generation_ == env.generation() &&
                 rowid >= segment_.first_rowid() && rowid <= segment_.last_rowid();
  if (!at_hand) {
    std::optional<SegmentReader> found = env.segment(table_, rowid);
    if (!found) return Verdict::NotStored;
    segment_ = *found;
    generation_ = env.generation();
  }
  const auto row = static_cast<uint32_t>(rowid - segment_.first_rowid());
  if (segment_.is_hole(row)) return Verdict::NotStored;
  // Whether it was there by the horizon: its transaction was over for the fold that the mark is of.
  uint64_t xid = segment_.xid(row);
  return xid < horizon_.mark.xmin ? Verdict::Dead : Verdict::Kept;
}

DeadVersions::Verdict DeadVersions::judge(Environment& env, uint64_t rowid) {
  return judge(env, block(env, rowid >> 16), rowid);
}

bool DeadVersions::is_dead(Environment& env, uint64_t rowid) {
  Block& b = block(env, rowid >> 16);
  if (b.asked.contains(static_cast<uint16_t>(rowid))) return false;
  if (judge(env, b, rowid) == Verdict::Dead) return true;
  b.asked.add(static_cast<uint16_t>(rowid));
  return false;
}

}  // namespace datahike::store
