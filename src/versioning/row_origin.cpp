#include "versioning/row_origin.h"

#include "pg/bridge.h"
#include "pg/pins.h"
#include "pg/store.h"
#include "versioning/redacted.h"
#include "versioning/sql_values.h"

namespace datahike::versioning {

namespace {

constexpr size_t kMostOrigins = 3;
std::vector<std::unique_ptr<store::RowOrigins>> known;  // most recently used first

}  // namespace

store::RowOrigins& origins_of(const store::Uuid& commit) {
  // What they remember may have been collected.
  static uint64_t collections = 0;
  const uint64_t now = pg::collections();
  if (now != collections) known.clear();
  collections = now;
  auto at = std::find_if(known.begin(), known.end(),
                         [&](const auto& origins) { return origins->commit() == commit; });
  if (at == known.end()) {
    store::Environment& env = store_for_reading();
    if (!env.commit(commit))
      throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                         "commit " + store::format_uuid(commit) + " does not exist");
    auto made = std::make_unique<store::RowOrigins>(env, commit);
    if (known.size() == kMostOrigins) known.pop_back();
    at = known.insert(known.end(), std::move(made));
  }
  std::rotate(known.begin(), at, at + 1);
  return *known.front();
}

namespace {

const store::Origin* added_by(store::RowOrigins& origins, uint64_t table, uint64_t rowid) {
  std::optional<store::SegmentReader> segment = pg::open_store().segment(table, rowid);
  if (!segment || is_redacted(rowid)) return nullptr;
  uint64_t xid = segment->xid(static_cast<uint32_t>(rowid - segment->first_rowid()));
  return origins.added(table, rowid, xid);
}

}  // namespace

const store::Origin* row_origin(const store::Uuid& commit, uint64_t table, uint64_t rowid) {
  return added_by(origins_of(commit), table, rowid);
}

const store::Origin* row_removal(const store::Uuid& commit, uint64_t table, uint64_t rowid) {
  View view = view_of_commit(commit);
  if (view.overlay->is_live(view.overlay->table(table), rowid, view.limit)) return nullptr;
  store::RowOrigins& origins = origins_of(commit);
  const store::Origin* made_by = added_by(origins, table, rowid);
  return made_by ? origins.removed(table, rowid, *made_by) : nullptr;
}

}  // namespace datahike::versioning
