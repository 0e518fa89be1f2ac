#include "am/rowless.h"

#include "am/rowid_marks.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/live_snapshots.h"
#include "versioning/collected.h"
#include "versioning/redacted.h"

namespace datahike::am {

namespace {

constexpr size_t kMostBlocks = 256;  // 2 MB a session
constexpr uint64_t kMostRows = kMostBlocks << 16;
// By the sequence that rowids come from: after DROP EXTENSION has been rolled back those of the new
// one mean nothing, and its numbers are handed out again.
RowidMarks rowless(kMostBlocks);
Oid source = InvalidOid;  // of the rowids that this transaction takes

int32_t group_of(Oid sequence) { return static_cast<int32_t>(sequence); }

// The command ids that the session's snapshots had when it was looked. What is taken later has
// `until` or a greater one, so what was invisible to all of them remains so.
struct LiveCommands {
  LocalTransactionId transaction = InvalidLocalTransactionId;
  CommandId until = 0;
  int count = 0;
  CommandId command[pg::kMostLiveSnapshots];
  unsigned missed = 0;  // entries that might be dead as well, looked at since
};
LiveCommands live;
// To look at the snapshots costs more than to pass over a few entries.
constexpr unsigned kMostMissed = 16;

// Whether snapshots with command ids after + 1 .. last are known not to be there.
bool none_known_within(CommandId after, CommandId last) {
  if (last >= live.until) return false;
  const CommandId* commands = live.command;
  return std::none_of(commands, commands + live.count,
                      [=](CommandId command) { return after < command && command <= last; });
}

void look_at_snapshots() {
  live.until = 0;
  live.missed = 0;
  CommandId now = pg::call([] { return GetCurrentCommandId(false); });
  live.count = pg::call([] { return pg::live_command_ids(live.command); });
  if (live.count >= 0) live.until = now;
}

bool no_snapshot_within(CommandId after, CommandId last) {
  if (last <= after) return true;  // superseded by the command that wrote it
  if (live.transaction != MyProc->lxid) {
    live = LiveCommands();
    live.transaction = MyProc->lxid;
  }
  if (none_known_within(after, last)) return true;
  if (++live.missed < kMostMissed) return false;
  look_at_snapshots();
  return none_known_within(after, last);
}

bool is_superseded_for_good(uint64_t table, uint64_t rowid) {
  if (!has_pending_of(table)) return false;
  TablePending* own = find_pending(versioning::session_view().branch, table);
  if (!own || !own->superseded_own) return false;
  auto removal = own->removed.find(rowid);
  if (removal == own->removed.end()) return false;
  PendingRow row = find_pending_row(*own, rowid);
  return row && !may_come_back(row.run->sub, removal->second.sub) &&
         no_snapshot_within(row.run->cid, removal->second.cid);
}

void remember(uint64_t first, uint64_t count) {
  for (uint64_t rowid = first; rowid < first + std::min(count, kMostRows); ++rowid)
    rowless.set(group_of(source), rowid);
}

}  // namespace

namespace {
unsigned dead_entries_met = 0;
constexpr unsigned kMostMet = 16;
}  // namespace

void note_dead_entry_met() { ++dead_entries_met; }

bool is_time_to_mark_dead_entries() {
  if (dead_entries_met < kMostMet) return false;
  dead_entries_met = 0;
  return true;
}

void note_source_of_rowids() {
  source = pg::call([] { return pg::extension().rowid_block; });
}

bool is_dead_entry(uint64_t table, uint64_t rowid) {
  if (versioning::is_redacted(rowid)) return true;
  if (!rowless.empty()) {
    Oid sequence = pg::call([] { return pg::extension().rowid_block; });
    if (rowless.test(group_of(sequence), rowid)) return true;
  }
  return is_superseded_for_good(table, rowid) || versioning::is_dead_for_all(table, rowid);
}

// What is not remembered for want of memory is found by VACUUM.
void remember_rolled_back(const PendingRun& run) noexcept {
  try {
    remember(run.first, run.count);
  } catch (...) {
    rowless.clear();
  }
}

void remember_rowless(uint64_t rowid) {
  Oid sequence = pg::call([] { return pg::extension().rowid_block; });
  rowless.set(group_of(sequence), rowid);
}

void remember_rowless(TablePending& table, bool committed) noexcept {
  if (!committed) {
    for (const auto& [first, run] : table.runs) remember_rolled_back(run);
    return;
  }
  if (!table.superseded_own) return;
  try {
    for (const auto& [rowid, removal] : table.removed)
      if (find_pending_row(table, rowid)) remember(rowid, 1);
  } catch (...) {
    rowless.clear();
  }
}

}  // namespace datahike::am
