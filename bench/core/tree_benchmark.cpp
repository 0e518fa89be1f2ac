// Trees in memory, and look-ups in an LMDB store of some tens of megabytes.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <random>

#include "store/environment.h"
#include "tree/live_set.h"
#include "tree/ordered_map.h"

namespace datahike {
namespace {

class VectorNodes : public tree::NodeSink {
 public:
  ByteView node(uint64_t id) override { return nodes_.at(id - 1); }
  uint64_t put_node(ByteView bytes) override {
    nodes_.emplace_back(bytes.begin(), bytes.end());
    return nodes_.size();
  }
  size_t size() const { return nodes_.size(); }
  void truncate(size_t size) { nodes_.resize(size); }

 private:
  std::vector<Bytes> nodes_;
};

Bytes key_of(uint64_t n) {
  Bytes key(16);
  put_big_endian(key.data(), n / 7);
  put_big_endian(key.data() + 8, n);
  return key;
}

constexpr uint64_t kEntries = 1'000'000;

// 10^6 entries with keys of 16 and values of 16 bytes.
struct Map {
  VectorNodes nodes;
  tree::NodeRef root;
  Map() {
    std::vector<tree::Edit> edits;
    for (uint64_t i = 0; i < kEntries; ++i) edits.push_back({key_of(i), false, key_of(i), {}});
    root = tree::apply_edits(nodes, {}, edits);
  }
  static Map& get() {
    static Map map;
    return map;
  }
};

void map_build(benchmark::State& state) {
  std::vector<tree::Edit> edits;
  for (uint64_t i = 0; i < kEntries; ++i) edits.push_back({key_of(i), false, key_of(i), {}});
  for (auto _ : state) {
    VectorNodes nodes;
    benchmark::DoNotOptimize(tree::apply_edits(nodes, {}, edits));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kEntries));
}
BENCHMARK(map_build)->Unit(benchmark::kMillisecond);

void map_get(benchmark::State& state) {
  Map& map = Map::get();
  std::mt19937_64 random(1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(tree::get(map.nodes, map.root, key_of(random() % kEntries)));
  }
}
BENCHMARK(map_get);

void map_scan(benchmark::State& state) {
  Map& map = Map::get();
  tree::MapCursor cursor(map.nodes, map.root);
  cursor.first();
  for (auto _ : state) {
    benchmark::DoNotOptimize(cursor.entry().value.data());
    cursor.next();
    if (!cursor.valid()) cursor.first();
  }
}
BENCHMARK(map_scan);

// Edits spread evenly over the map: state.range(0) of them.
void map_apply_edits(benchmark::State& state) {
  Map& map = Map::get();
  std::vector<tree::Edit> edits;
  uint64_t step = kEntries / static_cast<uint64_t>(state.range(0));
  for (uint64_t i = step / 2; i < kEntries; i += step) {
    edits.push_back({key_of(i), false, key_of(i + 1), {}});
  }
  size_t before = map.nodes.size();
  size_t written = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(tree::apply_edits(map.nodes, map.root, edits));
    written = map.nodes.size() - before;
    map.nodes.truncate(before);
  }
  state.counters["nodes written"] = static_cast<double>(written);
}
BENCHMARK(map_apply_edits)->Arg(1)->Arg(1000)->Unit(benchmark::kMicrosecond);

// 10^7 rowids, of which one in a thousand goes.
void live_set_remove(benchmark::State& state) {
  constexpr uint64_t kMembers = 10'000'000;
  VectorNodes nodes;
  std::vector<tree::RowidRange> all = {{1, kMembers}};
  tree::NodeRef root = tree::update_live_set(nodes, {}, all, {}, nullptr);
  std::mt19937_64 random(2);
  std::vector<uint64_t> removed;
  for (uint64_t i = 0; i < kMembers; i += 1000) removed.push_back(i + 1 + random() % 1000);
  size_t before = nodes.size();
  for (auto _ : state) {
    benchmark::DoNotOptimize(tree::update_live_set(nodes, root, {}, removed, nullptr));
    nodes.truncate(before);
  }
}
BENCHMARK(live_set_remove)->Unit(benchmark::kMillisecond);

void live_set_contains(benchmark::State& state) {
  constexpr uint64_t kMembers = 10'000'000;
  VectorNodes nodes;
  std::vector<tree::RowidRange> ranges;
  for (uint64_t i = 0; i < kMembers; i += 100) ranges.push_back({i, 50});
  tree::NodeRef root = tree::update_live_set(nodes, {}, ranges, {}, nullptr);
  std::mt19937_64 random(3);
  for (auto _ : state) {
    benchmark::DoNotOptimize(tree::contains(nodes, root, random() % kMembers));
  }
}
BENCHMARK(live_set_contains);

// A store with 200 segments of 10 000 rows and 1000 nodes of 4 KB, in a temporary directory.
class Store : public benchmark::Fixture {
 public:
  static constexpr uint64_t kSegments = 200, kRows = 10'000, kNodes = 1000;

  void SetUp(benchmark::State&) override {
    std::string pattern = std::filesystem::temp_directory_path() / "datahike-bench-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    store::Options options;
    options.read_only = false;
    options.map_size = 256 << 20;
    env = store::Environment::open(directory_ / "store", options);
    auto batch = env->begin_write();
    for (uint64_t i = 0; i < kNodes; ++i) batch->put_node(Bytes(4000, static_cast<uint8_t>(i)));
    store::SegmentBuilder builder({{1, store::Kind::Int64, 0, 20, -1}});
    for (uint64_t s = 0; s < kSegments; ++s) {
      for (uint64_t row = 0; row < kRows; ++row) {
        builder.begin_row(0, 1);
        builder.add_bits(row * row * 1'000'003);
      }
      batch->put_segment(1, builder.finish(1 + s * kRows));
    }
    batch->commit();
  }
  void TearDown(benchmark::State&) override {
    env.reset();
    std::filesystem::remove_all(directory_);
  }

  std::unique_ptr<store::Environment> env;

 private:
  std::filesystem::path directory_;
};

BENCHMARK_F(Store, segment_lookup)(benchmark::State& state) {
  std::mt19937_64 random(4);
  for (auto _ : state) {
    benchmark::DoNotOptimize(env->segment(1, 1 + random() % (kSegments * kRows)));
  }
}

BENCHMARK_F(Store, node_lookup)(benchmark::State& state) {
  std::mt19937_64 random(5);
  for (auto _ : state) benchmark::DoNotOptimize(env->node(1 + random() % kNodes));
}

BENCHMARK_F(Store, refresh)(benchmark::State& state) {
  for (auto _ : state) env->refresh();
}

// Five nodes of 1 KB and a commit record, synced.
BENCHMARK_DEFINE_F(Store, commit_batch)(benchmark::State& state) {
  uint64_t tx = 0;
  for (auto _ : state) {
    auto batch = env->begin_write();
    for (int i = 0; i < 5; ++i) batch->put_node(Bytes(1000));
    store::Uuid id{static_cast<uint8_t>(tx), static_cast<uint8_t>(tx >> 8)};
    batch->put_commit(id, ++tx, Bytes(200));
    batch->commit();
  }
}
BENCHMARK_REGISTER_F(Store, commit_batch)->Iterations(500)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace datahike
