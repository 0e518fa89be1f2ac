#include "pg/fold_pace.h"

#include <ctime>

#include "pg/notify.h"
#include "pg/settings.h"
#include "pg/shared.h"

extern "C" {
#include "access/xlog.h"
}

namespace datahike::pg {

namespace {

constexpr int64_t kShare = 25;  // folds take one part of so many of a processor's time
constexpr long kMostDelays = 4;
constexpr uint64_t kBacklogTransactions = 1024;  // of the cluster
constexpr uint64_t kBacklogWalBytes = 16 << 20;

int64_t processor_time_us() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return int64_t{t.tv_sec} * 1000000 + t.tv_nsec / 1000;
}

}  // namespace

void FoldPace::begin() {
  ring_head_ = ring_head();
  wal_ = GetXLogInsertRecPtr();
  began_us_ = processor_time_us();
}

void FoldPace::end() { cost_us_ = processor_time_us() - began_us_; }

long FoldPace::delay_ms() const {
  const long delay = setting_fold_delay;
  if (notifies()) return delay;  // somebody wants to hear of commits
  return static_cast<long>(
      std::clamp<int64_t>(cost_us_ * kShare / 1000, delay, int64_t{delay} * kMostDelays));
}

bool FoldPace::has_backlog() const {
  return ring_head() - ring_head_ >= kBacklogTransactions ||
         GetXLogInsertRecPtr() - wal_ >= kBacklogWalBytes;
}

}  // namespace datahike::pg
