#include "versioning/collected.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/keep_history.h"
#include "pg/pins.h"
#include "pg/store.h"
#include "versioning/computed.h"

namespace datahike::versioning {

namespace {

constexpr size_t kMostKept = 64;  // live sets that a look at a single row may have to ask

struct Known {
  uint64_t changes = 0;  // pg::horizon_changes() before it was read
  std::unique_ptr<store::DeadVersions> dead;
};
std::unordered_map<uint64_t, Known> known;  // by table
constexpr size_t kMostKnown = 64;

// Commits found readable in the transaction that is running: their pins last as long.
struct Readable {
  LocalTransactionId transaction = InvalidLocalTransactionId;
  std::set<std::pair<uint64_t, uint64_t>> commits;  // tx and table
};
constexpr uint64_t kHistory = uint64_t{1} << 63;  // beside a tx: all that came after it
Readable readable;

bool is_found_readable(uint64_t tx, uint64_t table) {
  if (readable.transaction != MyProc->lxid) {
    readable.transaction = MyProc->lxid;
    readable.commits.clear();
  }
  return readable.commits.count({tx, table}) > 0;
}

// `live`: the table's live set in the commit where that is at hand.
bool is_kept(const store::Horizon& horizon, uint64_t tx, const tree::NodeRef* live) {
  if (tx >= horizon.mark.last_tx) return true;
  for (const store::KeptVersion& kept : horizon.kept) {
    if (kept.tx == tx) return true;
    // The very same rows are those of a later commit.
    if (live && (live->empty() || live->same_content(kept.live))) return true;
  }
  return live && live->empty();
}

std::string table_named(uint64_t table) {
  char* name = pg::call([=]() -> char* {
    Oid relation = pg::find_relation(table);
    return OidIsValid(relation) ? get_rel_name(relation) : nullptr;
  });
  return name ? "table \"" + std::string(name) + "\"" : "a table";
}

constexpr char kSettings[] =
    "datahike.keep_history and datahike.set_keep_history() say how much is kept";

[[noreturn]] void refuse(uint64_t table, uint64_t tx) {
  throw pg::SqlError(ERRCODE_SNAPSHOT_TOO_OLD,
                     "the history of " + table_named(table) + " at transaction " +
                         std::to_string(tx) + " has been collected",
                     std::string(kSettings) + "; read a newer commit.");
}

[[noreturn]] void refuse_history(uint64_t table, const store::Horizon& horizon) {
  const std::string first = std::to_string(horizon.mark.last_tx);
  throw pg::SqlError(ERRCODE_SNAPSHOT_TOO_OLD,
                     "the history of " + table_named(table) + " before transaction " + first +
                         " has been collected",
                     std::string(kSettings) +
                         "; datahike.history shows what came later where datahike.since is " +
                         first + " or later.");
}

}  // namespace

namespace {

// Row versions of later commits than a horizon's are not dead under it.
void require_history_kept(uint64_t after_tx, uint64_t table) {
  uint64_t key = kHistory | after_tx;
  if (is_found_readable(key, table)) return;
  store::Environment* env = pg::try_store();
  if (!env) return;
  pg::call([=] { pg::pin_commit(std::max<uint64_t>(after_tx, 1)); });
  env->refresh();  // not before the pin: see pins.h
  std::optional<store::Horizon> horizon = store::read_horizon(*env, table);
  if (horizon && after_tx < horizon->mark.last_tx) refuse_history(table, *horizon);
  readable.commits.insert({key, table});
}

// Only a commit that the horizon has passed is worth making a view of.
void require_step_kept(const ComputedFrom& from, uint64_t table) {
  const uint64_t tx = from.rows_of.tx;
  if (is_found_readable(tx, table)) return;
  store::Environment& env = pg::open_store();
  env.refresh();  // not before the pin: see pins.h
  std::optional<store::Horizon> horizon = store::read_horizon(env, table);
  if (horizon && tx < horizon->mark.last_tx) require_kept(view_of_commit(from.step->of), table);
}

}  // namespace

void require_kept(const View& view, uint64_t table) {
  if (view.computed_from) {
    const ComputedFrom& from = *view.computed_from;
    if (from.history_of) return require_history_kept(from.after_tx, table);
    if (from.step) return require_step_kept(from, table);
    // What is not shown need not be readable, nor need rows of the branch itself be asked about.
    if (!from.unfolded_after) require_kept(from.rows_of, table);
    return;
  }
  if (!view.pinned) return;
  if (is_found_readable(view.tx, table)) return;
  store::Environment* env = pg::try_store();
  if (!env) return;
  env->refresh();  // not before the pin: see pins.h
  if (std::optional<store::Horizon> horizon = store::read_horizon(*env, table)) {
    TableOverlay& t = view.overlay->table(table);
    bool in_tree = t.added.empty() && t.removed.empty() && t.cleared.empty();
    if (!is_kept(*horizon, view.tx, in_tree ? &t.live : nullptr)) refuse(table, view.tx);
  }
  readable.commits.insert({view.tx, table});
}

void require_all_kept(const store::Commit& commit) {
  uint64_t tx = commit.tx;
  pg::call([=] { pg::pin_commit(tx); });
  store::Environment& env = pg::open_store();
  env.refresh();
  store::load_known_commit(env, commit.id);  // collected before the pin, perhaps
  std::vector<uint64_t> tables = pg::tables_with_ids();
  std::optional<View> view;
  for (uint64_t table : tables) {
    std::optional<store::Horizon> horizon = store::read_horizon(env, table);
    if (!horizon || tx >= horizon->mark.last_tx) continue;
    if (!view) view = view_of_commit(commit.id);
    require_kept(*view, table);
  }
}

store::DeadVersions* dead_versions(uint64_t table) {
  uint64_t changes = pg::horizon_changes();
  if (changes == 0) return nullptr;
  auto at = known.find(table);
  if (at != known.end() && at->second.changes == changes) return at->second.dead.get();
  store::Environment* env = pg::try_store();
  if (!env) return nullptr;
  env->refresh();  // what was counted is durable: the read transaction must not be older
  if (known.size() >= kMostKnown) known.clear();
  std::unique_ptr<store::DeadVersions> dead;
  if (std::optional<store::Horizon> horizon = store::read_horizon(*env, table))
    dead = std::make_unique<store::DeadVersions>(table, std::move(*horizon));
  Known& entry = known[table];
  entry = {changes, std::move(dead)};
  return entry.dead.get();
}

bool is_dead_for_all(uint64_t table, uint64_t rowid) {
  store::DeadVersions* dead = dead_versions(table);
  if (!dead || dead->horizon().kept.size() > kMostKept) return false;
  return dead->is_dead(pg::open_store(), rowid);
}

}  // namespace datahike::versioning
