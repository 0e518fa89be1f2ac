#include "am/rowless_search.h"

#include "am/fetch.h"
#include "am/prepared.h"
#include "am/rowid_marks.h"
#include "am/rowids.h"
#include "am/rowless.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/log.h"
#include "pg/store.h"
#include "versioning/collected.h"

namespace datahike::am {

namespace {

// Entries that were looked at once are left alone for some time: most have a row, or will.
constexpr size_t kMostBlocks = 256;  // 2 MB a session
RowidMarks asked(kMostBlocks);
TimestampTz asked_since = 0;
constexpr int64_t kAskAgainUs = 10'000'000;

// A proof takes a snapshot and the newest state of each branch.
constexpr size_t kEnough = 64;
struct Suspects {
  uint64_t table = 0;
  std::unordered_set<uint64_t> rowids;
};
Suspects suspects;

bool is_stored(uint64_t table, uint64_t rowid) {
  store::Environment* env = pg::try_store();
  return env && env->segment(table, rowid).has_value();
}

}  // namespace

// The order is that of unique checks: who still runs is asked before the snapshot is taken, so a
// transaction that is not found there has ended, and if it committed, its rows are in the views or
// in the store.
void keep_rowless(std::unordered_set<uint64_t>& rowids, const RelationInfo& info) {
  restore_prepared();
  std::erase_if(rowids, [](uint64_t rowid) {
    RunningInsert insert;
    RunningInsert* out = &insert;
    return pg::call([=] { return find_running_insert(rowid, out); });
  });
  if (rowids.empty()) return;
  Snapshot snapshot = pg::call([] { return GetLatestSnapshot(); });
  std::vector<TableView> views;
  versioning::begin_using_views();
  for (int32_t branch : pg::branches_with_heads(snapshot))
    views.push_back(latest_table_view(info, branch));
  store::Environment* env = pg::try_store();
  if (env) env->refresh();
  std::erase_if(rowids, [&](uint64_t rowid) {
    for (const TableView& view : views)
      if (versioning::Overlay::find_added(*view.table, rowid) != view.table->added.end())
        return true;
    return env && env->segment(info.table, rowid).has_value();
  });
  versioning::end_using_views();
}

void suspect_entry(const RelationInfo& info, uint64_t rowid) {
  if (IsInParallelMode() || !versioning::dead_versions(info.table)) return;
  TimestampTz now = GetCurrentStatementStartTimestamp();
  if (now - asked_since > kAskAgainUs) {
    asked.clear();
    asked_since = now;
  }
  auto source = static_cast<int32_t>(pg::call([] { return pg::extension().rowid_block; }));
  if (asked.test(source, rowid)) return;
  asked.set(source, rowid);
  if (is_stored(info.table, rowid)) return;
  if (suspects.table != info.table) suspects = {info.table, {}};
  suspects.rowids.insert(rowid);
  if (suspects.rowids.size() < kEnough) return;
  std::unordered_set<uint64_t> rowids = std::move(suspects.rowids);
  suspects.rowids.clear();
  keep_rowless(rowids, info);
  for (uint64_t proven : rowids) remember_rowless(proven);
}

}  // namespace datahike::am
