#include "am/sample.h"

#include <bit>

#include "pg/bridge.h"
#include "pg/store.h"

namespace datahike::am {

namespace {

void add(Sample& s, uint64_t first, uint64_t rows, bool container) {
  if (rows == 0) return;
  s.stretches.push_back({first, rows, s.rows, container});
  s.rows += rows;
}

// The n-th member of a container.
uint64_t nth_member(const tree::Container& c, uint64_t n) {
  for (size_t w = 0; w < c.words.size(); ++w) {
    auto members = static_cast<uint64_t>(std::popcount(c.words[w]));
    if (n >= members) {
      n -= members;
      continue;
    }
    uint64_t word = c.words[w];
    while (n-- > 0) word &= word - 1;
    return w * 64 + static_cast<unsigned>(std::countr_zero(word));
  }
  return c.words.size() * 64;
}

// Blocks of rowids begin where containers do, so the floor divides no container.
uint64_t count_committed(const TableView& view) {
  if (view.floor == 0) return view.view.overlay->count_rows(*view.table, view.view.limit);
  uint32_t clear = versioning::Overlay::last_clear(*view.table, view.view.limit);
  uint64_t rows = 0;
  if (clear == 0 && !view.table->live.empty()) {
    tree::ContainerCursor cursor(view.view.overlay->nodes(), view.table->live);
    for (cursor.seek(view.floor >> 16); cursor.valid(); cursor.next()) rows += cursor.count();
  }
  for (const auto& [first, run] : view.table->added)
    if (first >= view.floor && run.sequence <= view.view.limit && run.sequence >= clear)
      rows += run.rows;
  // Of rows that a TRUNCATE took none is counted above.
  auto is_counted = [&](uint64_t rowid) {
    if (rowid < view.floor) return false;
    if (clear == 0) return true;
    auto run = versioning::Overlay::find_added(*view.table, rowid);
    return run != view.table->added.end() && run->second.sequence >= clear;
  };
  uint64_t removed = 0;
  for (const auto& [rowid, removal] : view.table->removed)
    removed += removal.sequence <= view.view.limit && is_counted(rowid);
  return rows - std::min(rows, removed);
}

}  // namespace

uint64_t count_rows_to_pass(const TableView& view) {
  TablePending* own = view.pending();
  uint64_t rows = own && own->cleared ? 0 : count_committed(view);
  if (own)
    for (const auto& [first, run] : own->runs) rows += run.count;
  return rows;
}

uint64_t count_rows(const TableView& view) {
  TablePending* own = view.pending();
  uint64_t rows = count_rows_to_pass(view);
  return rows - std::min<uint64_t>(rows, own ? own->removed.size() : 0);
}

std::unique_ptr<Sample> make_sample(const TableView& view, const TableSize& size) {
  auto s = std::make_unique<Sample>();
  s->view = view;
  view.table->complete();
  TablePending* own = view.pending();
  bool own_clear = own && own->cleared;
  uint32_t clear = versioning::Overlay::last_clear(*view.table, view.view.limit);
  if (!own_clear && clear == 0 && !view.table->live.empty()) {
    tree::ContainerCursor cursor(view.view.overlay->nodes(), view.table->live);
    for (cursor.seek(view.floor >> 16); cursor.valid(); cursor.next())
      add(*s, cursor.high() << 16, cursor.count(), true);
  }
  if (!own_clear)
    for (const auto& [first, run] : view.table->added)
      if (first >= view.floor && run.sequence <= view.view.limit && run.sequence >= clear)
        add(*s, first, run.rows, false);
  if (own)
    for (const auto& [first, run] : own->runs) add(*s, first, run.count, false);
  // As many as relation_size() reports; rows that deltas removed are numbered, and skipped later.
  s->blocks = std::max<uint64_t>(1, size.counted_blocks());
  s->rows_per_block = std::max(size.rows_per_block, (s->rows + s->blocks - 1) / s->blocks);
  return s;
}

namespace {

const Stretch& stretch_of(const Sample& s, uint64_t n) {
  auto at = std::upper_bound(s.stretches.begin(), s.stretches.end(), n,
                             [](uint64_t row, const Stretch& x) { return row < x.before; });
  return *--at;
}

const tree::Container* container_of(const Sample& s, const Stretch& stretch) {
  return s.view.view.overlay->container(*s.view.table, stretch.first >> 16);
}

// The rowids of `count` rows from the n-th on, those that deltas removed left out.
void append_rows(const Sample& s, uint64_t n, uint64_t count, std::vector<uint64_t>& out) {
  auto add = [&](uint64_t rowid) {
    if (s.view.sees(rowid)) out.push_back(rowid);
  };
  while (count > 0) {
    const Stretch& stretch = stretch_of(s, n);
    uint64_t skip = n - stretch.before, take = std::min(count, stretch.rows - skip);
    if (!stretch.container) {
      for (uint64_t i = 0; i < take; ++i) add(stretch.first + skip + i);
    } else if (const tree::Container* c = container_of(s, stretch)) {
      uint64_t bit = nth_member(*c, skip), left = take;
      for (; left > 0 && bit < 65536; ++bit) {
        if (!c->contains(static_cast<uint16_t>(bit))) continue;
        add(stretch.first | bit);
        --left;
      }
    }
    n += take;
    count -= take;
  }
}

// A number that looks random, the same for the same arguments (splitmix64).
uint64_t scatter(uint64_t seed, uint64_t n) {
  uint64_t x = seed + (n + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

}  // namespace

uint64_t pick_row(const Sample& s, uint64_t first, uint64_t count, uint64_t picks, uint64_t i) {
  uint64_t from = i * count / picks, to = (i + 1) * count / picks;
  uint64_t n = first + from + scatter(s.seed, first + i) % (to - from);
  const Stretch& stretch = stretch_of(s, n);
  n -= stretch.before;
  if (!stretch.container) return stretch.first + n;
  const tree::Container* c = container_of(s, stretch);
  return stretch.first | (c ? nth_member(*c, n) : 0);
}

void take_slice(Sample& s, uint64_t block, uint64_t most) {
  uint64_t from = std::min(s.rows, block * s.rows_per_block);
  uint64_t count = std::min(s.rows, from + s.rows_per_block) - from;
  uint64_t picks = std::min(count, most);
  s.slice.clear();
  s.next = 0;
  s.weight = picks == 0 ? 1 : static_cast<double>(count) / static_cast<double>(picks);
  if (picks == count) {
    append_rows(s, from, count, s.slice);
    return;
  }
  for (uint64_t i = 0; i < picks; ++i) {
    uint64_t rowid = pick_row(s, from, count, picks, i);
    if (s.view.sees(rowid)) s.slice.push_back(rowid);
  }
}

}  // namespace datahike::am
