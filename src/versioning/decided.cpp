#include "versioning/decided.h"

#include "pg/hooks.h"

namespace datahike::versioning {

namespace {

LocalTransactionId decided_in = InvalidLocalTransactionId;
std::unordered_map<std::string, store::Uuid> decided;
// Beyond so many, what was decided under other snapshots is forgotten when no query is open that
// may ask again: one that is running, or a cursor's.
constexpr size_t kManyDecided = 32;
constexpr size_t kSnapshotBytes = sizeof(TransactionId) + sizeof(uint32) + sizeof(CommandId);

template <class T>
void append(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string key_of(Snapshot s, const char* revision, const SessionView& session) {
  std::string key;
  append(key, s->xmax);
  append(key, s->xcnt);
  append(key, s->curcid);
  if (revision) return key.append("=").append(revision);
  append(key, session.branch);
  return key.append(session.commit_id).append("@").append(session.as_of);
}

}  // namespace

store::Uuid decided_once(Snapshot snapshot, const char* revision, const SessionView& session,
                         const std::function<store::Uuid()>& resolve) {
  if (decided_in != MyProc->lxid) decided.clear();
  decided_in = MyProc->lxid;
  std::string key = key_of(snapshot, revision, session);
  if (decided.size() >= kManyDecided && !pg::any_open_query())
    std::erase_if(decided, [&](const auto& known) {
      return known.first.compare(0, kSnapshotBytes, key, 0, kSnapshotBytes) != 0;
    });
  if (auto known = decided.find(key); known != decided.end()) return known->second;
  const store::Uuid commit = resolve();
  decided.emplace(std::move(key), commit);
  return commit;
}

}  // namespace datahike::versioning
