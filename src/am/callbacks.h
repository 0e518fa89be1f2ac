// The table access method's callbacks, by the life of a row. Contracts: access/tableam.h.
#pragma once

#include "pg/pg.h"

namespace datahike::am {

// index_fetch.cpp
IndexFetchTableData* index_fetch_begin(Relation relation);
void index_fetch_reset(IndexFetchTableData* scan);
void index_fetch_end(IndexFetchTableData* scan);
bool index_fetch_tuple(IndexFetchTableData* scan, ItemPointer tid, Snapshot snapshot,
                       TupleTableSlot* slot, bool* call_again, bool* all_dead);
bool fetch_row_version(Relation relation, ItemPointer tid, Snapshot snapshot, TupleTableSlot* slot);
bool tuple_satisfies_snapshot(Relation relation, TupleTableSlot* slot, Snapshot snapshot);
bool tuple_tid_valid(TableScanDesc scan, ItemPointer tid);
void get_latest_tid(TableScanDesc scan, ItemPointer tid);

// insert.cpp
void tuple_insert(Relation relation, TupleTableSlot* slot, CommandId cid, int options,
                  BulkInsertStateData* bistate);
void tuple_insert_speculative(Relation relation, TupleTableSlot* slot, CommandId cid, int options,
                              BulkInsertStateData* bistate, uint32 token);
void tuple_complete_speculative(Relation relation, TupleTableSlot* slot, uint32 token,
                                bool succeeded);
void multi_insert(Relation relation, TupleTableSlot** slots, int count, CommandId cid, int options,
                  BulkInsertStateData* bistate);

void finish_bulk_insert(Relation relation, int options);

// modify.cpp
TM_Result tuple_delete(Relation relation, ItemPointer tid, CommandId cid, Snapshot snapshot,
                       Snapshot crosscheck, bool wait, TM_FailureData* failure, bool changing_part);
TM_Result tuple_update(Relation relation, ItemPointer tid, TupleTableSlot* slot, CommandId cid,
                       Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData* failure,
                       LockTupleMode* lockmode, bool* update_indexes);
TM_Result tuple_lock(Relation relation, ItemPointer tid, Snapshot snapshot, TupleTableSlot* slot,
                     CommandId cid, LockTupleMode mode, LockWaitPolicy policy, uint8 flags,
                     TM_FailureData* failure);

// scan.cpp
TableScanDesc scan_begin(Relation relation, Snapshot snapshot, int nkeys, ScanKeyData* keys,
                         ParallelTableScanDesc parallel, uint32 flags);
void scan_end(TableScanDesc scan);
void scan_rescan(TableScanDesc scan, ScanKeyData* keys, bool set_params, bool allow_strat,
                 bool allow_sync, bool allow_pagemode);
bool scan_getnextslot(TableScanDesc scan, ScanDirection direction, TupleTableSlot* slot);
void scan_set_tidrange(TableScanDesc scan, ItemPointer min, ItemPointer max);
bool scan_getnextslot_tidrange(TableScanDesc scan, ScanDirection direction, TupleTableSlot* slot);
bool scan_bitmap_next_block(TableScanDesc scan, TBMIterateResult* result);
bool scan_bitmap_next_tuple(TableScanDesc scan, TBMIterateResult* result, TupleTableSlot* slot);
bool scan_sample_next_block(TableScanDesc scan, SampleScanState* state);
bool scan_sample_next_tuple(TableScanDesc scan, SampleScanState* state, TupleTableSlot* slot);
void free_scans_of(ResourceOwner owner);  // when it is released: those that an error left behind
void free_scans();                        // at the end of the transaction: all

// analyze.cpp
bool scan_analyze_next_block(TableScanDesc scan, BlockNumber block, BufferAccessStrategy strategy);
bool scan_analyze_next_tuple(TableScanDesc scan, TransactionId oldest_xmin, double* liverows,
                             double* deadrows, TupleTableSlot* slot);
uint64 relation_size(Relation relation, ForkNumber fork);
void relation_estimate_size(Relation relation, int32* widths, BlockNumber* pages, double* tuples,
                            double* all_visible);

// vacuum.cpp
void relation_vacuum(Relation relation, VacuumParams* params, BufferAccessStrategy strategy);

// index_build.cpp
double index_build_range_scan(Relation table, Relation index, IndexInfo* info, bool allow_sync,
                              bool anyvisible, bool progress, BlockNumber start, BlockNumber blocks,
                              IndexBuildCallback callback, void* state, TableScanDesc scan);
void index_validate_scan(Relation table, Relation index, IndexInfo* info, Snapshot snapshot,
                         ValidateIndexState* state);
TransactionId index_delete_tuples(Relation relation, TM_IndexDeleteOp* op);

// ddl.cpp
void relation_set_new_filenode(Relation relation, const RelFileNode* node, char persistence,
                               TransactionId* freeze_xid, MultiXactId* min_multi);
void relation_nontransactional_truncate(Relation relation);
void relation_copy_data(Relation relation, const RelFileNode* node);
void relation_copy_for_cluster(Relation from, Relation to, Relation index, bool use_sort,
                               TransactionId oldest_xmin, TransactionId* xid_cutoff,
                               MultiXactId* multi_cutoff, double* tuples, double* vacuumed,
                               double* recently_dead);

}  // namespace datahike::am
