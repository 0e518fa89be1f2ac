#include "datom/sql/ids.h"

#include "datom/attribute.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/log.h"
#include "pg/sequence.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "store/commit.h"
#include "store/version.h"
#include "versioning/sql_values.h"
#include "versioning/view.h"

namespace datahike::facts {

namespace {

enum Column { kTx = 1, kXid };

Oid named(const char* name) {
  Oid oid = get_relname_relid(name, pg::extension().schema);
  if (!OidIsValid(oid)) elog(ERROR, "datahike.%s is missing", name);
  return oid;
}

// Entity ids are drawn under a shared lock and moved on under an exclusive one, both for a moment.
template <class F>
auto with_entity_lock(Oid sequence, LOCKMODE mode, F&& body) -> decltype(body()) {
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, MyDatabaseId, sequence, 0, 2);
  LockAcquire(&tag, mode, false, false);
  auto result = body();
  LockRelease(&tag, mode, false);
  return result;
}

// 0 of a sequence that nothing has been drawn from.
int64_t last_value(Oid sequence) {
  LOCAL_FCINFO(call, 1);
  InitFunctionCallInfoData(*call, nullptr, 1, InvalidOid, nullptr, nullptr);
  call->args[0] = {ObjectIdGetDatum(sequence), false};
  Datum value = pg_sequence_last_value(call);
  return call->isnull ? 0 : DatumGetInt64(value);
}

struct TxRow {
  bool found;
  int64_t tx;
  uint64_t xid;
};

// The last row at or before a key.
TxRow last_row(const char* index_name, int column, StrategyNumber strategy, RegProcedure compare,
               int64_t key) {
  TxRow row{};
  Relation rel = table_open(fact_relations().fact_tx, AccessShareLock);
  Relation index = index_open(named(index_name), AccessShareLock);
  ScanKeyData scan_key;
  ScanKeyInit(&scan_key, static_cast<AttrNumber>(column), strategy, compare, Int64GetDatum(key));
  SysScanDesc scan = systable_beginscan_ordered(rel, index, nullptr, 1, &scan_key);
  HeapTuple tuple = systable_getnext_ordered(scan, BackwardScanDirection);
  if (HeapTupleIsValid(tuple)) {
    bool isnull;
    row.found = true;
    row.tx = DatumGetInt64(heap_getattr(tuple, kTx, RelationGetDescr(rel), &isnull));
    row.xid = static_cast<uint64_t>(
        DatumGetInt64(heap_getattr(tuple, kXid, RelationGetDescr(rel), &isnull)));
  }
  systable_endscan_ordered(scan);
  index_close(index, AccessShareLock);
  table_close(rel, AccessShareLock);
  return row;
}

TxRow row_of_xid(uint64_t xid) {
  return last_row("fact_tx_xid_key", kXid, BTEqualStrategyNumber, F_INT8EQ,
                  static_cast<int64_t>(xid));
}

TxRow row_up_to(int64_t tx) {
  return last_row("fact_tx_key", kTx, BTLessEqualStrategyNumber, F_INT8LE, tx);
}

void insert_row(int64_t tx, uint64_t xid) {
  Relation rel = table_open(fact_relations().fact_tx, RowExclusiveLock);
  Datum values[] = {Int64GetDatum(tx), Int64GetDatum(static_cast<int64_t>(xid))};
  bool nulls[] = {false, false};
  HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
  CatalogTupleInsert(rel, tuple);
  heap_freetuple(tuple);
  table_close(rel, RowExclusiveLock);
  CommandCounterIncrement();
}

// Newest first: what is asked for has mostly been committed just now. Who asks for a commit that
// there is not has seen all of them; then only newer ones are looked at.
std::optional<uint64_t> commit_of_xid(uint64_t xid) {
  static uint64_t generation = 0;
  static std::unordered_map<uint64_t, uint64_t> known;
  static uint64_t seen_below = 1;
  if (generation != pg::extension_generation()) known.clear(), seen_below = 1;
  generation = pg::extension_generation();
  if (auto at = known.find(xid); at != known.end()) return at->second;
  store::Environment& env = versioning::store_for_reading();
  uint64_t next = pg::read_next_tx(pg::call([] { return pg::latest_snapshot(); }));
  for (uint64_t tx = next; tx-- > seen_below;) {
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
    std::optional<store::Uuid> id = env.commit_by_tx(tx);
    if (!id) continue;
    std::optional<store::Commit> commit = store::load_commit(env, *id);
    if (!commit || commit->xid == 0) continue;
    known.emplace(commit->xid, tx);
    if (commit->xid == xid) return tx;
  }
  seen_below = std::max(seen_below, next);
  return std::nullopt;
}

}  // namespace

FactRelations fact_relations() {
  static FactRelations found;
  static uint64_t generation = 0;
  const uint64_t now = pg::extension_generation();
  pg::extension();  // raises where it is not installed
  if (generation == pg::extension_generation() && generation == now) return found;
  FactRelations r;
  r.facts = named("facts");
  r.fact_tx = named("fact_tx");
  r.entity_id = named("entity_id");
  r.tx_number = named("fact_tx_number");
  found = r;
  generation = pg::extension_generation();
  return found;
}

int64_t draw_entity() {
  Oid sequence = fact_relations().entity_id;
  return with_entity_lock(sequence, ShareLock, [=] { return pg::draw(sequence); });
}

bool claim_entities_up_to(int64_t e, int64_t most) {
  static int64_t claimed = 0;  // by now, whoever has done it
  static uint64_t generation = 0;
  const Oid sequence = fact_relations().entity_id;
  if (generation != pg::extension_generation()) claimed = 0;
  generation = pg::extension_generation();
  if (e <= claimed) return true;
  claimed = with_entity_lock(sequence, ExclusiveLock, [=] {
    const int64_t last = last_value(sequence);
    if (last >= e || e > most) return last;
    DirectFunctionCall2(setval_oid, ObjectIdGetDatum(sequence), Int64GetDatum(e));
    return e;
  });
  return e <= claimed;
}

int64_t current_tx() {
  static FullTransactionId of = {0};
  const FullTransactionId now = GetTopFullTransactionId();
  const uint64_t xid = U64FromFullTransactionId(now);
  // A savepoint may have taken it back.
  if (FullTransactionIdEquals(of, now))
    if (TxRow row = row_of_xid(xid); row.found) return row.tx;
  of = now;
  const int64_t tx = datom::kFirstTx + pg::draw(fact_relations().tx_number);
  insert_row(tx, xid);
  return tx;
}

namespace {

// Exactly: the transaction entity itself became that commit.
struct CommitTx {
  uint64_t tx;
  bool exactly;
};

// gc() collects commits; their facts, and the rows that say which transactions they were, stay.
// What of that was before is found once.
CommitTx commit_up_to(int64_t tx) {
  static uint64_t generation = 0;
  static std::unordered_map<uint64_t, uint64_t> before;
  if (generation != pg::extension_generation()) before.clear();
  generation = pg::extension_generation();
  TxRow row = pg::call([=] { return row_up_to(tx); });
  if (!row.found) return {1, false};
  if (row.xid == U64FromFullTransactionId(GetTopFullTransactionIdIfAny()))
    return {UINT64_MAX, true};
  if (auto at = before.find(row.xid); at != before.end()) return {at->second, false};
  std::optional<uint64_t> commit = commit_of_xid(row.xid);
  if (!commit) {
    versioning::wait_for_fold();
    commit = commit_of_xid(row.xid);
  }
  if (commit) return {*commit, row.tx == tx};
  std::vector<uint64_t> collected;
  while (row.found && !commit) {
    collected.push_back(row.xid);
    row = pg::call([tx = row.tx] { return row_up_to(tx - 1); });
    if (row.found) commit = commit_of_xid(row.xid);
  }
  for (uint64_t xid : collected) before[xid] = commit.value_or(1);
  return {commit.value_or(1), false};
}

}  // namespace

uint64_t commit_tx_of(int64_t tx) { return commit_up_to(tx).tx; }

uint64_t commit_tx_of_fact(int64_t tx) {
  const CommitTx commit = commit_up_to(tx);
  return commit.exactly || commit.tx == 1 ? commit.tx : commit.tx + 1;
}

void settle_tx(pg::AsOf& at) {
  if (at.is_tx && at.tx >= datom::kFirstTx && at.tx <= INT64_MAX)
    at.tx = commit_tx_of(static_cast<int64_t>(at.tx));
}

int64_t tx_of_commit(uint64_t commit_tx) {
  store::Environment& env = versioning::store_for_reading();
  std::optional<store::Uuid> id = env.commit_by_tx(commit_tx);
  std::optional<store::Commit> commit;
  if (id) commit = store::load_commit(env, *id);
  if (!commit || commit->xid == 0) return static_cast<int64_t>(commit_tx);
  TxRow row = pg::call([xid = commit->xid] { return row_of_xid(xid); });
  return row.found ? row.tx : static_cast<int64_t>(commit_tx);
}

}  // namespace datahike::facts
