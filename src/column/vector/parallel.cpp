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

bool has_distinct(const Program& program) {
  return std::ranges::any_of(program.accumulators, [](const Accumulator& a) {
    return a.sum == Sum::Distinct || a.sum == Sum::DistinctSum;
  });
}

// Whether some rows from here and there have so many groups that merging is not worth it.
bool has_many_groups(const Program& program, std::span<const Piece> pieces) {
  constexpr size_t kPieces = 8;
  constexpr uint32_t kMany = 512;
  Program keys = program;
  keys.accumulators.clear();
  Aggregation sample(keys);
  const size_t step = std::max<size_t>(1, pieces.size() / kPieces);
  for (size_t i = 0; i < pieces.size(); i += step) sample.add_first_chunk(pieces[i]);
  return sample.groups() >= kMany && uint64_t{sample.groups()} * 4 >= sample.counters().passed;
}

// Items that threads take one after the other. Kept by every task that may still start.
struct Work {
  std::function<void(size_t, const std::function<void()>&)> item;
  size_t count = 0;
  std::vector<std::exception_ptr> errors;
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable done;
  size_t running = 0;  // threads that have entered the loop of help()

  void take(size_t i, const std::function<void()>& poll) {
    try {
      item(i, poll);
    } catch (...) {
      errors[i] = std::current_exception();
      next = count;  // nothing after it counts
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
    if (work.stop || work.next >= work.count) return;
    ++work.running;
  }
  sigset_t before;
  block_signals(&before);
  const auto poll = [&work] {
    if (work.stop) throw Stopped();
  };
  for (size_t i; !work.stop && (i = work.next++) < work.count;) work.take(i, poll);
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
    if (threads > 1) ask_for_help(work, std::min<size_t>(threads, work->count));
    for (size_t i; (i = work->next++) < work->count;) {
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

ParallelAggregation::ParallelAggregation(const Program& program, const Execution& execution)
    : program_(program), execution_(execution) {
  by_key_ = execution.by_key;
}

// How it goes on with all pieces is decided with the first ones, and not by the number of threads.
void ParallelAggregation::decide(std::span<const Piece> pieces) {
  const bool keys = !program_.keys.empty();
  const bool in_order = execution_.in_row_order || needs_row_order(program_);
  const bool distinct = has_distinct(program_);
  const bool matters = execution_.threads > 1 || depends_on_order(program_);
  if (keys && matters && !by_key_) by_key_ = distinct || has_many_groups(program_, pieces);
  in_row_order_ = in_order || by_key_ || !matters || (distinct && !keys);
  const unsigned threads = by_key_ ? execution_.threads : 1;
  for (unsigned i = 0; i < threads; ++i) {
    Part part;
    part.number = execution_.pass * threads + i;
    part.of = execution_.passes * threads;
    if (execution_.most_bytes != SIZE_MAX) part.most_bytes = execution_.most_bytes / threads;
    parts_.push_back(std::make_unique<Aggregation>(program_, part));
  }
  decided_ = true;
}

void ParallelAggregation::add(std::span<const Piece> pieces, const Poll& poll) {
  if (!decided_) decide(pieces);
  if (pieces.empty()) return;
  if (parts_.size() > 1) return add_by_key(pieces, poll);
  if (!in_row_order_) return add_morsels(pieces, poll);
  parts_.front()->expect(pieces);
  for (const Piece& piece : pieces) parts_.front()->add(piece, poll);
}

void ParallelAggregation::add_by_key(std::span<const Piece> pieces, const Poll& poll) {
  auto work = std::make_shared<Work>();
  work->count = parts_.size();
  work->errors.resize(work->count);
  work->item = [this, pieces](size_t i, const Poll& poll_item) {
    parts_[i]->expect(pieces);
    for (const Piece& piece : pieces) parts_[i]->add(piece, poll_item);
  };
  run(work, execution_.threads, poll);
}

void ParallelAggregation::add_morsels(std::span<const Piece> pieces, const Poll& poll) {
  constexpr size_t kLeastBytes = 8 << 20;  // that groups within small ranges may need for an array
  Aggregation& total = *parts_.front();
  const std::vector<std::span<const Piece>> morsels = morsels_of(pieces);
  total.expect(pieces);
  if (morsels.size() <= 1 && total.counters().rows == 0) {
    for (const Piece& piece : pieces) total.add(piece, poll);
    return;
  }
  Part part;
  if (execution_.most_bytes != SIZE_MAX)
    part.most_bytes = std::max(execution_.most_bytes / morsels.size(), kLeastBytes);
  std::vector<std::unique_ptr<Aggregation>> results(morsels.size());
  auto work = std::make_shared<Work>();
  work->count = morsels.size();
  work->errors.resize(work->count);
  work->item = [&](size_t i, const Poll& poll_item) {
    auto result = std::make_unique<Aggregation>(program_, part);
    result->expect(morsels[i]);
    for (const Piece& piece : morsels[i]) result->add(piece, poll_item);
    results[i] = std::move(result);
  };
  try {
    run(work, execution_.threads, poll);
  } catch (const ValueError& e) {
    // A sum that overflows within a morsel need not do so in the whole.
    if (e.kind == ValueError::FloatOverflow) throw InRowOrder();
    throw;
  }
  for (std::unique_ptr<Aggregation>& result : results) {
    poll();
    total.merge(*result);
    result.reset();
  }
}

}  // namespace datahike::vector
