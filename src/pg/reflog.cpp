// Functions here that own C++ objects enter PostgreSQL through call().
#include "pg/reflog.h"

#include "pg/bridge.h"
#include "pg/snapshot.h"
#include "pg/catalog.h"
#include "pg/index_walk.h"
#include "pg/settings.h"
#include "pg/shared.h"

namespace datahike::pg {

namespace {

enum Column {
  kBranch = 1,
  kXid,
  kCommand,
  kAt,
  kOperation,
  kAuthor,
  kMessage,
  kFrom,
  kFromTx,
  kTo,
  kToTx
};
constexpr int kColumns = 11;

store::Uuid to_uuid(Datum value) {
  store::Uuid id;
  std::memcpy(id.data(), DatumGetUUIDP(value)->data, UUID_LEN);
  return id;
}

// A row in memory that PostgreSQL's error handling may take away.
struct RawMove {
  uint64_t xid;
  uint32_t command;
  int64_t time;
  char *operation, *author, *message;
  bool has_from;
  store::Uuid from, to;
  uint64_t from_tx, to_tx;
  bool seen;  // by the older snapshot
};

RawMove* read_row(TupleDesc desc, HeapTuple tuple) {
  Datum v[kColumns];
  bool n[kColumns];
  heap_deform_tuple(tuple, desc, v, n);
  auto* raw = static_cast<RawMove*>(palloc0(sizeof(RawMove)));
  raw->xid = static_cast<uint64_t>(DatumGetInt64(v[kXid - 1]));
  raw->command = static_cast<uint32_t>(DatumGetInt64(v[kCommand - 1]));
  raw->time = DatumGetTimestampTz(v[kAt - 1]);
  raw->operation = TextDatumGetCString(v[kOperation - 1]);
  raw->author = n[kAuthor - 1] ? nullptr : TextDatumGetCString(v[kAuthor - 1]);
  raw->message = n[kMessage - 1] ? nullptr : TextDatumGetCString(v[kMessage - 1]);
  raw->has_from = !n[kFrom - 1];
  if (raw->has_from) {
    raw->from = to_uuid(v[kFrom - 1]);
    raw->from_tx = static_cast<uint64_t>(DatumGetInt64(v[kFromTx - 1]));
  }
  raw->to = to_uuid(v[kTo - 1]);
  raw->to_tx = static_cast<uint64_t>(DatumGetInt64(v[kToTx - 1]));
  return raw;
}

// A list of RawMove*, in order.
List* read_rows(int32_t branch, Snapshot snapshot, Snapshot older) {
  List* rows = NIL;
  LockRelationOid(extension().reflog, AccessShareLock);  // from here on its index stays
  IndexWalk walk{extension().reflog, extension().reflog_key};
  walk.equals_int4(kBranch, branch);
  walk.run(snapshot, [&](TupleDesc desc, HeapTuple tuple) {
    RawMove* raw = read_row(desc, tuple);
    TransactionId xmin = HeapTupleHeaderGetXmin(tuple->t_data);
    raw->seen =
        older && (TransactionIdIsCurrentTransactionId(xmin) || !XidInMVCCSnapshot(xmin, older));
    rows = lappend(rows, raw);
    return true;
  });
  return rows;
}

RefMove convert(const RawMove& raw, int32_t branch) {
  RefMove move;
  move.branch = branch;
  move.xid = raw.xid;
  move.command = raw.command;
  move.time = raw.time;
  move.operation = raw.operation;
  if (raw.author) move.author = raw.author;
  if (raw.message) move.message = raw.message;
  if (raw.has_from) move.from = raw.from;
  move.from_tx = raw.from_tx;
  move.to = raw.to;
  move.to_tx = raw.to_tx;
  return move;
}

}  // namespace

void write_ref_move(RefMove move) {
  const RefMove* m = &move;
  call([m] {
    auto text_or_null = [](const std::string& s) {
      return s.empty() ? Datum{0} : CStringGetTextDatum(s.c_str());
    };
    auto uuid = [](const store::Uuid& id) {
      return PointerGetDatum(const_cast<uint8_t*>(id.data()));
    };
    const char* author = setting_author && *setting_author
                             ? setting_author
                             : GetUserNameFromId(GetSessionUserId(), true);
    Datum values[kColumns] = {
        Int32GetDatum(m->branch),
        Int64GetDatum(static_cast<int64_t>(widen_xid(GetCurrentTransactionId()))),
        Int64GetDatum(GetCurrentCommandId(true)),
        TimestampTzGetDatum(GetCurrentTimestamp()),
        CStringGetTextDatum(m->operation.c_str()),
        author ? CStringGetTextDatum(author) : Datum{0},
        text_or_null(m->message),
        m->from ? uuid(*m->from) : Datum{0},
        Int64GetDatum(static_cast<int64_t>(m->from_tx)),
        uuid(m->to),
        Int64GetDatum(static_cast<int64_t>(m->to_tx))};
    bool nulls[kColumns] = {};
    nulls[kAuthor - 1] = !author;
    nulls[kMessage - 1] = m->message.empty();
    nulls[kFrom - 1] = nulls[kFromTx - 1] = !m->from;
    Relation rel = table_open(extension().reflog, RowExclusiveLock);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
    CatalogTupleInsert(rel, tuple);
    heap_freetuple(tuple);
    table_close(rel, NoLock);
    CommandCounterIncrement();
  });
}

std::vector<RefMove> read_ref_moves(int32_t branch, Snapshot snapshot) {
  std::vector<RefMove> moves;
  List* rows = call([=] { return read_rows(branch, snapshot, nullptr); });
  ListCell* cell;
  foreach (cell, rows) moves.push_back(convert(*static_cast<RawMove*>(lfirst(cell)), branch));
  return moves;
}

std::optional<store::Uuid> commit_left_behind(int32_t branch, Snapshot s, Snapshot latest) {
  List* rows = call([=] { return read_rows(branch, latest, s); });
  ListCell* cell;
  foreach (cell, rows) {
    auto* raw = static_cast<RawMove*>(lfirst(cell));
    if (!raw->seen && raw->has_from && raw->from != raw->to) return raw->from;
  }
  return std::nullopt;
}

bool fast_forwarded_since(int32_t branch, Snapshot s) {
  Snapshot latest = call([] { return latest_snapshot(); });
  List* rows = call([=] { return read_rows(branch, latest, s); });
  ListCell* cell;
  foreach (cell, rows) {
    auto* raw = static_cast<RawMove*>(lfirst(cell));
    if (!raw->seen && std::strcmp(raw->operation, "fast-forward") == 0) return true;
  }
  return false;
}

}  // namespace datahike::pg
