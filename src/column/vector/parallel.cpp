#include "column/vector/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>

namespace datahike::vector {

namespace {

constexpr uint64_t kMorselRows = 128 << 10;
constexpr uint64_t kMostMorsels = 64;
constexpr unsigned kMostTables = 16;  // threads that compute morsels

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

bool depends_on_order(const Program& program) {
  return std::ranges::any_of(program.accumulators,
                             [](const Accumulator& a) { return is_ordered(a.sum); });
}

// Singles are rounded after each row.
bool needs_row_order(const Program& program) {
  return std::ranges::any_of(program.accumulators,
                             [](const Accumulator& a) { return a.sum == Sum::Float32; });
}

bool is_distinct(Sum sum) { return sum == Sum::Distinct || sum == Sum::DistinctSum; }

bool has_distinct(const Program& program) {
  return std::ranges::any_of(program.accumulators,
                             [](const Accumulator& a) { return is_distinct(a.sum); });
}

// How many groups there are by a sample, whose rows have so many, if none is more likely than
// another: rows fall on groups * (1 - e^(-rows / groups)) of them.
double groups_by_sample(double groups, double rows) {
  if (groups >= 0.97 * rows) return std::numeric_limits<double>::infinity();
  double low = groups, high = groups;
  const auto expected = [rows](double all) { return -all * std::expm1(-rows / all); };
  while (expected(high) < groups) high *= 2;
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (expected(middle) < groups ? low : high) = middle;
  }
  return high;
}

// The same if some groups may be much more likely than others, after Charikar et al., "Towards
// estimation error guarantees for distinct values" (2000): each that a row of the sample has alone
// stands for some.
double groups_at_odds(double groups, double single, double rows, double all_rows) {
  return groups - single + single * std::sqrt(std::max(1.0, all_rows / rows));
}

// What some rows from here and there say of all.
struct Sample {
  double groups = 0;       // how many there may be
  bool many = false;       // so many that merging is not worth it
  bool few_values = true;  // different values are not many more than groups
};

Sample sample_groups(const Program& program, std::span<const Piece> pieces) {
  constexpr size_t kPieces = 8;
  constexpr uint32_t kMany = 512;
  Program keys = program;
  keys.accumulators = {Accumulator{.sum = Sum::Rows}};
  for (const Accumulator& a : program.accumulators)
    if (is_distinct(a.sum)) keys.accumulators.push_back(a);
  Aggregation sample(keys);
  sample.expect(pieces);
  const size_t step = std::max<size_t>(1, pieces.size() / kPieces);
  double sampled = 0, rows = 0;
  for (size_t i = 0; i < pieces.size(); i += step) {
    sample.add_first_chunk(pieces[i]);
    sampled += std::min<double>(kChunkRows, pieces[i].segment.rows());
  }
  bool few_values = true;
  for (size_t i = 1; i < keys.accumulators.size(); ++i) {
    uint64_t values = 0;
    for (uint32_t g = 0; g < sample.groups(); ++g)
      values += static_cast<uint64_t>(sample.state(static_cast<int>(i)).integer(g));
    few_values &= values <= 2 * uint64_t{sample.groups()};
  }
  if (sample.groups() < kMany) return {.few_values = few_values};
  for (const Piece& piece : pieces) rows += piece.segment.rows();
  const double passed = static_cast<double>(sample.counters().passed);
  rows *= passed / sampled;
  double single = 0;
  for (uint32_t g = 0; g < sample.groups(); ++g) single += sample.state(0).integer(g) == 1;
  const double groups = groups_by_sample(sample.groups(), passed);
  // Groups are merged once for each thread, but partial results that depend on the order of rows
  // once for each morsel.
  const double at_odds = groups_at_odds(sample.groups(), single, passed, rows);
  const bool many = at_odds > rows / 16 ||
                    (depends_on_order(program) && groups > static_cast<double>(kMorselRows / 2));
  return {std::min(std::max(groups, at_odds), rows), many, few_values};
}

// Items that threads take one after the other. Kept by every task that may still start.
struct Work {
  // An item, and which of the threads computes it, from 0. Each thread has items in ascending
  // order.
  std::function<void(size_t, unsigned, const std::function<void()>&)> item;
  size_t count = 0;
  std::vector<std::exception_ptr> errors;
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable done;
  size_t running = 0;    // threads that have entered the loop of help()
  unsigned entered = 0;  // how many have at all

  void take(size_t i, unsigned thread, const std::function<void()>& poll) {
    try {
      item(i, thread, poll);
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
  unsigned thread;
  {
    std::lock_guard lock(work.mutex);
    if (work.stop || work.next >= work.count) return;
    ++work.running;
    thread = ++work.entered;
  }
  sigset_t before;
  block_signals(&before);
  const auto poll = [&work] {
    if (work.stop) throw Stopped();
  };
  for (size_t i; !work.stop && (i = work.next++) < work.count;) work.take(i, thread, poll);
  std::lock_guard lock(work.mutex);
  --work.running;
  work.done.notify_all();
}

// Threads are made with the signals of the one that asks for them blocked. TBB has one fewer than
// there are processors, and warns on stderr, the server's log, of an arena that asks for more.
void ask_for_help(const std::shared_ptr<Work>& work, unsigned threads) {
  static tbb::task_arena arena(std::max(1, tbb::this_task_arena::max_concurrency() - 1), 0);
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

Work* at_work = nullptr;  // that other threads may be reading for

void run(const std::shared_ptr<Work>& work, unsigned threads, const std::function<void()>& poll) {
  struct AtWork {
    explicit AtWork(Work& work) { at_work = &work; }
    ~AtWork() { at_work = nullptr; }
  } const noted(*work);
  try {
    if (threads > 1) ask_for_help(work, std::min<size_t>(threads, work->count));
    for (size_t i; (i = work->next++) < work->count;) {
      work->take(i, 0, poll);
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

void stop_other_threads() noexcept {
  if (!at_work) return;
  at_work->stop = true;
  wait_for_others(*at_work, nullptr);
}

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
  Sample sample;
  if (keys && !pieces.empty()) sample = sample_groups(program_, pieces);
  if (keys && matters && !by_key_) by_key_ = sample.many || !sample.few_values;
  in_row_order_ = in_order || by_key_ || !matters || (distinct && !keys);
  // Every thread reads all rows and finds out which are its own: with few of them, which may be
  // hardware threads of one core, that costs what it saves, unless it is values that are many.
  constexpr unsigned kWorthwhile = 4;
  const bool divides = execution_.threads >= kWorthwhile || distinct;
  const unsigned threads = by_key_ && divides ? execution_.threads : 1;
  for (unsigned i = 0; i < threads; ++i) {
    Part part;
    part.number = execution_.pass * threads + i;
    part.of = execution_.passes * threads;
    if (execution_.most_bytes != SIZE_MAX) part.most_bytes = execution_.most_bytes / threads;
    parts_.push_back(std::make_unique<Aggregation>(program_, part));
    parts_.back()->expect(pieces);
    if (in_row_order_) parts_.back()->reserve(sample.groups / part.of);
  }
  decided_ = true;
}

void ParallelAggregation::add(std::span<const Piece> pieces, const Poll& poll) {
  if (!decided_) decide(pieces);
  if (pieces.empty()) return;
  add_all(pieces, poll);
  for (const auto& part : parts_) part->finish();
}

void ParallelAggregation::add_all(std::span<const Piece> pieces, const Poll& poll) {
  if (parts_.size() > 1) return add_by_key(pieces, poll);
  if (!in_row_order_) return add_morsels(pieces, poll);
  for (const Piece& piece : pieces) parts_.front()->add(piece, poll);
}

void ParallelAggregation::add_by_key(std::span<const Piece> pieces, const Poll& poll) {
  auto work = std::make_shared<Work>();
  work->count = parts_.size();
  work->errors.resize(work->count);
  work->item = [this, pieces](size_t i, unsigned, const Poll& poll_item) {
    for (const Piece& piece : pieces) parts_[i]->add(piece, poll_item);
  };
  run(work, execution_.threads, poll);
}

void ParallelAggregation::add_morsels_here(std::span<const std::span<const Piece>> morsels,
                                           const Poll& poll) {
  Aggregation& total = *parts_.front();
  try {
    for (const std::span<const Piece> morsel : morsels) {
      for (const Piece& piece : morsel) total.add(piece, poll);
      total.end_morsel();
    }
  } catch (const ValueError& e) {
    if (e.kind == ValueError::FloatOverflow) throw InRowOrder();
    throw;
  }
  total.end_morsels();
}

void ParallelAggregation::add_morsels(std::span<const Piece> pieces, const Poll& poll) {
  Aggregation& total = *parts_.front();
  const std::vector<std::span<const Piece>> morsels = morsels_of(pieces);
  if (morsels.size() <= 1 && total.counters().rows == 0) {
    for (const Piece& piece : pieces) total.add(piece, poll);
    return;
  }
  const auto threads = static_cast<unsigned>(
      std::min<size_t>(std::min(execution_.threads, kMostTables), morsels.size()));
  Part part{.most_bytes = execution_.most_bytes};
  part.morsels = static_cast<unsigned>(morsels.size());
  part.tables = std::min(kMostTables, part.morsels);
  total.set_part(part);
  total.end_morsel();  // what is from earlier pieces
  if (threads == 1) return add_morsels_here(morsels, poll);
  total.end_morsels();
  struct Result {
    unsigned thread;
    uint32_t groups;  // that the thread had met by then
    States states;
  };
  std::vector<std::unique_ptr<Aggregation>> of_threads(threads);
  std::vector<Result> results(morsels.size());
  auto work = std::make_shared<Work>();
  work->count = morsels.size();
  work->errors.resize(work->count);
  work->item = [&](size_t i, unsigned thread, const Poll& poll_item) {
    std::unique_ptr<Aggregation>& own = of_threads[thread];
    if (!own) {
      own = std::make_unique<Aggregation>(program_, part);
      own->expect(pieces);
    }
    for (const Piece& piece : morsels[i]) own->add(piece, poll_item);
    results[i] = {thread, own->groups(), own->take_states(false)};
  };
  try {
    run(work, threads, poll);
  } catch (const ValueError& e) {
    // A sum that overflows within a morsel need not do so in the whole.
    if (e.kind == ValueError::FloatOverflow) throw InRowOrder();
    throw;
  }
  // Groups in the order in which rows have them first: whoever meets one in the morsel that has it
  // first has not met it before.
  std::vector<Translation> known(threads);
  for (Result& result : results) {
    poll();
    Translation& to = known[result.thread];
    total.merge_groups(*of_threads[result.thread], result.groups, to);
    total.merge_states(result.states, std::span(to.groups).first(result.groups));
    result.states.clear();
  }
  for (unsigned t = 0; t < threads; ++t) {
    if (!of_threads[t]) continue;
    poll();
    total.merge_states(of_threads[t]->take_states(true), known[t].groups);
    total.merge_counters(*of_threads[t]);
  }
}

}  // namespace datahike::vector
