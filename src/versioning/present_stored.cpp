#include "versioning/present_stored.h"

#include <algorithm>
#include <bit>

namespace datahike::versioning {

namespace {

constexpr size_t kSmallSegment = 4 << 10;
constexpr size_t kMostCopied = 64 << 10;  // bytes, of a table

std::vector<uint64_t> rows_of_tree(const Overlay& overlay, const TableOverlay& table) {
  std::vector<uint64_t> rows;
  tree::ContainerCursor containers(overlay.nodes(), table.live);
  auto container = std::make_unique<tree::Container>();
  for (containers.first(); containers.valid(); containers.next()) {
    containers.load(container.get());
    for (size_t w = 0; w < container->words.size(); ++w)
      for (uint64_t word = container->words[w]; word != 0; word &= word - 1)
        rows.push_back(containers.high() << 16 | (w * 64 + std::countr_zero(word)));
  }
  return rows;
}

std::shared_ptr<PresentStored> make(const Overlay& overlay, const TableOverlay& table,
                                    uint32_t limit) {
  auto made = std::make_shared<PresentStored>();
  made->limit = limit;
  made->rows = rows_of_tree(overlay, table);
  std::erase_if(made->rows, [&](uint64_t rowid) {
    const RemovedRow* removed = table.removed.find(rowid);
    return removed && removed->sequence <= limit;
  });
  auto behind = std::upper_bound(
      table.removed.begin(), table.removed.end(), limit,
      [](uint32_t of, const RemovedRows::Entry& entry) { return of < entry.second.sequence; });
  made->removals = static_cast<size_t>(behind - table.removed.begin());
  return made;
}

}  // namespace

const store::SegmentReader* SegmentCopies::find(uint64_t rowid) const {
  auto next = copies_.upper_bound(rowid);
  if (next == copies_.begin()) return nullptr;
  const store::SegmentReader& segment = std::prev(next)->second.segment;
  const bool has = rowid <= segment.last_rowid() &&
                   !segment.is_hole(static_cast<uint32_t>(rowid - segment.first_rowid()));
  return has ? &segment : nullptr;
}

void SegmentCopies::add(const store::SegmentReader& segment) {
  const ByteView bytes = segment.raw();
  if (bytes.size() > kSmallSegment || bytes_ + bytes.size() > kMostCopied) return;
  if (copies_.contains(segment.first_rowid())) return;
  Copy copy{Bytes(bytes.begin(), bytes.end()), {}};
  copy.segment = store::SegmentReader(copy.bytes);
  copies_.emplace(segment.first_rowid(), std::move(copy));
  bytes_ += bytes.size();
}

// What was found for fewer deltas is brought up to more of them. The removals are in the order of
// the deltas as long as no row has been removed twice.
std::shared_ptr<PresentStored> present_stored(const Overlay& overlay, TableOverlay& table,
                                              uint32_t limit) {
  if (table.live.empty() || table.live_rows > kMostPresentStored || table.removed_again)
    return nullptr;
  std::shared_ptr<PresentStored>& known = table.present_stored;
  if (known && known->limit == limit) return known;
  if (!known || known->limit > limit) {
    std::shared_ptr<PresentStored> made = make(overlay, table, limit);
    if (known) made->copies = known->copies;
    // A scan under an older snapshot must not take away what the newest views go on with.
    if (!known) known = made;
    return made;
  }
  if (known.use_count() > 1) known = std::make_shared<PresentStored>(*known);
  std::vector<uint64_t>& rows = known->rows;
  for (; known->removals < table.removed.size(); ++known->removals) {
    const auto& [rowid, removal] = table.removed[known->removals];
    if (removal.sequence > limit) break;
    auto row = std::lower_bound(rows.begin(), rows.end(), rowid);
    if (row != rows.end() && *row == rowid) rows.erase(row);
  }
  known->limit = limit;
  return known;
}

}  // namespace datahike::versioning
