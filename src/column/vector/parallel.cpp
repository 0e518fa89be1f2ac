#include "column/vector/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>

namespace datahike::vector {

namespace {

constexpr uint64_t kMorselRows = 128 << 10;
constexpr uint64_t kMostMorsels = 64;

struct Stopped {};  // thrown in threads whose work nobody waits for any more

std::vector<std::span<const Piece>> morsels_of(std::span<const Piece> pieces) {
  uint64_t rows = 0;
  for (const Piece& piece : pieces) rows += piece.live_rows;
  const uint64_t target = std::max(kMorselRows, rows / kMostMorsels);
  std::vector<std::span<const Piece>> morsels;
  uint64_t taken = 0;
  size_t begin = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    taken += pieces[i].live_rows;
    if (taken < target && i + 1 < pieces.size()) continue;
    morsels.push_back(pieces.subspan(begin, i + 1 - begin));
    begin = i + 1;
    taken = 0;
  }
  return morsels;
}

// Whether results depend on the order in which rows are added up.
bool depends_on_order(const Program& program) {
  return std::ranges::any_of(program.accumulators, [](const Accumulator& a) {
    return a.sum == Sum::Float || a.sum == Sum::Bounded || a.sum == Sum::Moments ||
           a.sum == Sum::CoMoments;
  });
}

// Singles are rounded after each row.
bool needs_row_order(const Program& program) {
  return std::ranges::any_of(program.accumulators,
                             [](const Accumulator& a) { return a.sum == Sum::Float32; });
}

// The morsels that threads take one after the other. Kept by every task that may still start.
struct Work {
  const Program& program;
  std::vector<std::span<const Piece>> morsels;
  std::vector<std::unique_ptr<Aggregation>> results;
  std::vector<std::exception_ptr> errors;
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable done;
  size_t running = 0;  // threads that have entered take_all()

  void take(size_t i, const std::function<void()>& poll) {
    try {
      auto result = std::make_unique<Aggregation>(program);
      result->expect(morsels[i]);
      for (const Piece& piece : morsels[i]) result->add(piece, poll);
      results[i] = std::move(result);
    } catch (...) {
      errors[i] = std::current_exception();
      next = morsels.size();  // nothing after it counts
    }
  }
};

bool is_of_values(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const ValueError&) {
    return true;
  } catch (const InRowOrder&) {
    return true;
  } catch (const Unbounded&) {
    return true;
  } catch (...) {
    return false;
  }
}

void block_signals(sigset_t* before) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, before);
}

void help(Work& work) {
  {
    std::lock_guard lock(work.mutex);
    if (work.stop || work.next >= work.morsels.size()) return;
    ++work.running;
  }
  sigset_t before;
  block_signals(&before);
  const auto poll = [&work] {
    if (work.stop) throw Stopped();
  };
  for (size_t i; !work.stop && (i = work.next++) < work.morsels.size();) work.take(i, poll);
  std::lock_guard lock(work.mutex);
  --work.running;
  work.done.notify_all();
}

// Threads are made with the signals of the one that asks for them blocked.
void ask_for_help(const std::shared_ptr<Work>& work, unsigned threads) {
  static tbb::task_arena arena(tbb::task_arena::automatic, 0);
  sigset_t before;
  block_signals(&before);
  try {
    for (unsigned i = 1; i < threads; ++i) arena.enqueue([work] { help(*work); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Until no other thread reads the pieces; polls unless it is giving up.
void wait_for_others(Work& work, const std::function<void()>* poll) {
  std::unique_lock lock(work.mutex);
  while (work.running > 0) {
    work.done.wait_for(lock, std::chrono::milliseconds(5));
    if (!poll) continue;
    lock.unlock();
    (*poll)();
    lock.lock();
  }
}

void run(const std::shared_ptr<Work>& work, unsigned threads, const std::function<void()>& poll) {
  try {
    if (threads > 1) ask_for_help(work, std::min<size_t>(threads, work->morsels.size()));
    for (size_t i; (i = work->next++) < work->morsels.size();) {
      work->take(i, poll);
      if (!work->errors[i]) continue;
      // The error of values in an earlier part counts, so the others go on. Any other ends them.
      if (!is_of_values(work->errors[i])) std::rethrow_exception(work->errors[i]);
      break;
    }
    wait_for_others(*work, &poll);
  } catch (...) {
    work->stop = true;
    wait_for_others(*work, nullptr);
    throw;
  }
  for (const std::exception_ptr& error : work->errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace

void aggregate(const Program& program, Aggregation& total, std::span<const Piece> pieces,
               const Execution& execution, const std::function<void()>& poll) {
  const bool one_by_one = execution.in_row_order || needs_row_order(program) ||
                          (execution.threads <= 1 && !depends_on_order(program));
  std::vector<std::span<const Piece>> morsels;
  if (!one_by_one) morsels = morsels_of(pieces);
  if (morsels.size() <= 1 && (one_by_one || total.counters().rows == 0)) {
    total.expect(pieces);
    for (const Piece& piece : pieces) total.add(piece, poll);
    return;
  }
  auto work = std::make_shared<Work>(program, std::move(morsels));
  work->results.resize(work->morsels.size());
  work->errors.resize(work->morsels.size());
  total.expect(pieces);
  try {
    run(work, execution.threads, poll);
  } catch (const ValueError& e) {
    // A sum that overflows within a morsel need not do so in the whole.
    if (e.kind == ValueError::FloatOverflow) throw InRowOrder();
    throw;
  }
  for (std::unique_ptr<Aggregation>& result : work->results) {
    poll();
    total.merge(*result);
    result.reset();
  }
}

}  // namespace datahike::vector
