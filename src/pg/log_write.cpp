// Writing rows of datahike.tx_log.
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/log.h"
#include "pg/log_columns.h"
#include "pg/uuid_array.h"

namespace datahike::pg {

namespace {

Datum to_varlena(const void* data, size_t size) {
  if (size > MaxAllocSize - VARHDRSZ - 64)
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("a row of %zu bytes is too large for the transaction log", size)));
  bytea* b = static_cast<bytea*>(palloc(VARHDRSZ + size));
  SET_VARSIZE(b, VARHDRSZ + size);
  std::memcpy(VARDATA(b), data, size);
  return PointerGetDatum(b);
}

// Whether the log's key is known to be its only index: while REINDEX CONCURRENTLY works there are
// two.
bool has_key_alone(Relation log) {
  const Oid key = extension().tx_log_key;  // first: to look it up may have the list made anew
  return log->rd_indexvalid && list_length(log->rd_indexlist) == 1 &&
         linitial_oid(log->rd_indexlist) == key;
}

// As CatalogTupleInsert() does, which describes all indexes anew for each row.
void insert_with_key(Relation log, HeapTuple tuple, Datum* key) {
  simple_heap_insert(log, tuple);
  Relation index = index_open(extension().tx_log_key, RowExclusiveLock);
  static IndexInfo info;
  info.type = T_IndexInfo;
  info.ii_NumIndexAttrs = info.ii_NumIndexKeyAttrs = kLogKeyColumns;
  for (int i = 0; i < kLogKeyColumns; ++i)
    info.ii_IndexAttrNumbers[i] = static_cast<AttrNumber>(i + 1);
  info.ii_Unique = info.ii_ReadyForInserts = true;
  info.ii_Am = index->rd_rel->relam;
  info.ii_Context = CurrentMemoryContext;
  bool nulls[kLogKeyColumns] = {};
  index_insert(index, key, nulls, &tuple->t_self, log, UNIQUE_CHECK_YES, false, &info);
  index_close(index, NoLock);
}

}  // namespace

void write_log_row(int32_t branch, const LogRow& row) {
  const LogRow* r = &row;
  call([branch, r] {
    bool nulls[kLogColumns] = {};
    nulls[kAuthor - 1] = r->author.empty();
    nulls[kMessage - 1] = r->message.empty();
    nulls[kDelta - 1] = r->kind != 'd';
    nulls[kRows - 1] = r->rows.empty();
    nulls[kParents - 1] = r->parents.empty();
    auto varlena_unless_null = [&](LogColumn column, const auto& value) {
      return nulls[column - 1] ? Datum{0} : to_varlena(value.data(), value.size());
    };
    Datum values[kLogColumns] = {
        Int32GetDatum(branch),
        Int64GetDatum(static_cast<int64_t>(r->xid)),
        Int32GetDatum(static_cast<int32_t>(r->part)),
        CharGetDatum(r->kind),
        Int64GetDatum(static_cast<int64_t>(r->lsn)),
        TimestampTzGetDatum(r->time),
        varlena_unless_null(kAuthor, r->author),
        varlena_unless_null(kMessage, r->message),
        varlena_unless_null(kDelta, r->delta),
        varlena_unless_null(kRows, r->rows),
        nulls[kParents - 1] ? Datum{0} : PointerGetDatum(make_uuid_array(&r->parents))};
    Relation rel = table_open(extension().tx_log, RowExclusiveLock);
    HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
    if (has_key_alone(rel))
      insert_with_key(rel, tuple, values);
    else
      CatalogTupleInsert(rel, tuple);
    heap_freetuple(tuple);
    if (!nulls[kRows - 1]) pfree(DatumGetPointer(values[kRows - 1]));
    table_close(rel, NoLock);
  });
}

}  // namespace datahike::pg
