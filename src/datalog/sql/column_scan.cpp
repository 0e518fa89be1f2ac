#include "datalog/sql/column_scan.h"

#include <bit>
#include <deque>
#include <numeric>

#include "am/scan.h"
#include "datalog/sql/column_reader.h"
#include "datalog/sql/entities.h"
#include "pg/bridge.h"

extern "C" {
#include "utils/rls.h"
}

namespace datahike::query {

namespace {

constexpr uint32_t kRowsAtOnce = 32768;

// The view that a query started now would have, while a scan is made.
class ViewOfSettings {
 public:
  ViewOfSettings()
      : view_(versioning::current_settings()), before_(versioning::use_session_view(&view_)) {}
  ViewOfSettings(const ViewOfSettings&) = delete;
  ~ViewOfSettings() { versioning::use_session_view(before_); }

 private:
  versioning::SessionView view_;
  const versioning::SessionView* before_;
};

struct Opened {
  ::Relation relation;
  TableScanDesc scan;
  TupleTableSlot* slot;
  MemoryContext memory;
};

// What the executor would ask: rights on the columns, and the hooks that watch.
void check_rights(::Relation relation, const int16* numbers, size_t count, bool entities) {
  auto* entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_RELATION;
  entry->relid = RelationGetRelid(relation);
  entry->relkind = relation->rd_rel->relkind;
  entry->rellockmode = AccessShareLock;
  entry->inh = false;
  entry->inFromCl = true;
  entry->requiredPerms = ACL_SELECT;
  auto select = [entry](int number) {
    entry->selectedCols =
        bms_add_member(entry->selectedCols, number - FirstLowInvalidHeapAttributeNumber);
  };
  for (size_t i = 0; i < count; ++i) select(numbers[i]);
  if (entities) {
    select(TableOidAttributeNumber);
    select(SelfItemPointerAttributeNumber);
  }
  ExecCheckRTPerms(list_make1(entry), true);
}

bool open(Oid relid, const int16* numbers, size_t count, bool entities, Opened* out) {
  ::Relation relation = try_relation_open(relid, AccessShareLock);
  if (!relation) return false;
  bool plain = (relation->rd_rel->relkind == RELKIND_RELATION ||
                relation->rd_rel->relkind == RELKIND_MATVIEW) &&
               RelationIsScannable(relation) &&
               check_enable_rls(relid, InvalidOid, true) == RLS_NONE;
  if (!plain) {
    relation_close(relation, NoLock);
    return false;
  }
  check_rights(relation, numbers, count, entities);
  out->relation = relation;
  out->scan = table_beginscan(relation, GetActiveSnapshot(), 0, nullptr);
  out->slot = table_slot_create(relation, nullptr);
  out->memory =
      AllocSetContextCreate(CurrentMemoryContext, "datalog column scan", ALLOCSET_DEFAULT_SIZES);
  return true;
}

void close(const Opened& o) {
  ExecDropSingleTupleTableSlot(o.slot);
  table_endscan(o.scan);
  relation_close(o.relation, NoLock);
  MemoryContextDelete(o.memory);
}

// Rows of a piece from `first` on, as offsets from there.
void live_rows(const vector::Piece& piece, uint32_t first, uint32_t count,
               std::vector<uint32_t>& rows) {
  rows.clear();
  if (piece.live.empty()) {
    rows.resize(count);
    std::iota(rows.begin(), rows.end(), 0);
    return;
  }
  for (uint32_t word = first / 64; word <= (first + count - 1) / 64; ++word)
    for (uint64_t bits = piece.live[word]; bits; bits &= bits - 1)
      rows.push_back(word * 64 + static_cast<uint32_t>(std::countr_zero(bits)) - first);
}

class PieceReader {
 public:
  PieceReader(const ColumnScan& scan, const Opened& opened, const am::RelationInfo& info)
      : scan_(scan) {
    for (const ScannedColumn& c : scan.columns)
      readers_.emplace_back(c, opened.relation, info, opened.memory);
  }

  // Returns how many of its rows were looked at.
  uint32_t read(const vector::Piece& piece,
                const std::function<void(std::vector<Column>&, size_t)>& full) {
    for (ColumnReader& reader : readers_)
      if (!reader.open(piece.segment)) return 0;
    for (uint32_t first = 0; first < piece.segment.rows(); first += kRowsAtOnce) {
      uint32_t count = std::min(kRowsAtOnce, piece.segment.rows() - first);
      live_rows(piece, first, count, rows_);
      if (scan_.some_entities) find_entities(piece.segment, first);
      for (ColumnReader& reader : readers_)
        if (!rows_.empty()) reader.filter(first, count, rows_);
      if (rows_.empty()) continue;
      std::vector<Column> columns(scan_.entities + readers_.size());
      if (scan_.entities) append_entities(piece.segment, first, count, columns[0]);
      for (size_t i = 0; i < readers_.size(); ++i)
        readers_[i].append(first, rows_, columns[scan_.entities + i]);
      full(columns, rows_.size());
    }
    return piece.live_rows;
  }

 private:
  void append_entities(const store::SegmentReader& segment, uint32_t first, uint32_t count,
                       Column& out) {
    std::vector<int64_t>& entities = out.integers();
    entities.resize(rows_.size());
    if (is_sparse(rows_, count)) {
      for (size_t i = 0; i < rows_.size(); ++i)
        entities[i] = kFirstRowEntity + static_cast<int64_t>(segment.entity(first + rows_[i]));
      return;
    }
    entities_.resize(count);
    segment.entities(first, entities_);
    for (size_t i = 0; i < rows_.size(); ++i)
      entities[i] = kFirstRowEntity + static_cast<int64_t>(entities_[rows_[i]]);
  }

  void find_entities(const store::SegmentReader& segment, uint32_t first) {
    std::erase_if(rows_, [&](uint32_t row) {
      auto entity = kFirstRowEntity + static_cast<int64_t>(segment.entity(first + row));
      return !scan_.some_entities->count(entity);
    });
  }

  const ColumnScan& scan_;
  std::deque<ColumnReader> readers_;
  std::vector<uint32_t> rows_;
  std::vector<uint64_t> entities_;
};

}  // namespace

bool scan_columns(const DatabaseValue& database, const ColumnScan& scan,
                  const std::function<void(std::vector<Column>&, size_t)>& full) {
  std::vector<int16> numbers;
  for (const ScannedColumn& c : scan.columns) {
    if (!ColumnReader::reads(c.type)) return false;
    numbers.push_back(c.number);
  }
  Opened opened{};
  Opened* o = &opened;
  const int16* n = numbers.data();
  size_t count = numbers.size();
  Oid relid = scan.relid;
  bool entities = scan.entities || scan.some_entities;
  if (!pg::call([=] { return open(relid, n, count, entities, o); })) return false;
  ::Relation relation = opened.relation;
  const am::RelationInfo& info = *pg::call([=] { return &am::relation_info(relation); });
  std::vector<int> attributes;
  for (int16 number : numbers) attributes.push_back(number - 1);
  std::sort(attributes.begin(), attributes.end());
  attributes.erase(std::unique(attributes.begin(), attributes.end()), attributes.end());
  std::optional<am::BatchCursor> cursor;
  {
    ReadUnder settings(database);
    ViewOfSettings view;
    cursor.emplace(am::begin_batch_scan(opened.scan, info), opened.relation, info, attributes,
                   opened.slot, entities);
  }
  PieceReader reader(scan, opened, info);
  for (uint64_t rows = 0;;) {
    std::vector<vector::Piece> pieces = cursor->next();
    for (const vector::Piece& piece : pieces) rows += reader.read(piece, full);
    if (!pieces.empty()) continue;
    am::count_batch_rows(opened.scan, rows);
    break;
  }
  cursor.reset();
  pg::call([=] { close(*o); });
  return true;
}

}  // namespace datahike::query
