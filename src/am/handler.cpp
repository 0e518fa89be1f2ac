// The table of callbacks.
#include "am/callbacks.h"
#include "am/parallel_scan.h"
#include "am/slot.h"
#include "pg/shared.h"

namespace datahike::am {

namespace {

const TupleTableSlotOps* slot_callbacks(Relation) { return &slot_operations; }

// Nothing is ever moved to a TOAST table here: large values are in the store. A table has one where
// heap's has, for its options and for SET ACCESS METHOD heap, which does not make one itself.
bool needs_toast_table(Relation relation) {
  return GetHeapamTableAmRoutine()->relation_needs_toast_table(relation);
}
Oid toast_access_method(Relation) { return HEAP_TABLE_AM_OID; }

const TableAmRoutine routine = {
    .type = T_TableAmRoutine,
    .slot_callbacks = slot_callbacks,
    .scan_begin = scan_begin,
    .scan_end = scan_end,
    .scan_rescan = scan_rescan,
    .scan_getnextslot = scan_getnextslot,
    .scan_set_tidrange = scan_set_tidrange,
    .scan_getnextslot_tidrange = scan_getnextslot_tidrange,
    .parallelscan_estimate = parallelscan_estimate,
    .parallelscan_initialize = parallelscan_initialize,
    .parallelscan_reinitialize = parallelscan_reinitialize,
    .index_fetch_begin = index_fetch_begin,
    .index_fetch_reset = index_fetch_reset,
    .index_fetch_end = index_fetch_end,
    .index_fetch_tuple = index_fetch_tuple,
    .tuple_fetch_row_version = fetch_row_version,
    .tuple_tid_valid = tuple_tid_valid,
    .tuple_get_latest_tid = get_latest_tid,
    .tuple_satisfies_snapshot = tuple_satisfies_snapshot,
    .index_delete_tuples = index_delete_tuples,
    .tuple_insert = tuple_insert,
    .tuple_insert_speculative = tuple_insert_speculative,
    .tuple_complete_speculative = tuple_complete_speculative,
    .multi_insert = multi_insert,
    .tuple_delete = tuple_delete,
    .tuple_update = tuple_update,
    .tuple_lock = tuple_lock,
    .finish_bulk_insert = finish_bulk_insert,
    .relation_set_new_filenode = relation_set_new_filenode,
    .relation_nontransactional_truncate = relation_nontransactional_truncate,
    .relation_copy_data = relation_copy_data,
    .relation_copy_for_cluster = relation_copy_for_cluster,
    .relation_vacuum = relation_vacuum,
    .scan_analyze_next_block = scan_analyze_next_block,
    .scan_analyze_next_tuple = scan_analyze_next_tuple,
    .index_build_range_scan = index_build_range_scan,
    .index_validate_scan = index_validate_scan,
    .relation_size = relation_size,
    .relation_needs_toast_table = needs_toast_table,
    .relation_toast_am = toast_access_method,
    .relation_fetch_toast_slice = nullptr,
    .relation_estimate_size = relation_estimate_size,
    .scan_bitmap_next_block = scan_bitmap_next_block,
    .scan_bitmap_next_tuple = scan_bitmap_next_tuple,
    .scan_sample_next_block = scan_sample_next_block,
    .scan_sample_next_tuple = scan_sample_next_tuple,
};

}  // namespace

}  // namespace datahike::am

extern "C" {
PG_FUNCTION_INFO_V1(datahike_table_am_handler);
PGDLLEXPORT Datum datahike_table_am_handler(PG_FUNCTION_ARGS);
}

Datum datahike_table_am_handler(PG_FUNCTION_ARGS) { PG_RETURN_POINTER(&datahike::am::routine); }
