#include "versioning/own_resets.h"

namespace datahike::versioning {

namespace {

struct OwnReset {
  int32_t branch;
  CommandId command;
  SubTransactionId sub;
  uint64_t number;  // never used twice by this process
};
std::vector<OwnReset> resets;  // in order
uint64_t last_number = 0;

}  // namespace

uint64_t own_reset(int32_t branch, CommandId before) {
  for (auto at = resets.rbegin(); at != resets.rend(); ++at)
    if (at->branch == branch && at->command < before) return at->number;
  return 0;
}

void note_own_reset(int32_t branch, CommandId command) {
  resets.push_back({branch, command, GetCurrentSubTransactionId(), ++last_number});
}

std::vector<int32_t> branches_reset() {
  std::vector<int32_t> branches;
  for (const OwnReset& reset : resets)
    if (std::find(branches.begin(), branches.end(), reset.branch) == branches.end())
      branches.push_back(reset.branch);
  return branches;
}

bool any_own_reset() noexcept { return !resets.empty(); }

void commit_resets_of(SubTransactionId sub, SubTransactionId parent) {
  for (OwnReset& reset : resets)
    if (reset.sub == sub) reset.sub = parent;
}

bool undo_resets_of(SubTransactionId sub) {
  return std::erase_if(resets, [=](const OwnReset& reset) { return reset.sub == sub; }) > 0;
}

void forget_own_resets() { resets.clear(); }

}  // namespace datahike::versioning
