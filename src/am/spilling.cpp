#include "am/spilling.h"

#include <malloc.h>

#include <csignal>
#include <system_error>
#include <thread>

#include "am/pending_columns.h"
#include "am/segment_writer.h"
#include "pg/shared.h"
#include "pg/vector_settings.h"

namespace datahike::am {

namespace {

// The thread reads the run's columns, or its tuples and its shape, and calls nothing of
// PostgreSQL's but heap_deform_tuple(), which allocates nothing, and remembers offsets in the
// shape's descriptor, the same whoever calls it. The session may read the rows meanwhile, and frees
// none.
struct Job {
  PendingRun* run;
  int32_t branch;
  uint64_t xid;  // of the run, in 64 bits
  Bytes rows;
  std::vector<store::SegmentPlace> places;
  std::exception_ptr error;
  std::thread thread;

  void encode() noexcept {
    try {
      if (run->columns) {
        rows = run->columns->encode(run->first);
        places.push_back({run->first, run->columns->rows(), 0, 0, rows.size()});
        return;
      }
      SegmentWriter writer(rows, places);
      for (uint64_t i = 0; i < run->count; ++i)
        writer.add(*run->shape, run->first + i, run->entity(i), xid, run->tuples[i]);
      writer.finish();
    } catch (...) {
      error = std::current_exception();
    }
  }
  ~Job() {
    if (thread.joinable()) thread.join();
  }
};
std::unique_ptr<Job> job;

// A run of a few huge values is not encoded beside the next one: that would take memory for both.
constexpr size_t kMostBytesBeside = 16 * kSpillBytes;

constexpr int kKeptFreed = 8 << 20;

bool may_have_thread(const PendingRun& run) {
  return pg::setting_threads != 1 && std::thread::hardware_concurrency() != 1 &&
         run.bytes <= kMostBytesBeside;
}

// What encoding a segment frees is for the next one: given back to the system it would have to be
// cleared page by page again, which takes as long as a tenth of encoding. malloc() comes to such
// thresholds by itself where large blocks of the main thread are freed.
bool keeps_freed_memory = false;
void keep_freed_memory() {
  static bool set = false;
  if (!set) {
    mallopt(M_TRIM_THRESHOLD, kKeptFreed);
    mallopt(M_MMAP_THRESHOLD, kKeptFreed);
  }
  set = keeps_freed_memory = true;
}

// PostgreSQL's signal handlers are for the session's own thread.
void start_thread(Job& of) {
  keep_freed_memory();
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    of.thread = std::thread([&of] { of.encode(); });
  } catch (const std::system_error&) {  // no thread is to be had
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// A row of the log is gone with the subtransaction that writes it: that has to be the run's own.
bool may_be_written(const PendingRun& run) {
  return GetCurrentTransactionNestLevel() == 1 || run.sub == GetCurrentSubTransactionId();
}

void write(Job& of) {
  if (of.error) std::rethrow_exception(of.error);
  uint32_t number = take_part_number(of.branch);
  for (store::SegmentPlace& p : of.places) p.part = number;
  pg::LogRow row = new_log_row(number, 'r');
  row.rows = std::move(of.rows);
  pg::write_log_row(of.branch, row);
  PendingRun& run = *of.run;
  run.places = std::move(of.places);
  if (run.columns) give_back(std::move(run.columns));
  for (MinimalTuple tuple : run.tuples) pfree(tuple);
  std::vector<MinimalTuple>().swap(run.tuples);
  std::vector<uint64_t>().swap(run.entities);
}

}  // namespace

void finish_spilling() {
  if (!job) return;
  if (job->thread.joinable()) job->thread.join();
  const std::unique_ptr<Job> done = std::move(job);
  write(*done);
}

void stop_spilling(const PendingRun& run) noexcept {
  if (job && job->run == &run) job.reset();
}

void stop_spilling() noexcept { job.reset(); }

void end_spilling() noexcept {
  stop_spilling();
  if (!keeps_freed_memory) return;
  malloc_trim(0);
  keeps_freed_memory = false;
}

void spill(TablePending& table, PendingRun& run) {
  const bool begun = job && job->run == &run;
  if (job && may_be_written(*job->run)) finish_spilling();
  if (begun) return;
  auto next = std::make_unique<Job>();
  next->run = &run;
  next->branch = table.branch;
  next->xid = pg::widen_xid(run.xid);
  if (!job && may_have_thread(run)) start_thread(*next);
  if (next->thread.joinable()) {
    job = std::move(next);
  } else {
    next->encode();
    write(*next);
  }
}

}  // namespace datahike::am
