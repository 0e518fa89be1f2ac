#include "pg/settings.h"

#include "am/horizon.h"
#include "datom/sql/settings.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/gc.h"
#include "pg/joiner.h"
#include "pg/keep_history.h"
#include "pg/notify.h"
#include "pg/store.h"
#include "pg/tags.h"
#include "pg/vector_settings.h"
#include "store/version.h"

extern "C" {
#include "access/parallel.h"
#include "utils/datetime.h"
#include "utils/plancache.h"
}

namespace datahike::pg {

char* setting_branch = nullptr;
char* setting_commit_id = nullptr;
char* setting_as_of = nullptr;
char* setting_since = nullptr;
bool setting_history = false;
char* setting_author = nullptr;
char* setting_message = nullptr;
int setting_map_size = 0;
int setting_fold_delay = 100;
int setting_worker_idle_timeout = 60;
char* setting_shared_view = nullptr;
char* setting_crash_point = nullptr;

namespace {

uint64_t generation = 1;

// Whether indexes can be used may depend on what is read.
void bump(const char*, void*) {
  ++generation;
  if (am::plans_depend_on_view()) ResetPlanCache();
}

// Plans made for what is now do not hold for what was: planner_hooks.cpp. What is set does not
// matter, only that something is.
void change_point(const char* value, const char* before) {
  bump(value, nullptr);
  if ((*value != 0) != (before && *before)) ResetPlanCache();
}

void change_commit_id(const char* value, void*) { change_point(value, setting_commit_id); }

void change_as_of(const char* value, void*) { change_point(value, setting_as_of); }

void change_history(bool value, void*) {
  ++generation;
  if (value != setting_history) ResetPlanCache();
}

// Catalogs and store can be asked only by an ordinary session inside a transaction; elsewhere (at
// connection, in a parallel worker, in a configuration file) the next statement finds out.
bool can_look_up(GucSource source) {
  return source >= PGC_S_INTERACTIVE && IsTransactionState() && !InitializingParallelWorker &&
         OidIsValid(MyDatabaseId) && !IsAbortedTransactionBlockState() && extension_installed();
}

// For ALTER DATABASE, ALTER ROLE and CREATE FUNCTION ... SET a value need not be good yet: a dump
// is restored into a database that has no branches, nor commits, but for its own.
bool is_only_tested(GucSource source, const char* what, const char* value) {
  if (source != PGC_S_TEST) return false;
  call([=] { ereport(NOTICE, (errmsg("%s %s does not exist", what, value))); });
  return true;
}

bool check_branch(char** value, void**, GucSource source) {
  if (**value == 0) {
    GUC_check_errcode(ERRCODE_INVALID_PARAMETER_VALUE);
    GUC_check_errdetail("A branch name is not empty.");
    return false;
  }
  char* name = *value;
  return guard([=] {
    if (!can_look_up(source) || find_branch(name) >= 0) return true;
    if (is_only_tested(source, "branch", name)) return true;
    GUC_check_errcode(ERRCODE_UNDEFINED_OBJECT);
    GUC_check_errmsg("branch \"%s\" does not exist", name);
    if (const std::optional<Tag> tag = find_tag(name))
      GUC_check_errhint("\"%s\" is a tag. SET datahike.commit_id = '%s' reads its commit.", name,
                        store::format_uuid(tag->commit).c_str());
    else
      GUC_check_errhint("datahike.branches() lists the branches.");
    return false;
  });
}

enum class CommitState { There, Collected, Unknown };
CommitState look_up_commit(const store::Uuid& id) {
  store::Environment* env = try_store();
  if (!env) return CommitState::There;  // not made yet: the next statement asks the worker
  env->refresh();
  if (env->commit(id)) return CommitState::There;
  return env->tombstone(id) ? CommitState::Collected : CommitState::Unknown;
}

bool check_commit_id(char** value, void**, GucSource source) {
  char* text = *value;
  return guard([=] {
    if (*text == 0) return true;
    std::optional<store::Uuid> id = store::parse_uuid(text);
    if (!id) {
      GUC_check_errcode(ERRCODE_INVALID_TEXT_REPRESENTATION);
      GUC_check_errmsg("invalid input syntax for type uuid: \"%s\"", text);
      const std::optional<Tag> tag = can_look_up(source) ? find_tag(text) : std::nullopt;
      if (tag)
        GUC_check_errhint("\"%s\" is a tag, of commit %s.", text,
                          store::format_uuid(tag->commit).c_str());
      else
        GUC_check_errhint(
            "Give a commit's whole id, as datahike.commit_info() tells it of any revision.");
      return false;
    }
    CommitState state = can_look_up(source) ? look_up_commit(*id) : CommitState::There;
    if (state == CommitState::There || is_only_tested(source, "commit", text)) return true;
    bool collected = state == CommitState::Collected;
    GUC_check_errcode(collected ? ERRCODE_SNAPSHOT_TOO_OLD : ERRCODE_UNDEFINED_OBJECT);
    GUC_check_errmsg(collected ? "commit %s has been collected" : "commit %s does not exist", text);
    GUC_check_errhint("datahike.log() lists the commits.");
    return false;
  });
}

bool check_time(const char* name, const char* value) {
  AsOf at;
  if (std::strlen(value) < kMostAsOf && (*value == 0 || parse_as_of(value, &at))) return true;
  GUC_check_errcode(ERRCODE_INVALID_TEXT_REPRESENTATION);
  GUC_check_errmsg("invalid value for %s: \"%s\"", name, value);
  GUC_check_errhint("Give a timestamp, a date or a transaction number.");
  return false;
}

bool check_as_of(char** value, void**, GucSource) { return check_time("datahike.as_of", *value); }

bool check_since(char** value, void**, GucSource) { return check_time("datahike.since", *value); }

}  // namespace

uint64_t settings_generation() { return generation; }

bool parse_as_of(const char* text, AsOf* out) {
  char* end;
  errno = 0;
  unsigned long long number = std::strtoull(text, &end, 10);
  if (*text >= '0' && *text <= '9' && *end == 0 && errno == 0) {
    *out = {true, number, 0};
    return true;
  }
  char work[MAXDATELEN + MAXDATEFIELDS];
  char* fields[MAXDATEFIELDS];
  int types[MAXDATEFIELDS], count, kind, zone = 0;
  pg_tm tm{};
  fsec_t fraction = 0;
  if (ParseDateTime(text, work, sizeof work, fields, types, MAXDATEFIELDS, &count) != 0 ||
      DecodeDateTime(fields, types, count, &kind, &tm, &fraction, &zone) != 0)
    return false;
  TimestampTz time;
  switch (kind) {
    case DTK_DATE:
      if (tm2timestamp(&tm, fraction, &zone, &time) != 0) return false;
      break;
    case DTK_EPOCH:
      time = SetEpochTimestamp();
      break;
    case DTK_LATE:
      TIMESTAMP_NOEND(time);
      break;
    case DTK_EARLY:
      TIMESTAMP_NOBEGIN(time);
      break;
    default:
      return false;
  }
  *out = {false, 0, time};
  return true;
}

void define_settings() {
  DefineCustomStringVariable("datahike.branch", "Branch that this session reads and writes.",
                             nullptr, &setting_branch, kDefaultBranch, PGC_USERSET, 0, check_branch,
                             bump, nullptr);
  DefineCustomStringVariable(
      "datahike.commit_id", "Commit that this session's reads are pinned to.",
      "Empty: not pinned. A pinned session writes nothing.", &setting_commit_id, "", PGC_USERSET, 0,
      check_commit_id, change_commit_id, nullptr);
  DefineCustomStringVariable(
      "datahike.as_of", "Time or transaction number that this session reads as of.",
      "The state after the last commit at or before it. Empty: not pinned.", &setting_as_of, "",
      PGC_USERSET, 0, check_as_of, change_as_of, nullptr);
  DefineCustomStringVariable("datahike.since",
                             "Time or transaction number after which rows are read.",
                             "The rows that later commits made. Empty: all.", &setting_since, "",
                             PGC_USERSET, 0, check_since, bump, nullptr);
  DefineCustomBoolVariable("datahike.history",
                           "Tables show every version of every row, live or not.",
                           "Of the commit that is read and all before it.", &setting_history, false,
                           PGC_USERSET, 0, nullptr, change_history, nullptr);
  DefineCustomStringVariable("datahike.author", "Author recorded in the commits that follow.",
                             "Empty: the session user.", &setting_author, "", PGC_USERSET, 0,
                             nullptr, nullptr, nullptr);
  DefineCustomStringVariable("datahike.message", "Message recorded in the commits that follow.",
                             nullptr, &setting_message, "", PGC_USERSET, 0, nullptr, nullptr,
                             nullptr);
  DefineCustomIntVariable("datahike.map_size", "Largest size of a database's store.",
                          "0: 16 TB. The file grows as it fills.", &setting_map_size, 0, 0, INT_MAX,
                          PGC_POSTMASTER, GUC_UNIT_MB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("datahike.fold_delay",
                          "Time the fold worker lets commits gather when nobody waits for it.",
                          nullptr, &setting_fold_delay, 100, 1, 60000, PGC_SIGHUP, GUC_UNIT_MS,
                          nullptr, nullptr, nullptr);
  DefineCustomIntVariable("datahike.worker_idle_timeout",
                          "Time after which a fold worker that has nothing to do ends.",
                          "0: never. The next commit starts another.", &setting_worker_idle_timeout,
                          60, 0, 86400, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomStringVariable(
      "datahike.shared_view", "What a parallel query's leader reads: set by it, for its workers.",
      nullptr, &setting_shared_view, "", PGC_SUSET,
      GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL | GUC_NO_RESET_ALL | GUC_DISALLOW_IN_FILE, nullptr,
      nullptr, nullptr);
  DefineCustomStringVariable(
      "datahike.crash_point",
      "Where the fold worker kills itself, or waits (pause:NAME), for tests.", nullptr,
      &setting_crash_point, "", PGC_SIGHUP, GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL, nullptr, nullptr,
      nullptr);
  define_keep_history();
  define_notify();
  define_gc();
  define_joiner();
  define_vector_settings();
  facts::define_settings();
  MarkGUCPrefixReserved("datahike");
}

}  // namespace datahike::pg
