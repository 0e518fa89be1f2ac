// Tables coming, being emptied, and going.
#include "am/callbacks.h"

#include "am/added_defaults.h"
#include "am/branch_protection.h"
#include "am/fetch.h"
#include "am/floor.h"
#include "am/pending.h"
#include "am/rewrite.h"
#include "am/sample.h"
#include "am/serializable.h"
#include "am/truncation.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/shared.h"

namespace datahike::am {

namespace {

void truncate(Relation relation) {
  pg::guard([=] {
    const versioning::SessionView& session = versioning::session_view();
    versioning::require_writable(session, "TRUNCATE");
    require_may_change(session.branch);
    pg::call([] { GetCurrentTransactionId(); });
    const RelationInfo& info = relation_info(relation);
    TablePending& pending = pending_for(relation, info, session.branch, Purpose::Replace);
    note_serializable_clear(info.table, session.branch);
    clear_table(pending, pg::call([] { return GetCurrentCommandId(true); }));
  });
}

}  // namespace

void relation_set_new_filenode(Relation relation, const RelFileNode* node, char persistence,
                               TransactionId* freeze_xid, MultiXactId* min_multi) {
  pg::require_preloaded();
  // Temporary tables have been sent to heap; REFRESH MATERIALIZED VIEW CONCURRENTLY makes one of
  // the view's access method, fills it, reads it, and drops it.
  *freeze_xid = RecentXmin;
  *min_multi = GetOldestMultiXactId();
  // There is a main fork though it holds no rows: PostgreSQL stats, prefetches and copies it
  // without asking the access method.
  Oid relid = RelationGetRelid(relation);
  if (pg::find_table_id(relid) == 0) {
    make_file(node, persistence, 0);
    pg::make_table(relid);
    return;
  }
  make_file(node, persistence, read_floor(relation));
  truncate(relation);  // TRUNCATE gives an existing relation a new file
  keep_indexes_with_new_file(relation);
}

void relation_nontransactional_truncate(Relation relation) {
  truncate(relation);
  keep_indexes_in_place(relation);
}

void relation_copy_data(Relation relation, const RelFileNode* node) {
  copy_file_to(relation, node);
}

// VACUUM FULL: rows keep their rowids and their place in the store, as under CLUSTER by an index
// that has no order. PostgreSQL swaps the files, which hold no rows, and rebuilds the indexes.
void relation_copy_for_cluster(Relation from, Relation to, Relation index, bool, TransactionId,
                               TransactionId*, MultiXactId*, double* tuples, double* vacuumed,
                               double* recently_dead) {
  carry_floor(from, to);
  pg::guard([=] {
    forget_rewrite(RelationGetRelid(to));
    save_added_defaults(from, RelationGetDescr(from));
    convert_older_rows(from);
    if (index && index->rd_rel->relam == BTREE_AM_OID) sort_rows(from, index);
    const RelationInfo& info = relation_info(from);
    TableView view = latest_table_view(info, versioning::session_view().branch);
    *tuples = static_cast<double>(count_rows(view));
  });
  *vacuumed = 0;
  *recently_dead = 0;
}

}  // namespace datahike::am
