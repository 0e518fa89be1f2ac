#include "pg/sequence.h"

extern "C" {
#include "access/xloginsert.h"
#include "catalog/pg_sequence.h"
#include "storage/bufpage.h"
}

namespace datahike::pg {

namespace {

constexpr int64_t kLoggedAhead = 32;  // values that one WAL record accounts for, as nextval()'s

int64_t greatest_value(Oid sequence) {
  HeapTuple tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(sequence));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for sequence %u", sequence);
  int64_t greatest = reinterpret_cast<Form_pg_sequence>(GETSTRUCT(tuple))->seqmax;
  ReleaseSysCache(tuple);
  return greatest;
}

// Logs the sequence as it will be when `ahead` more values have been drawn: those are lost in a
// crash, never handed out again. REQUIRES: in a critical section, the buffer locked and dirty.
void log_ahead(Relation relation, Buffer buffer, HeapTupleHeader tuple, uint32 length,
               int64_t ahead) {
  auto* data =
      reinterpret_cast<Form_pg_sequence_data>(reinterpret_cast<char*>(tuple) + tuple->t_hoff);
  data->last_value += ahead;
  data->is_called = true;
  data->log_cnt = 0;
  xl_seq_rec record{relation->rd_node};
  XLogBeginInsert();
  XLogRegisterBuffer(0, buffer, REGBUF_WILL_INIT);
  XLogRegisterData(reinterpret_cast<char*>(&record), sizeof record);
  XLogRegisterData(reinterpret_cast<char*>(tuple), length);
  XLogRecPtr end = XLogInsert(RM_SEQ_ID, XLOG_SEQ_LOG);
  PageSetLSN(BufferGetPage(buffer), end);
}

}  // namespace

int64_t draw(Oid sequence) {
  Relation relation = relation_open(sequence, RowExclusiveLock);
  int64_t greatest = greatest_value(sequence);
  Buffer buffer = ReadBuffer(relation, 0);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  Page page = BufferGetPage(buffer);
  ItemId item = PageGetItemId(page, FirstOffsetNumber);
  auto* tuple = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
  auto* data =
      reinterpret_cast<Form_pg_sequence_data>(reinterpret_cast<char*>(tuple) + tuple->t_hoff);
  int64_t value = data->is_called ? data->last_value + 1 : data->last_value;
  if (value > greatest)
    ereport(ERROR, (errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
                    errmsg("reached maximum value of sequence \"%s\" (%lld)",
                           RelationGetRelationName(relation), static_cast<long long>(greatest))));
  // The first value after a checkpoint is logged anew: replay starts there.
  bool logs = data->log_cnt < 1 || !data->is_called || PageGetLSN(page) <= GetRedoRecPtr();
  int64_t ahead = logs ? std::min(kLoggedAhead, greatest - value) : data->log_cnt - 1;
  // The commit flushes the record, also where it writes nothing else.
  if (logs) GetTopTransactionId();
  START_CRIT_SECTION();
  MarkBufferDirty(buffer);
  data->last_value = value;
  if (logs && RelationNeedsWAL(relation))
    log_ahead(relation, buffer, tuple, ItemIdGetLength(item), ahead);
  data->last_value = value;
  data->is_called = true;
  data->log_cnt = ahead;
  END_CRIT_SECTION();
  UnlockReleaseBuffer(buffer);
  relation_close(relation, NoLock);
  return value;
}

}  // namespace datahike::pg
