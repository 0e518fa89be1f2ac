#include "versioning/redacted.h"

#include "pg/store.h"
#include "pg/worker.h"
#include "store/redaction.h"

namespace datahike::versioning {

const tree::RowidSet* known_redacted_rows = nullptr;

void refresh_redacted_rows() {
  static tree::RowidSet rows;
  static uint64_t known = UINT64_MAX;  // pg::worker_redactions() before they were read
  const uint64_t now = pg::worker_redactions();
  if (now == known) return;
  store::Environment* env = pg::try_store();
  if (!env) return;
  env->refresh();  // what was counted is durable: the read transaction must not be older
  std::optional<tree::RowidSet> stored = store::redacted_rows(*env);
  rows = stored ? std::move(*stored) : tree::RowidSet();
  known_redacted_rows = rows.empty() ? nullptr : &rows;
  known = now;
}

void leave_out_redacted(uint64_t high, tree::Container& container) {
  if (!known_redacted_rows) return;
  const auto gone = known_redacted_rows->containers().find(high);
  if (gone == known_redacted_rows->containers().end()) return;
  container.count = 0;
  for (size_t w = 0; w < container.words.size(); ++w) {
    container.words[w] &= ~gone->second.words[w];
    container.count += static_cast<uint32_t>(std::popcount(container.words[w]));
  }
}

}  // namespace datahike::versioning
