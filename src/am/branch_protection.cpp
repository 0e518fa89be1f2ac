#include "am/branch_protection.h"

#include "am/pending.h"
#include "pg/branch_ids.h"
#include "pg/branches.h"
#include "pg/bridge.h"
#include "pg/catalog.h"

namespace datahike::am {

namespace {

struct Applying {
  int32_t branch = -1;
  bool dry_run = false;
  SubTransactionId sub = InvalidSubTransactionId;
};
Applying applying;

// What was found last: most transactions change one branch in one role.
struct Checked {
  uint64_t generation = 0;
  int32_t branch = -1;
  Oid role = InvalidOid;
  bool is_protected = false, may_merge = false;
};
Checked last;

// Referential actions run as the table's owner: the role that the session acts in counts.
Oid acting_role() { return InLocalUserIdChange() ? GetOuterUserId() : GetUserId(); }

const Checked& look(int32_t branch) {
  Oid role = acting_role();
  uint64_t generation = pg::branches_generation();
  if (last.generation == generation && last.branch == branch && last.role == role &&
      !last.is_protected)
    return last;
  Checked found{generation, branch, role};
  pg::call([&] {
    pg::BranchRow row;
    if (!pg::find_branch_row(branch, &row)) return;
    found.is_protected = row.is_protected;
    found.may_merge = row.is_protected && pg::may_merge(row, role);
  });
  return last = found;
}

[[noreturn]] void refuse(int32_t branch, const char* what) {
  throw pg::SqlError(
      ERRCODE_INSUFFICIENT_PRIVILEGE,
      std::string("branch \"") + pg::branch_name(branch) + "\" is protected: " + what,
      "datahike.branch_permissions shows who may merge; datahike.unprotect_branch() is for the "
      "branch's owner.");
}

}  // namespace

void begin_applying_merge(int32_t branch, bool dry_run) noexcept {
  applying = {branch, dry_run, GetCurrentSubTransactionId()};
}

void end_applying_merge() noexcept { applying = {}; }

void end_applying_merge_of(uint32_t subtransaction) noexcept {
  if (applying.sub == subtransaction) applying = {};
}

void require_may_change(int32_t branch) {
  const Checked& checked = look(branch);
  if (!checked.is_protected) return;
  bool merging = applying.branch == branch;
  if (merging && applying.dry_run) return;
  if (!merging && !has_merge_parents(branch))
    refuse(branch, "its rows are changed by merges alone");
  require_may_merge(branch);
}

void require_may_merge(int32_t branch) {
  const Checked& checked = look(branch);
  if (checked.is_protected && !checked.may_merge)
    refuse(branch, "this role is none of those that may merge into it");
}

}  // namespace datahike::am
