// merge(), conflicts(), cherry_pick() and revert() of REFERENCE section 3.
#include "am/branch_protection.h"
#include "am/pending.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/settings.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "versioning/merge_request.h"
#include "versioning/pin.h"
#include "versioning/reset.h"
#include "versioning/revision.h"
#include "versioning/sql_values.h"

using namespace datahike;
using namespace datahike::versioning;

namespace {

// What the session writes; the branch is locked against other merges.
int32_t begin_merge(const char* what) {
  return pg::guard([=] {
    const SessionView& session = session_view();
    require_writable(session, what);
    int32_t branch = session.branch;
    pg::call([=] {
      pg::lock_branch_for_write(branch);
      pg::lock_branch_for_merge(branch);
    });
    return branch;
  });
}

MergeResult run_merge(const MergeRequest& request, int32_t branch) {
  if (!request.dry_run) pg::guard([=] { am::require_may_merge(branch); });
  am::begin_applying_merge(branch, request.dry_run);
  MergeResult result = merge_states(request);
  am::end_applying_merge();
  return result;
}

// Where a revision names a branch that this transaction has written, its changes would be left out.
// The commit stays until the transaction ends, and so does what it has in common with others.
store::Uuid resolve_source(const std::string& text) {
  std::string name = text.substr(0, text.find_first_of("~@"));
  const char* n = name.c_str();
  int64_t source = pg::call([n] { return pg::find_branch(n); });
  if (source >= 0 && source != session_view().branch &&
      am::has_pending_on(static_cast<int32_t>(source)))
    throw pg::SqlError(ERRCODE_FEATURE_NOT_SUPPORTED,
                       "cannot merge uncommitted changes of branch \"" + name + "\"",
                       "COMMIT first, or name a commit.");
  return pin_named_commit(resolve_revision(text)).id;
}

store::Uuid head_of_session(int32_t branch) {
  if (!IsolationUsesXactSnapshot()) return branch_head(branch);
  Snapshot snapshot = pg::call([] { return GetTransactionSnapshot(); });
  return current_commit(snapshot);
}

enum class Relationship { UpToDate, Behind, Diverged };

// Where theirs stands to what the session's branch has, commits that this transaction has merged
// already included.
Relationship relate(int32_t branch, const store::Uuid& theirs, MergeBase* base) {
  std::vector<store::Uuid> heads = am::merge_parents(branch), common;
  heads.push_back(head_of_session(branch));
  store::Environment& env = store_for_reading();  // the head may be newer than what it has read
  store::Ancestry ancestry(env);
  for (const store::Uuid& head : heads) {
    if (ancestry.is_ancestor(theirs, head)) return Relationship::UpToDate;
    for (const store::Uuid& commit : ancestry.merge_bases(head, theirs)) common.push_back(commit);
  }
  if (common.empty())
    throw pg::SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       "the two have no commit in common");
  *base = base_of_commits(ancestry, ancestry.independent(common));
  bool behind = heads.size() == 1 && common.front() == heads.front() && !am::has_pending_on(branch);
  return behind ? Relationship::Behind : Relationship::Diverged;
}

// The branch, which has nothing of its own, is set to theirs, unless somebody is writing it. False:
// an ordinary merge is to be made.
bool fast_forward(int32_t branch, const MergeRequest& request, const char* message) {
  const MergeRequest* r = &request;
  return pg::guard([=] {
    if (!pg::call([=] { return pg::try_lock_branch_exclusively(branch); })) return false;
    const store::Uuid& head = r->base.commit[0];
    if (head_of_session(branch) != head) return false;
    Reset reset;
    reset.operation = "fast-forward";
    reset.message = message ? message : "";
    reset.expected = head;
    reset.when_locked = [=] { am::require_may_merge(branch); };
    reset_branch(branch, r->theirs, reset);
    return true;
  });
}

// The commit's message, unless one is set: to the end of the transaction.
void set_message(const char* message, const char* what, const char* commit) {
  const char* text = message;
  if (!text && pg::setting_message && *pg::setting_message) return;
  if (!text) text = psprintf("%s %s", what, commit);
  set_config_option("datahike.message", text, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
                    false);
}

Datum result_row(FunctionCallInfo fcinfo, const char* status, const MergeResult& result) {
  TupleDesc desc;
  if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "a merge must return a row");
  Datum values[5] = {CStringGetTextDatum(status), Int64GetDatum(result.inserted),
                     Int64GetDatum(result.updated), Int64GetDatum(result.deleted),
                     Int64GetDatum(result.conflicts)};
  bool nulls[5] = {};
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

char* revision_argument(FunctionCallInfo fcinfo) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a revision must be named")));
  return text_to_cstring(PG_GETARG_TEXT_PP(0));
}

char* message_argument(FunctionCallInfo fcinfo) {
  return PG_ARGISNULL(3) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(3));
}

// A commit's change, or its opposite, as a merge. Answers with the commit's name for a message:
// what the revision names may move.
char* set_pick(MergeRequest* request, const char* revision, bool backwards) {
  return pg::guard([=] {
    store::Uuid commit = resolve_source(revision);
    store::Commit record = store::load_known_commit(store_for_reading(), commit);
    if (record.parents.empty())
      throw pg::SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                         "the first commit of all has nothing to pick or revert");
    const store::Uuid& parent = record.parents.front();
    request->base = base_of_commit(backwards ? commit : parent);
    request->theirs = backwards ? parent : commit;
    std::string name = store::format_uuid(commit).substr(0, 8);
    if (!record.message.empty()) name += ": " + record.message;
    const char* n = name.c_str();
    return pg::call([n] { return pstrdup(n); });
  });
}

Datum pick(FunctionCallInfo fcinfo, const char* what, bool backwards) {
  char* revision = revision_argument(fcinfo);
  PreventCommandIfReadOnly(what);
  MergeRequest request = merge_request(fcinfo);
  int32_t branch = begin_merge(what);
  char* commit = set_pick(&request, revision, backwards);
  MergeResult result = run_merge(request, branch);
  bool conflicts = result.unresolved > 0;
  bool nothing = result.inserted + result.updated + result.deleted == 0;
  if (!conflicts && !nothing)
    set_message(message_argument(fcinfo), backwards ? "Revert" : "Cherry-pick", commit);
  return result_row(fcinfo, conflicts ? "conflicts" : nothing ? "up to date" : "merged", result);
}

// What the source is to be merged from. False: there is nothing to merge.
bool set_merge(MergeRequest* request, const char* source, int32_t branch) {
  return pg::guard([=] {
    request->theirs = resolve_source(source);
    return relate(branch, request->theirs, &request->base) != Relationship::UpToDate;
  });
}

// What conflicts() is asked about: another name is refused.
bool set_operation(MergeRequest* request, const char* operation, const char* source,
                   int32_t branch) {
  bool backwards = std::strcmp(operation, "revert") == 0;
  if (backwards || std::strcmp(operation, "cherry_pick") == 0) {
    set_pick(request, source, backwards);
    return true;
  }
  if (std::strcmp(operation, "merge") == 0) return set_merge(request, source, branch);
  ereport(ERROR,
          (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown operation \"%s\"", operation),
           errhint("merge, cherry_pick or revert.")));
  pg_unreachable();
}

Datum jsonb_or_null(Datum value, bool* isnull) {
  *isnull = value == 0;
  return value;
}

void put_conflict(ReturnSetInfo* out, const MergeConflict& c) {
  Datum values[8] = {ObjectIdGetDatum(c.relation)};
  bool nulls[8] = {};
  values[1] = jsonb_or_null(c.key, &nulls[1]);
  nulls[2] = !c.column;
  if (c.column) values[2] = CStringGetTextDatum(c.column);
  values[3] = CStringGetTextDatum(c.kind);
  values[4] = jsonb_or_null(c.base, &nulls[4]);
  values[5] = jsonb_or_null(c.ours, &nulls[5]);
  values[6] = jsonb_or_null(c.theirs, &nulls[6]);
  nulls[7] = !c.constraint;
  if (c.constraint) values[7] = CStringGetTextDatum(c.constraint);
  tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_merge);
PG_FUNCTION_INFO_V1(datahike_conflicts);
PG_FUNCTION_INFO_V1(datahike_cherry_pick);
PG_FUNCTION_INFO_V1(datahike_revert);
PGDLLEXPORT Datum datahike_merge(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_conflicts(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_cherry_pick(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_revert(PG_FUNCTION_ARGS);
}

Datum datahike_merge(PG_FUNCTION_ARGS) {
  char* source = revision_argument(fcinfo);
  PreventCommandIfReadOnly("merge()");
  MergeRequest request = merge_request(fcinfo);
  int32_t branch = begin_merge("merge");
  MergeRequest* r = &request;
  Relationship relationship = pg::guard([=] {
    r->theirs = resolve_source(source);
    return relate(branch, r->theirs, &r->base);
  });
  if (relationship == Relationship::UpToDate) return result_row(fcinfo, "up to date", {});
  request.fast_forward = relationship == Relationship::Behind && !IsolationIsSerializable();
  if (request.fast_forward) {
    MergeResult planned = run_merge(request, branch);
    if (planned.self_contained && fast_forward(branch, request, message_argument(fcinfo)))
      return result_row(fcinfo, "fast-forward", planned);
    request.fast_forward = false;
  }
  MergeResult result = run_merge(request, branch);
  if (result.unresolved > 0) return result_row(fcinfo, "conflicts", result);
  pg::guard([=] { am::add_merge_parent(branch, r->theirs); });
  set_message(message_argument(fcinfo), "Merge", source);
  return result_row(fcinfo, "merged", result);
}

Datum datahike_conflicts(PG_FUNCTION_ARGS) {
  char* source = revision_argument(fcinfo);
  char* operation = required_text(fcinfo, 3, "the operation");
  PreventCommandIfReadOnly("conflicts()");
  InitMaterializedSRF(fcinfo, 0);
  MergeRequest request = merge_request(fcinfo);
  request.dry_run = true;
  int32_t branch = begin_merge("look for conflicts");
  if (!set_operation(&request, operation, source, branch)) return 0;
  MergeResult result = run_merge(request, branch);
  auto* out = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  ListCell* cell;
  foreach (cell, result.list) put_conflict(out, *static_cast<MergeConflict*>(lfirst(cell)));
  return 0;
}

Datum datahike_cherry_pick(PG_FUNCTION_ARGS) { return pick(fcinfo, "cherry_pick()", false); }

Datum datahike_revert(PG_FUNCTION_ARGS) { return pick(fcinfo, "revert()", true); }
