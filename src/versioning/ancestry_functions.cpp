// The SQL functions that ask how commits descend from one another, and merge_parent().
#include "am/branch_protection.h"
#include "am/pending.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/settings.h"
#include "store/ancestry.h"
#include "versioning/pin.h"
#include "versioning/revision.h"
#include "versioning/sql_values.h"

using namespace datahike;
using namespace datahike::versioning;

namespace {

void put_ancestors(ReturnSetInfo* result, const char* revision) {
  store::Uuid of = resolve_revision_or_current(revision);
  store::walk_log(store_for_reading(), of, [&](const store::Commit& commit) {
    if (commit.id == of) return true;
    const store::Uuid* id = &commit.id;
    pg::call([=] {
      CHECK_FOR_INTERRUPTS();
      Datum value = uuid_datum(*id);
      bool isnull = false;
      tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
    });
    return true;
  });
}

// The commit stays readable until this transaction ends, and then the log names it, and what is
// made of that.
void merge_parent(const char* source) {
  const SessionView& session = session_view();
  require_writable(session, "merge");
  am::require_may_merge(session.branch);
  store::Uuid commit = pin_named_commit(resolve_revision(source)).id;
  int32_t branch = session.branch;
  pg::call([=] { pg::lock_branch_for_merge(branch); });
  am::add_merge_parent(branch, commit);
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_ancestors);
PG_FUNCTION_INFO_V1(datahike_is_ancestor);
PG_FUNCTION_INFO_V1(datahike_common_ancestor);
PG_FUNCTION_INFO_V1(datahike_merge_parent);
PGDLLEXPORT Datum datahike_ancestors(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_is_ancestor(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_common_ancestor(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_merge_parent(PG_FUNCTION_ARGS);
}

Datum datahike_ancestors(PG_FUNCTION_ARGS) {
  char* revision = optional_text(fcinfo, 0);
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { put_ancestors(result, revision); });
  return 0;
}

Datum datahike_is_ancestor(PG_FUNCTION_ARGS) {
  char* a = required_text(fcinfo, 0, "a revision");
  char* b = required_text(fcinfo, 1, "a revision");
  return pg::guard([=] {
    store::Uuid ancestor = resolve_revision(a), commit = resolve_revision(b);
    return BoolGetDatum(store::Ancestry(store_for_reading()).is_ancestor(ancestor, commit));
  });
}

Datum datahike_common_ancestor(PG_FUNCTION_ARGS) {
  char* a = required_text(fcinfo, 0, "a revision");
  char* b = required_text(fcinfo, 1, "a revision");
  bool found = false;
  Datum result = pg::guard([a, b, &found]() -> Datum {
    store::Uuid of_a = resolve_revision(a), of_b = resolve_revision(b);
    auto base = store::Ancestry(store_for_reading()).common_ancestor(of_a, of_b);
    found = base.has_value();
    return found ? pg::call([&] { return uuid_datum(*base); }) : 0;
  });
  if (!found) PG_RETURN_NULL();
  return result;
}

Datum datahike_merge_parent(PG_FUNCTION_ARGS) {
  char* source = required_text(fcinfo, 0, "a revision");
  PreventCommandIfReadOnly("merge_parent()");
  PreventCommandIfParallelMode("merge_parent()");
  pg::guard([=] { merge_parent(source); });
  PG_RETURN_VOID();
}
