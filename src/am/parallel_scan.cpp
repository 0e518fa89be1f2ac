#include "am/parallel_scan.h"

#include "pg/bridge.h"
#include "versioning/shared_view.h"

namespace datahike::am {

Size parallelscan_estimate(Relation) { return MAXALIGN(sizeof(ParallelScan)); }

// Workers have the rows that this transaction has written where its query shares them; where it
// does not, it is the leader's alone.
Size parallelscan_initialize(Relation relation, ParallelTableScanDesc descriptor) {
  pg::guard([=] {
    auto* scan = reinterpret_cast<ParallelScan*>(descriptor);
    const versioning::SessionView& session = versioning::session_view();
    scan->base.phs_relid = RelationGetRelid(relation);
    scan->base.phs_syncscan = false;
    scan->branch = session.branch;
    scan->pinned = session.pinned;
    pg_atomic_init_u64(&scan->next, 0);
    TablePending* own = find_pending(session.branch, relation_info(relation).table);
    if (own && !own->empty() && !session.pinned && !versioning::shared_changes())
      throw pg::SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                         std::string("parallel scan of table ") +
                             RelationGetRelationName(relation) +
                             " in a transaction that has changed it",
                         "SET max_parallel_workers_per_gather = 0.");
  });
  return MAXALIGN(sizeof(ParallelScan));
}

void parallelscan_reinitialize(Relation, ParallelTableScanDesc descriptor) {
  pg_atomic_write_u64(&reinterpret_cast<ParallelScan*>(descriptor)->next, 0);
}

}  // namespace datahike::am
