// The payload is a JSON object with the keys branch (null: it has been deleted), commit, tx and
// tables, a list of names, or null where they are too many for a notification.
#include "pg/notify.h"

#include "pg/branch_ids.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/store.h"
#include "store/version.h"

extern "C" {
#include "commands/async.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
}

namespace datahike::pg {

namespace {

bool setting_notify = false;
constexpr size_t kMostPayload = 7900;   // bytes; PostgreSQL's limit is a little more
constexpr double kFullestQueue = 0.75;  // a listener that does not listen must not stop the worker

std::string json_string(const char* text) {
  const char* quoted = call([=] {
    StringInfoData out;
    initStringInfo(&out);
    escape_json(&out, text);
    return const_cast<const char*>(out.data);
  });
  return quoted;
}

// As it is now; nullptr: dropped since.
const char* name_of(uint64_t table) {
  return call([=]() -> const char* {
    Oid relation = find_relation(table);
    char* name = OidIsValid(relation) ? get_rel_name(relation) : nullptr;
    if (!name) return nullptr;
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
  });
}

std::string payload_of(const store::Commit& commit) {
  auto id = static_cast<int32_t>(commit.branch);
  const char* branch = is_named_branch(id) ? branch_name(id) : nullptr;
  std::string tables;
  for (const store::TableDelta& table : commit.delta.tables)
    if (const char* name = name_of(table.table))
      tables += (tables.empty() ? "" : ", ") + json_string(name);
  std::string payload = "{\"branch\": " + (branch ? json_string(branch) : "null") +
                        ", \"commit\": \"" + store::format_uuid(commit.id) +
                        "\", \"tx\": " + std::to_string(commit.tx) + ", \"tables\": ";
  if (payload.size() + tables.size() > kMostPayload) return payload + "null}";
  return payload + "[" + tables + "]}";
}

}  // namespace

void define_notify() {
  DefineCustomBoolVariable("datahike.notify",
                           "Notifies who listens on channel datahike of each commit.", nullptr,
                           &setting_notify, false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

bool notifies() { return setting_notify; }

void notify_commits(uint64_t from, uint64_t to) {
  double usage =
      call([] { return DatumGetFloat8(OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE)); });
  if (usage > kFullestQueue) {
    ereport(
        LOG,
        (errmsg("datahike: the notification queue is nearly full: %llu commits are not notified of",
                static_cast<unsigned long long>(to - from))));
    return;
  }
  store::Environment& env = open_store_for_writing();
  env.refresh();
  for (uint64_t tx = from; tx < to; ++tx) {
    std::optional<store::Uuid> id = env.commit_by_tx(tx);
    if (!id) continue;
    std::string payload = payload_of(store::load_known_commit(env, *id));
    const char* text = payload.c_str();
    call([=] { Async_Notify("datahike", text); });
  }
}

}  // namespace datahike::pg
