// Building segments of one row and of 65536 rows, and reading them at random and in order.
#include <benchmark/benchmark.h>

#include <random>
#include <string>

#include "store/segment.h"

namespace datahike::store {
namespace {

constexpr uint32_t kRows = kMaxSegmentRows;

const std::vector<ColumnSpec> kFiveColumns = {{.number = 1, .kind = Kind::Int32, .type = 23},
                                              {.number = 2, .kind = Kind::Int32, .type = 23},
                                              {.number = 3, .kind = Kind::Int64, .type = 20},
                                              {.number = 4, .kind = Kind::Bytes, .type = 25},
                                              {.number = 5, .kind = Kind::Int64, .type = 1184}};

void add_row(SegmentBuilder& builder, uint64_t i) {
  builder.begin_row(0, 70000 + i);
  builder.add_bits(i);
  builder.add_bits(i % 100);
  builder.add_bits(1000 * i);
  builder.add_bytes(as_bytes("ten bytes."));
  builder.add_bits(800000000000000 + i);
}

void BuildOneRow(benchmark::State& state) {
  SegmentBuilder builder(kFiveColumns);
  uint64_t i = 0;
  for (auto _ : state) {
    add_row(builder, ++i);
    benchmark::DoNotOptimize(builder.finish(i));
  }
}
BENCHMARK(BuildOneRow);

void BuildOneRowWithNewBuilder(benchmark::State& state) {
  uint64_t i = 0;
  for (auto _ : state) {
    SegmentBuilder builder(kFiveColumns);
    add_row(builder, ++i);
    benchmark::DoNotOptimize(builder.finish(i));
  }
}
BENCHMARK(BuildOneRowWithNewBuilder);

// The columns that the other benchmarks are about.
enum Shape : int64_t { kPacked20, kPlain64, kFloats, kFewStrings, kManyStrings };
constexpr const char* kShapeNames[] = {"20-bit integers", "62-bit integers", "floats",
                                       "200 distinct strings", "distinct strings"};

ColumnSpec spec_of(int64_t shape) {
  const Kind kind = shape == kFloats       ? Kind::Float64
                    : shape >= kFewStrings ? Kind::Bytes
                                           : Kind::Int64;
  return {.number = 1, .kind = kind};
}

struct Input {
  std::vector<uint64_t> words;
  std::vector<std::string> strings;
};

Input input_of(int64_t shape) {
  Input input;
  std::mt19937_64 rng(1);
  for (uint32_t row = 0; row < kRows; ++row) {
    const uint64_t word = rng();
    input.words.push_back(shape == kPacked20 ? word >> 44 : word >> 2);
    input.strings.push_back(shape == kFewStrings ? "country number " + std::to_string(word % 200)
                                                 : std::to_string(word % 1000000000));
  }
  return input;
}

Bytes build(SegmentBuilder& builder, int64_t shape, const Input& input) {
  for (uint32_t row = 0; row < kRows; ++row) {
    builder.begin_row(0, 70000);
    if (shape < kFewStrings)
      builder.add_bits(input.words[row]);
    else
      builder.add_bytes(as_bytes(input.strings[row]));
  }
  return builder.finish(1);
}

void Build65536Rows(benchmark::State& state) {
  state.SetLabel(kShapeNames[state.range(0)]);
  SegmentBuilder builder(std::vector{spec_of(state.range(0))});
  const Input input = input_of(state.range(0));
  size_t bytes = 0;
  for (auto _ : state) bytes = build(builder, state.range(0), input).size();
  state.SetItemsProcessed(state.iterations() * kRows);
  state.counters["bytes/row"] = static_cast<double>(bytes) / kRows;
}
BENCHMARK(Build65536Rows)->DenseRange(kPacked20, kManyStrings)->ArgName("shape");

void Append65536Rows(benchmark::State& state) {
  state.SetLabel(kShapeNames[state.range(0)]);
  SegmentBuilder builder(std::vector{spec_of(state.range(0))});
  const Bytes segment = build(builder, state.range(0), input_of(state.range(0)));
  const SegmentReader reader(segment);
  for (auto _ : state) {
    for (uint32_t row = 0; row < kRows; ++row) builder.append(reader, row);
    benchmark::DoNotOptimize(builder.finish(1));
  }
  state.SetItemsProcessed(state.iterations() * kRows);
}
BENCHMARK(Append65536Rows)->DenseRange(kPacked20, kManyStrings)->ArgName("shape");

void OpenSegment(benchmark::State& state) {
  SegmentBuilder builder(kFiveColumns);
  add_row(builder, 1);
  const Bytes segment = builder.finish(1);
  for (auto _ : state) benchmark::DoNotOptimize(SegmentReader(segment));
}
BENCHMARK(OpenSegment);

void ReadRandomRow(benchmark::State& state) {
  state.SetLabel(kShapeNames[state.range(0)]);
  SegmentBuilder builder(std::vector{spec_of(state.range(0))});
  const Bytes segment = build(builder, state.range(0), input_of(state.range(0)));
  const SegmentReader reader(segment);
  column::Scratch scratch;
  uint64_t random = 1;
  for (auto _ : state) {
    random = random * 6364136223846793005 + 1442695040888963407;
    const uint32_t row = static_cast<uint32_t>(random >> 48);
    if (reader.is_null(0, row)) continue;
    if (state.range(0) < kFewStrings)
      benchmark::DoNotOptimize(reader.bits(0, row));
    else
      benchmark::DoNotOptimize(reader.bytes(0, row, scratch));
  }
}
BENCHMARK(ReadRandomRow)->DenseRange(kPacked20, kManyStrings)->ArgName("shape");

void ReadRunsInOrder(benchmark::State& state) {
  state.SetLabel(kShapeNames[state.range(0)]);
  SegmentBuilder builder(std::vector{spec_of(state.range(0))});
  const Bytes segment = build(builder, state.range(0), input_of(state.range(0)));
  const SegmentReader reader(segment);
  std::vector<uint64_t> run(2048);
  for (auto _ : state) {
    for (uint32_t row = 0; row < kRows; row += 2048) {
      reader.bits(0, row, run);
      benchmark::DoNotOptimize(run.data());
      benchmark::ClobberMemory();
    }
  }
  state.SetItemsProcessed(state.iterations() * kRows);
}
BENCHMARK(ReadRunsInOrder)->DenseRange(kPacked20, kFloats)->ArgName("shape");

void VerifySegment(benchmark::State& state) {
  SegmentBuilder builder(std::vector{spec_of(kPlain64)});
  const Bytes segment = build(builder, kPlain64, input_of(kPlain64));
  const SegmentReader reader(segment);
  for (auto _ : state) reader.verify();
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(segment.size()));
}
BENCHMARK(VerifySegment);

}  // namespace
}  // namespace datahike::store
