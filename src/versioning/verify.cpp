// datahike.verify(): what the store and the branches' heads say, recomputed.
#include "versioning/findings.h"

#include "iforest/sql/verify_models.h"
#include "pg/bridge.h"
#include "pg/log.h"
#include "pg/snapshot.h"
#include "pg/store.h"
#include "versioning/view.h"

using namespace datahike;
using namespace datahike::versioning;

namespace datahike::versioning {

void put_finding(ReturnSetInfo* result, const store::Finding& finding) {
  const store::Finding* f = &finding;
  pg::call([=] {
    Datum values[3] = {};
    bool nulls[3] = {!f->commit, false, f->detail.empty()};
    if (f->commit) {
      auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
      std::memcpy(uuid->data, f->commit->data(), UUID_LEN);
      values[0] = UUIDPGetDatum(uuid);
    }
    values[1] = CStringGetTextDatum(f->corrupt ? "corrupt" : f->redacted ? "redacted" : "ok");
    if (!nulls[2]) values[2] = CStringGetTextDatum(f->detail.c_str());
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  });
}

void report_findings(store::Environment& env, bool deep, ReturnSetInfo* result) {
  store::verify(
      env, deep, [=](const store::Finding& finding) { put_finding(result, finding); },
      [] { pg::call([] { CHECK_FOR_INTERRUPTS(); }); });
}

}  // namespace datahike::versioning

namespace {

std::string damage_of_head(store::Environment& env, const pg::Head& head) {
  const std::string name = "commit " + store::format_uuid(head.commit) + ", the head of branch " +
                           std::to_string(head.branch);
  try {
    std::optional<store::Commit> commit = store::load_commit(env, head.commit);
    if (!commit) return name + ", is missing";
    if (commit->tx != head.tx) return name + ", has another transaction number";
    if (head.has_root && (!commit->keyframe || !commit->root.same_content(head.root)))
      return name + ", has another version tree";
  } catch (const CollectedError&) {
    return "";  // of a deleted branch, just now
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void verify_store(bool deep, ReturnSetInfo* result) {
  if (!pg::try_store()) wait_for_fold();
  store::Environment& env = pg::open_store();
  // Heads first: what they name is in every later state of the store.
  Snapshot snapshot = pg::call([] { return pg::latest_snapshot(); });
  std::vector<pg::Head> heads;
  for (int32_t branch : pg::branches_with_heads(snapshot))
    if (std::optional<pg::Head> head = pg::read_head(branch, snapshot))
      heads.push_back(std::move(*head));
  env.refresh();
  report_findings(env, deep, result);
  for (const pg::Head& head : heads)
    if (std::string damage = damage_of_head(env, head); !damage.empty())
      put_finding(result, {std::nullopt, true, false, damage});
  if (deep)
    anomaly::find_damaged_models([result](const std::string& damage) {
      put_finding(result, {std::nullopt, true, false, damage});
    });
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_verify);
PGDLLEXPORT Datum datahike_verify(PG_FUNCTION_ARGS);
}

Datum datahike_verify(PG_FUNCTION_ARGS) {
  bool deep = PG_GETARG_BOOL(0);
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { verify_store(deep, result); });
  return 0;
}
