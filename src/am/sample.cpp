#include "am/sample.h"

#include "pg/bridge.h"
#include "pg/store.h"

namespace datahike::am {

namespace {

void add(Sample& s, uint64_t first, uint64_t rows, bool container) {
  if (rows == 0) return;
  s.stretches.push_back({first, rows, s.rows, container});
  s.rows += rows;
}

// The rowid of the n-th row of a stretch.
void append_rows(const Sample& s, const Stretch& stretch, uint64_t from, uint64_t count,
                 uint64_t step, std::vector<uint64_t>& out) {
  if (!stretch.container) {
    for (uint64_t i = 0; i < count; i += step) out.push_back(stretch.first + from + i);
    return;
  }
  const tree::Container* c = s.view.view.overlay->container(*s.view.table, stretch.first >> 16);
  if (!c) return;
  uint64_t n = 0;
  for (uint32_t bit = 0; bit < 65536; ++bit) {
    if (!c->contains(static_cast<uint16_t>(bit))) continue;
    if (n >= from + count) break;
    if (n >= from && (n - from) % step == 0) out.push_back(stretch.first | bit);
    ++n;
  }
}

}  // namespace

uint64_t count_rows(const TableView& view) {
  TablePending* own = view.pending();
  uint64_t rows =
      own && own->cleared ? 0 : view.view.overlay->count_rows(*view.table, view.view.limit);
  if (!own) return rows;
  for (const auto& [first, run] : own->runs) rows += run.count;
  return rows - std::min<uint64_t>(rows, own->removed.size());
}

uint64_t blocks_for(uint64_t rows) {
  return std::min((rows + kRowsPerBlock - 1) / kRowsPerBlock, kMostBlocks);
}

std::unique_ptr<Sample> make_sample(const TableView& view) {
  auto s = std::make_unique<Sample>();
  s->view = view;
  TablePending* own = view.pending();
  bool own_clear = own && own->cleared;
  uint32_t clear = versioning::Overlay::last_clear(*view.table, view.view.limit);
  if (!own_clear && clear == 0 && !view.table->live.empty()) {
    tree::ContainerCursor cursor(pg::open_store(), view.table->live);
    for (cursor.first(); cursor.valid(); cursor.next())
      add(*s, cursor.high() << 16, cursor.count(), true);
  }
  if (!own_clear)
    for (const auto& [first, run] : view.table->added)
      if (run.sequence <= view.view.limit && run.sequence >= clear) add(*s, first, run.rows, false);
  if (own)
    for (const auto& [first, run] : own->runs) add(*s, first, run.count, false);
  // As many as relation_size() reports; rows that deltas removed are numbered, and skipped later.
  s->blocks = std::max<uint64_t>(1, blocks_for(count_rows(view)));
  return s;
}

std::vector<uint64_t> slice_rows(const Sample& s, uint64_t block, uint64_t most, uint64_t* every) {
  uint64_t from = block * s.rows / s.blocks, to = (block + 1) * s.rows / s.blocks;
  std::vector<uint64_t> rows;
  uint64_t step = std::max<uint64_t>(1, (to - from) / most);
  *every = step;
  auto at = std::upper_bound(s.stretches.begin(), s.stretches.end(), from,
                             [](uint64_t n, const Stretch& x) { return n < x.before; });
  if (at != s.stretches.begin()) --at;
  for (; at != s.stretches.end() && at->before < to; ++at) {
    uint64_t begin = std::max(from, at->before) - at->before;
    uint64_t end = std::min(to, at->before + at->rows) - at->before;
    if (begin < end) append_rows(s, *at, begin, end - begin, step, rows);
  }
  std::erase_if(rows, [&](uint64_t rowid) { return !s.view.sees(rowid); });
  return rows;
}

}  // namespace datahike::am
