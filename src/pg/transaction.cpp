// Transaction callbacks: where pending rows become log rows, and where they are forgotten.
#include "am/callbacks.h"
#include "am/convert.h"
#include "am/pending.h"
#include "am/prepared.h"
#include "am/relation.h"
#include "am/rewrite.h"
#include "am/rowid_blocks.h"
#include "am/rowids.h"
#include "am/serializable.h"
#include "am/shared_changes.h"
#include "pg/bridge.h"
#include "pg/hooks.h"
#include "pg/pins.h"
#include "pg/shared.h"
#include "pg/store.h"
#include "pg/template_store.h"
#include "pg/worker.h"
#include "versioning/own_resets.h"
#include "versioning/view.h"

namespace datahike::pg {

namespace {

bool wrote = false;

// Must not raise: it runs after the commit, or within an abort.
void end_transaction(am::Ended how) {
  forget_queries();
  am::free_scans();
  am::end_pending(how);
  am::end_serializable();
  am::end_relation_infos();
  am::forget_casts();
  am::forget_rewrites();
  if (versioning::any_own_reset()) am::resets_were_undone();
  versioning::forget_own_resets();
  versioning::release_views(true);
  unpin_commits();
  forget_next_xid();
  release_store();
}

void on_transaction(XactEvent event, void*) {
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
      guard([] {
        wrote = am::has_pending() || versioning::any_own_reset();
        if (wrote) am::write_pending_to_log();
      });
      break;
    case XACT_EVENT_PRE_PREPARE:
      guard([] {
        if (am::has_pending() || versioning::any_own_reset()) am::write_pending_to_log();
        am::write_prepared_locks();
      });
      break;
    case XACT_EVENT_COMMIT:
      if (wrote) wake_worker();
      wrote = false;
      end_database_creation(true);
      end_transaction(am::Ended::Committed);
      break;
    case XACT_EVENT_PREPARE:
      am::leave_prepared();
      wrote = false;
      end_transaction(am::Ended::Prepared);
      break;
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PARALLEL_ABORT:
      am::forget_shared_changes();
      [[fallthrough]];
    case XACT_EVENT_ABORT:
      wrote = false;
      end_database_creation(false);
      end_transaction(am::Ended::RolledBack);
      break;
    default:
      break;
  }
}

void on_subtransaction(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void*) {
  guard([=] {
    switch (event) {
      case SUBXACT_EVENT_START_SUB:
        am::begin_subtransaction(sub);
        break;
      case SUBXACT_EVENT_COMMIT_SUB:
        am::commit_subtransaction(sub);
        am::pass_begun_blocks(sub, parent);
        versioning::commit_resets_of(sub, parent);
        break;
      case SUBXACT_EVENT_ABORT_SUB:
        am::abort_subtransaction(sub);
        am::undo_begun_blocks_of(sub);
        if (versioning::undo_resets_of(sub)) am::resets_were_undone();
        break;
      default:
        break;
    }
  });
}

void on_release(ResourceReleasePhase phase, bool, bool, void*) {
  if (phase == RESOURCE_RELEASE_BEFORE_LOCKS) am::free_scans_of(CurrentResourceOwner);
}

}  // namespace

void install_transaction_callbacks() {
  RegisterXactCallback(on_transaction, nullptr);
  RegisterSubXactCallback(on_subtransaction, nullptr);
  RegisterResourceReleaseCallback(on_release, nullptr);
}

}  // namespace datahike::pg
