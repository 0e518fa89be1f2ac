#include "pg/live_snapshots.h"

extern "C" {
#include "lib/pairingheap.h"
#include "utils/snapmgr.h"
}

namespace datahike::pg {

namespace {

// How many snapshots were active when the subtransaction of each level began that did so last, from
// level 2 on; -1: not counted.
constexpr int kMostLevels = 64;
int active_at_start[kMostLevels + 1];

bool levels_are_known(int level) {
  if (level > kMostLevels) return false;
  for (int i = 2; i <= level; ++i)
    if (active_at_start[i] < 0) return false;
  return true;
}

// The level of the entry that has `below` others below it, `level` being the deepest.
int level_of(int below, int level) {
  while (level > 1 && below < active_at_start[level]) --level;
  return level;
}

// Visits the active snapshots from the top; returns how many there are. The stack can only be seen
// by taking it off, so it is put back afterwards as it was, all but the lowest entry, which stays:
// an empty stack would let go of the horizon that others spare. A count of registrations keeps each
// snapshot meanwhile. REQUIRES: levels_are_known(level).
template <class Visit>
int walk_stack(int level, Visit&& visit) {
  static std::vector<Snapshot> taken;
  if (!ActiveSnapshotSet()) return 0;
  // That of the lowest entry where snapshots have no LSN.
  Snapshot lowest = GetOldestSnapshot();
  taken.clear();
  try {
    taken.reserve(64);
    for (;;) {
      Snapshot top = GetActiveSnapshot();
      visit(top);
      if (top == lowest && top->active_count == 1) break;
      taken.push_back(top);
      ++top->regd_count;
      PopActiveSnapshot();
    }
  } catch (const std::bad_alloc&) {
    // How many are left, which their levels go by, is not known.
    ereport(FATAL, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
  }
  int count = 1;
  for (size_t i = taken.size(); i-- > 0; ++count) {
    PushActiveSnapshotWithLevel(taken[i], level_of(count, level));
    --taken[i]->regd_count;
  }
  return count;
}

struct Found {
  CommandId* commands;
  int count;
  void add(Snapshot snapshot) {
    if (count < kMostLiveSnapshots) commands[count] = snapshot->curcid;
    ++count;
  }
};

// All registered snapshots are nodes of one heap, which is reached from any of them. False: too
// many.
bool visit_registered(Snapshot from, Found* found) {
  pairingheap_node* open[kMostLiveSnapshots];
  int left = 0;
  pairingheap_node* root = &from->ph_node;
  while (root->prev_or_parent) root = root->prev_or_parent;
  open[left++] = root;
  while (left > 0) {
    pairingheap_node* node = open[--left];
    auto* snapshot =
        reinterpret_cast<Snapshot>(reinterpret_cast<char*>(node) - offsetof(SnapshotData, ph_node));
    // The catalogs' snapshot is a node without being registered; no table is read with it.
    if (snapshot->regd_count > 0) found->add(snapshot);
    for (pairingheap_node* next : {node->next_sibling, node->first_child}) {
      if (!next) continue;
      if (left == kMostLiveSnapshots) return false;
      open[left++] = next;
    }
  }
  return true;
}

}  // namespace

int live_command_ids(CommandId* commands) {
  int level = GetCurrentTransactionNestLevel();
  if (old_snapshot_threshold >= 0 || IsInParallelMode() || !ActiveSnapshotSet() ||
      !levels_are_known(level))
    return -1;
  Found found{commands, 0};
  Snapshot anchor = RegisterSnapshot(GetActiveSnapshot());
  bool all = visit_registered(anchor, &found);
  UnregisterSnapshot(anchor);
  Found* f = &found;
  walk_stack(level, [=](Snapshot snapshot) { f->add(snapshot); });
  return all && found.count <= kMostLiveSnapshots ? found.count : -1;
}

void note_subtransaction_start(bool counts) {
  int level = GetCurrentTransactionNestLevel();
  if (level > kMostLevels) return;
  bool known = counts && old_snapshot_threshold < 0 && levels_are_known(level - 1);
  active_at_start[level] = known ? walk_stack(level - 1, [](Snapshot) {}) : -1;
}

}  // namespace datahike::pg
