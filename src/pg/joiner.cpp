#include "pg/joiner.h"

#include "pg/bridge.h"
#include "pg/settings.h"
#include "pg/store.h"
#include "store/free_pages.h"
#include "store/horizon.h"

namespace datahike::pg {

int setting_join_segments_after = 64;

namespace {

constexpr size_t kFewPlaces = 4;  // fewer make no group
constexpr size_t kMostPlaces = 1 << 16;
constexpr int64_t kIdleUs = 5 * USECS_PER_SEC;
constexpr int64_t kPostponeUs = 30 * USECS_PER_SEC;
constexpr int64_t kFailedUs = 300 * USECS_PER_SEC;
constexpr int64_t kSettledUs = 60 * USECS_PER_SEC;
constexpr int64_t kPauseFactor = 3;  // a pause is so many times as long as the step
constexpr uint64_t kMostHeldBytes = 64 << 20;
constexpr uint64_t kSpareDiskBytes = 256 << 20;
constexpr uint64_t kSpareMapPart = 16;  // of the map's size

// Transactions below it have been over for a while.
uint64_t settled_xid(store::Environment& env) {
  const int64_t until = GetCurrentTimestamp() - kSettledUs;
  uint64_t xid = 0;
  for (const store::FoldMark& mark : store::read_fold_marks(env))
    if (mark.time <= until) xid = mark.xmin;
  return xid;
}

}  // namespace

void define_joiner() {
  DefineCustomIntVariable(
      "datahike.join_segments_after",
      "The fold worker joins small neighbouring segments when so many have been written.",
      "When it is idle, some are enough. 0: it leaves them to VACUUM and gc().",
      &setting_join_segments_after, 64, 0, 65536, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

bool is_short_of_space(store::Environment& env) {
  const store::Space space = store::free_space(env);
  return space.disk_bytes < kSpareDiskBytes || space.map_bytes < space.map_size / kSpareMapPart;
}

Joiner::Joiner() : survey_at_(GetCurrentTimestamp() + kIdleUs) {}

void Joiner::note() {
  std::vector<store::SegmentKey> written = open_store_for_writing().small_segments_written();
  if (written.empty()) return;
  noted_at_ = GetCurrentTimestamp();
  if (setting_join_segments_after == 0 || joiner_.places() + written.size() > kMostPlaces) {
    // They are found again.
    joiner_.clear();
    survey_ = {};
    surveyed_ = running_ = false;
    survey_at_ = noted_at_ + kIdleUs;
    return;
  }
  for (const store::SegmentKey& key : written) joiner_.add_place(key.table, key.first_rowid);
}

bool Joiner::wanted(bool idle) const {
  if (setting_join_segments_after == 0) return false;
  const TimestampTz now = GetCurrentTimestamp();
  if (now < not_before_) return false;
  if (running_ || (!surveyed_ && now >= survey_at_)) return true;
  return joiner_.places() >= static_cast<size_t>(setting_join_segments_after) ||
         (idle && joiner_.places() >= kFewPlaces && now >= noted_at_ + kIdleUs);
}

long Joiner::pause_ms() const {
  return running_ ? TimestampDifferenceMilliseconds(GetCurrentTimestamp(), not_before_) : 0;
}

bool Joiner::has_work_to_come() const {
  return setting_join_segments_after != 0 && (running_ || joiner_.places() >= kFewPlaces) &&
         not_before_ < GetCurrentTimestamp() + kPostponeUs / 2;
}

void Joiner::postpone(int64_t microseconds) {
  running_ = false;
  not_before_ = GetCurrentTimestamp() + microseconds;
}

// What has been read stays in the file, beside what it has become, while a reader has a state that
// is older.
bool Joiner::must_wait(store::Environment& env) {
  const uint64_t oldest = store::oldest_state_read(env);
  if (oldest != oldest_reader_) held_bytes_ = 0;
  oldest_reader_ = oldest;
  return held_bytes_ >= kMostHeldBytes || is_short_of_space(env);
}

void Joiner::step(const Gc::Batches& batches) {
  const TimestampTz begun = GetCurrentTimestamp();
  store::Environment& env = open_store_for_writing();
  env.refresh();
  if (!surveyed_ && begun >= survey_at_ && joiner_.done()) {
    surveyed_ = survey_.step(env, joiner_);
    running_ = !surveyed_ || joiner_.places() > 0;
  } else if (must_wait(env)) {
    return postpone(kPostponeUs);
  } else {
    store::WriteBatch* batch = nullptr;
    const uint64_t before = joiner_.result().bytes;
    const uint64_t settled = settled_xid(env);
    joiner_.step(
        env,
        [&]() -> store::WriteBatch& {
          if (!batch) batch = &batches.begin();
          return *batch;
        },
        settled);
    if (batch) batches.commit();
    held_bytes_ += joiner_.result().bytes - before;
    running_ = !joiner_.done() || (!surveyed_ && begun >= survey_at_);
    note();
  }
  const TimestampTz now = GetCurrentTimestamp();
  not_before_ = now + kPauseFactor * (now - begun);
}

void Joiner::fail() {
  joiner_.clear();
  postpone(kFailedUs);
}

}  // namespace datahike::pg
