// Folding: many one-row updates in one batch, and a bulk load that arrives as large segments.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "store/fold.h"
#include "store/segment.h"
#include "store/version.h"

namespace datahike::store {
namespace {

constexpr uint32_t kBranch = 1;
constexpr uint64_t kTable = 16400, kRows = 1000000;
constexpr uint32_t kRowsPerSegment = 20000;  // about 1 MB
constexpr uint64_t kCommitsPerBatch = 1000;

class Store {
 public:
  Store() : head_(root_commit(0, {1, 5})) {
    std::string path = (std::filesystem::temp_directory_path() / "fold_bench_XXXXXX").string();
    if (!mkdtemp(path.data())) std::abort();
    directory_ = path;
    env_ = Environment::open(
        directory_,
        {.read_only = false, .map_size = size_t{4} << 30, .max_readers = 16, .identity = {1, 5}});
  }
  ~Store() {
    env_.reset();
    std::filesystem::remove_all(directory_);
  }

  // One batch, synced; `add` gives the folder its entries.
  template <class Add>
  void fold(Add add) {
    auto batch = env_->begin_write();
    Folder folder(*batch, kBranch, head_, {.root = head_.root, .deltas = {}}, head_.tx + 1);
    add(folder);
    head_ = folder.finish();
    batch->commit();
  }

 private:
  std::string directory_;
  std::unique_ptr<Environment> env_;
  Commit head_;
};

// A row of about 50 bytes: a key, a random number, a text.
void add_row(SegmentBuilder& builder, std::mt19937_64& random, uint64_t key, uint64_t entity) {
  builder.begin_row(entity, 100);
  builder.add_bits(key);
  builder.add_bits(random());
  const uint64_t text[4] = {random(), random(), random(), random()};
  builder.add_bytes({reinterpret_cast<const uint8_t*>(text), sizeof text});
}

SegmentBuilder make_builder() {
  return SegmentBuilder(
      {{1, Kind::Int64, 0, 20, -1}, {2, Kind::Int64, 0, 20, -1}, {3, Kind::Bytes, 0, 25, -1}});
}

struct Logged {
  LogEntry entry;
  std::vector<Bytes> parts;
  void fold(Folder& folder) const {
    folder.add(entry, [this](uint32_t part) { return ByteView(parts[part]); });
  }
};

// One transaction that inserts rows 1..kRows, one segment in each part.
Logged make_load() {
  std::mt19937_64 random(1);
  SegmentBuilder builder = make_builder();
  TableDelta delta;
  delta.table = kTable;
  delta.added = {{1, kRows}};
  Logged load;
  for (uint64_t first = 1; first <= kRows; first += kRowsPerSegment) {
    for (uint64_t i = 0; i < kRowsPerSegment; ++i) add_row(builder, random, first + i, 0);
    load.parts.push_back(builder.finish(first));
    delta.segments.push_back({first, kRowsPerSegment, static_cast<uint32_t>(load.parts.size() - 1),
                              0, load.parts.back().size()});
  }
  load.entry.delta.tables.push_back(std::move(delta));
  return load;
}

// Updates of one random row each, among kRows.
class Updates {
 public:
  Updates() : current_(kRows) {
    for (uint64_t i = 0; i < kRows; ++i) current_[i] = i + 1;
  }
  Logged next() {
    const uint64_t entity = random_() % kRows + 1, rowid = next_rowid_++;
    add_row(builder_, random_, entity, entity);
    Logged update;
    update.parts.push_back(builder_.finish(rowid));
    TableDelta delta;
    delta.table = kTable;
    delta.added = {{rowid, 1}};
    delta.removed = {{current_[entity - 1], rowid}};
    delta.segments = {{rowid, 1, 0, 0, update.parts[0].size()}};
    current_[entity - 1] = rowid;
    update.entry.xid = rowid;
    update.entry.author = "bench";
    update.entry.delta.tables.push_back(std::move(delta));
    return update;
  }

 private:
  std::mt19937_64 random_{2};
  SegmentBuilder builder_ = make_builder();
  std::vector<uint64_t> current_;  // rowid of each entity's newest version
  uint64_t next_rowid_ = kRows + 1;
};

void fold_single_row_updates(benchmark::State& state) {
  Store store;
  const Logged load = make_load();
  store.fold([&](Folder& folder) { load.fold(folder); });
  Updates updates;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<Logged> log;
    for (uint64_t i = 0; i < kCommitsPerBatch; ++i) log.push_back(updates.next());
    state.ResumeTiming();
    store.fold([&](Folder& folder) {
      for (const Logged& update : log) update.fold(folder);
    });
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kCommitsPerBatch));
}
BENCHMARK(fold_single_row_updates)->Unit(benchmark::kMillisecond)->UseRealTime();

void fold_bulk_load(benchmark::State& state) {
  const Logged load = make_load();
  for (auto _ : state) {
    state.PauseTiming();
    auto store = std::make_unique<Store>();
    state.ResumeTiming();
    store->fold([&](Folder& folder) { load.fold(folder); });
    state.PauseTiming();
    store.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
}
BENCHMARK(fold_bulk_load)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace datahike::store
