// The settings of REFERENCE section 2 that exist in this version, as PostgreSQL keeps them.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

extern char* setting_branch;     // datahike.branch: name of a branch
extern char* setting_commit_id;  // datahike.commit_id: UUID or ''
extern char* setting_as_of;      // datahike.as_of: tx number, timestamp or ''
extern char* setting_since;      // datahike.since: as datahike.as_of
extern bool setting_history;     // datahike.history
extern char* setting_author;     // datahike.author: '' = session user
extern char* setting_message;    // datahike.message
extern int setting_map_size;     // datahike.map_size: MB, 0 = 16 TB
extern int setting_fold_delay;   // datahike.fold_delay: ms between folds that nobody waits for
extern int setting_worker_idle_timeout;  // datahike.worker_idle_timeout: s, 0 = never
extern char* setting_shared_view;        // datahike.shared_view: versioning/shared_view.h
extern char* setting_crash_point;  // datahike.crash_point: for tests, where the worker kills itself

void define_settings();
// Changes whenever branch, commit_id, as_of, since or history is assigned: what caches of the
// session's view compare.
uint64_t settings_generation();

inline constexpr size_t kMostAsOf = 96;  // bytes of a datahike.as_of or since, with its end

// A parsed datahike.as_of or since: a tx number or a time.
struct AsOf {
  bool is_tx;
  uint64_t tx;
  TimestampTz time;
};
// False when the text is neither a number nor a timestamp (a PostgreSQL error is not raised).
bool parse_as_of(const char* text, AsOf* out);

}  // namespace datahike::pg
