// Further parents of the commits that the transaction will make.
#include "am/pending_transaction.h"
#include "pg/bridge.h"

namespace datahike::am {

void add_merge_parent(int32_t branch, const store::Uuid& commit) {
  refuse_when_written();
  lock_branch(branch);
  TransactionId xid = pg::call([] { return GetCurrentTransactionId(); });
  std::vector<store::Uuid> known = merge_parents(branch);
  if (std::find(known.begin(), known.end(), commit) != known.end()) return;
  known.push_back(commit);
  transaction.operations.push_back({Operation::AddParent, 0, branch, xid, 0, nullptr, 0, nullptr});
  try {
    transaction.parents[branch] = std::move(known);
  } catch (...) {
    transaction.operations.pop_back();
    throw;
  }
}

std::vector<store::Uuid> merge_parents(int32_t branch) {
  auto at = transaction.parents.find(branch);
  return at == transaction.parents.end() ? std::vector<store::Uuid>() : at->second;
}

bool has_merge_parents(int32_t branch) { return transaction.parents.count(branch) > 0; }

std::vector<int32_t> branches_with_merge_parents() {
  std::vector<int32_t> branches;
  for (const auto& [branch, parents] : transaction.parents) branches.push_back(branch);
  return branches;
}

}  // namespace datahike::am
