#include "datalog/sql/row_lookup.h"

#include "pg/store.h"

namespace datahike::query {

namespace {

constexpr size_t kMostVersions = 20000;  // of all entities that are asked for

class Lookup {
 public:
  Lookup(uint64_t table, int32_t branch)
      : table_(table),
        env_(pg::try_store()),
        own_(am::find_pending(branch, table)),
        view_(versioning::latest_view(branch)),
        overlay_(view_.overlay->table(table)) {}

  bool has(uint64_t rowid) {
    if (own_ && am::find_pending_row(*own_, rowid)) return true;
    return versioning::find_row(view_, overlay_, table_, rowid).has_value();
  }

  // Adds what came after the row version, on whatever branch.
  void add_successors(uint64_t rowid, std::vector<uint64_t>& out) {
    if (own_)
      if (auto removed = own_->removed.find(rowid); removed != own_->removed.end())
        out.push_back(removed->second.successor);
    if (const versioning::RemovedRow* removed = versioning::Overlay::find_removed(overlay_, rowid))
      out.push_back(removed->successor);
    if (env_)
      for (const store::BranchLineage& l : env_->lineage_on_branches(table_, rowid))
        out.push_back(l.lineage.successor);
  }

 private:
  uint64_t table_;
  store::Environment* env_;
  am::TablePending* own_;
  versioning::View view_;
  versioning::TableOverlay& overlay_;
};

}  // namespace

std::optional<RowsOfEntities> rows_of_entities(uint64_t table, int32_t branch,
                                               const std::vector<int64_t>& entities) {
  if (branch < 0) branch = versioning::current_settings().branch;
  if (branch < 0) return std::nullopt;
  Lookup lookup(table, branch);
  RowsOfEntities found;
  std::unordered_set<uint64_t> seen;
  std::vector<uint64_t> worklist;
  for (int64_t e : entities) {
    if (e < kFirstRowEntity || e >= kFirstBehindRows) continue;
    auto first = static_cast<uint64_t>(e - kFirstRowEntity);
    // A row of another table, or one whose first version is collected: its entity stays.
    if (!lookup.has(first)) return std::nullopt;
    found.entities.push_back(e);
    for (worklist.push_back(first); !worklist.empty();) {
      uint64_t rowid = worklist.back();
      worklist.pop_back();
      if (rowid == 0 || !seen.insert(rowid).second) continue;
      if (seen.size() > kMostVersions) return std::nullopt;
      found.rowids.push_back(rowid);
      lookup.add_successors(rowid, worklist);
    }
  }
  return found;
}

}  // namespace datahike::query
