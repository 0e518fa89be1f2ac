#include "am/table_size.h"

#include "am/sample.h"
#include "pg/bridge.h"

extern "C" {
#include "access/heaptoast.h"
#include "access/tupmacs.h"
}

namespace datahike::am {

namespace {

constexpr uint64_t kWeighedRows = 256;
constexpr uint64_t kMostWeighed[] = {kWeighedRows, 16};  // live ones, removed ones
constexpr size_t kMostRemembered = 4096;
constexpr uint64_t kPageBytes = BLCKSZ - SizeOfPageHeaderData;

struct RowWidth {
  uint64_t stamp = 0;  // of the definition
  uint64_t rows = 0;   // when it was measured
  uint64_t bytes = 0;
};
std::unordered_map<uint64_t, RowWidth> remembered;

// Bytes of heap's tuple for a row of a segment. Columns that the row was written without are
// missing on heap, too.
uint64_t tuple_bytes(Relation relation, const RelationInfo& info,
                     const store::SegmentReader& segment, uint32_t row) {
  TupleDesc desc = RelationGetDescr(relation);
  bool has_null = false;
  uint64_t data = 0;
  for (int i = 0; i < info.attributes; ++i) {
    const Attribute& a = info.attribute[i];
    int column = a.dropped ? -1 : segment.find(a.number);
    if (column < 0 || segment.is_null(column, row)) {
      has_null = true;
      continue;
    }
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (a.length != -1) {
      data = att_align_nominal(data, att->attalign) + static_cast<uint64_t>(a.length);
      continue;
    }
    // Written while the column was of a fixed length: about as long as a text of it.
    bool varlena = segment.spec(column).kind == store::Kind::Bytes;
    column::ShortScratch scratch;
    uint64_t bytes = varlena ? segment.stored(column, row, scratch).bytes.size() : sizeof(Datum);
    if (!a.plain_storage && bytes + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
      data += bytes + VARHDRSZ_SHORT;
    else
      data = att_align_nominal(data, att->attalign) + bytes + VARHDRSZ;
  }
  uint64_t header = SizeofHeapTupleHeader;
  if (has_null) header += static_cast<uint64_t>(BITMAPLEN(info.attributes));
  return MAXALIGN(header) + data;
}

uint64_t weigh(const TableView& view, Relation relation, const RelationInfo& info, uint64_t rowid) {
  if (TablePending* own = view.pending())
    if (PendingRow row = find_pending_row(*own, rowid)) {
      if (const store::SegmentColumns* columns = row.run->columns.get())
        return MAXALIGN(SizeofHeapTupleHeader) + columns->raw_bytes / columns->rows();
      if (row.run->places.empty()) return row.run->tuples[row.index]->t_len + MINIMAL_TUPLE_OFFSET;
      uint32_t at;
      store::SegmentReader segment = read_spilled(*own, *row.run, row.index, &at);
      return tuple_bytes(relation, info, segment, at);
    }
  auto found = versioning::find_row(view.view, *view.table, view.table_id, rowid);
  return found ? tuple_bytes(relation, info, found->segment, found->row) : 0;
}

// Of a line pointer and a tuple, on the average of rows spread over the table; at least 1.
uint64_t average_bytes(const TableView& view, Relation relation, const RelationInfo& info) {
  std::unique_ptr<Sample> sample = make_sample(view, {});
  uint64_t bytes = 0, rows = 0, picks = std::min(sample->rows, kWeighedRows);
  TablePending* own = view.pending();
  // Where the transaction has removed about all, what it has removed is weighed.
  for (bool removed : {false, true}) {
    if (removed && !own) break;
    for (uint64_t i = 0; i < picks && rows < kMostWeighed[removed]; ++i) {
      uint64_t rowid = pick_row(*sample, 0, sample->rows, picks, i);
      if (removed ? !own_removed(*own, rowid, view.command) : !view.sees(rowid)) continue;
      // What exceeds TOAST's threshold, heap moves out of line.
      uint64_t tuple =
          std::min<uint64_t>(weigh(view, relation, info, rowid), TOAST_TUPLE_THRESHOLD);
      if (tuple == 0) continue;
      bytes += MAXALIGN(tuple) + sizeof(ItemIdData);
      ++rows;
    }
    if (rows > 0) return std::max<uint64_t>(1, bytes / rows);
  }
  return 1;
}

TableSize size_of(Relation relation, uint64_t rows, uint64_t bytes) {
  auto reserved = static_cast<uint64_t>(RelationGetTargetPageFreeSpace(relation, 100));
  uint64_t usable = kPageBytes - std::min(reserved, kPageBytes);
  // A block takes rows until the next one would not fit.
  return {rows, std::clamp<uint64_t>(usable / bytes, 1, MaxHeapTuplesPerPage)};
}

}  // namespace

namespace {

TableSize weigh_rows(const TableView& view, Relation relation, const RelationInfo& info,
                     uint64_t rows) {
  if (rows == 0) return {};
  uint64_t bytes = average_bytes(view, relation, info);
  if (remembered.size() >= kMostRemembered) remembered.clear();
  remembered[info.table] = {info.stamp, rows, bytes};
  return size_of(relation, rows, bytes);
}

}  // namespace

TableSize measure_table(const TableView& view, Relation relation, const RelationInfo& info) {
  return weigh_rows(view, relation, info, count_rows_to_pass(view));
}

TableSize estimate_table(const TableView& view, Relation relation, const RelationInfo& info) {
  uint64_t rows = count_rows_to_pass(view);
  auto known = remembered.find(info.table);
  bool good = known != remembered.end() && known->second.stamp == info.stamp &&
              rows >= known->second.rows / 2 && rows <= known->second.rows * 2;
  if (!good) return weigh_rows(view, relation, info, rows);
  return size_of(relation, rows, known->second.bytes);
}

}  // namespace datahike::am
