// A whole run of garbage collection.
#pragma once

#include "store/collector.h"

namespace datahike::store::test {

// Commits with a tx from `limit` on are read by somebody.
inline void collect(Environment& env, const GcOptions& options, const std::vector<Uuid>& roots,
                    uint64_t limit = UINT64_MAX) {
  env.refresh();
  Collector run(env, options, roots);
  const auto trace = [&] {
    while (!run.trace(env)) {
    }
  };
  trace();
  while (!run.choose(env)) {
  }
  trace();
  while (run.spare_from(limit)) trace();
  while (run.has_candidates(limit)) {
    auto batch = env.begin_write();
    run.collect(env, *batch, limit);
    batch->commit();
    env.refresh();
  }
  while (!run.mark(env)) {
  }
  for (bool done = false; !done;) {
    auto batch = env.begin_write();
    done = run.sweep(env, batch.get());
    batch->commit();
    env.refresh();
  }
}

}  // namespace datahike::store::test
