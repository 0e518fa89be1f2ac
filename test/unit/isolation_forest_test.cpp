// Isolation forests: against the plainest possible scoring, on every instruction set, and from
// bytes that are damaged.
#include "iforest/scorer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "iforest/arithmetic.h"
#include "iforest/format.h"
#include "iforest/random.h"
#include "iforest/reservoir.h"
#include "iforest/train.h"

namespace datahike::iforest {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

struct Data {
  std::vector<double> values;
  uint32_t features;
  size_t rows() const { return values.size() / features; }
  Rows view() const { return {values, features}; }
  std::vector<std::vector<double>> columns() const {
    std::vector<std::vector<double>> all(features);
    for (size_t i = 0; i < values.size(); ++i) all[i % features].push_back(values[i]);
    return all;
  }
};

// `odd`: one value in ten is missing, infinite or one of a few others.
Data random_data(size_t rows, uint32_t features, uint64_t seed, bool odd) {
  Random random(seed, 1);
  Data data{{}, features};
  constexpr double kOdd[] = {kNaN, kInf, -kInf, 0.0, -0.0, 1e308, -1e308, 5e-324};
  for (size_t i = 0; i < rows * features; ++i) {
    double v = 0;
    for (int k = 0; k < 4; ++k) v += random.unit();
    if (odd && random.below(10) == 0) v = kOdd[random.below(8)];
    data.values.push_back(v);
  }
  return data;
}

Model train_on(const Data& data, const Options& options) {
  std::vector<std::string> names;
  for (uint32_t f = 0; f < data.features; ++f) names.push_back("f" + std::to_string(f));
  return train(names, data.view(), data.rows(), options, [] {});
}

double plain_path(const Tree& tree, const double* row) {
  uint32_t at = 0;
  for (unsigned depth = 0;; ++depth) {
    const Node& node = tree.nodes[at];
    if (node.feature < 0)
      return depth + (node.size <= 1   ? 0
                      : node.size == 2 ? 1
                                       : 2 * (std::log(node.size - 1.0) + 0.5772156649) -
                                             2 * (node.size - 1.0) / node.size);
    const double v = row[node.feature];
    const bool left = std::isnan(v) ? node.missing_left : v < node.split;
    at = left ? at + 1 : node.right;
  }
}

double plain_score(const Model& model, const double* row) {
  double sum = 0;
  for (const Tree& tree : model.trees) sum += plain_path(tree, row);
  return std::exp2(-sum / static_cast<double>(model.trees.size()) /
                   average_path(model.trees[0].sample));
}

std::vector<double> scores_of(const Scorer& scorer, const Data& data, size_t batch) {
  const auto columns = data.columns();
  std::vector<double> out(data.rows());
  Scratch scratch;
  for (size_t begin = 0; begin < out.size(); begin += batch) {
    std::vector<const double*> heads;
    for (const auto& column : columns) heads.push_back(column.data() + begin);
    scorer.scores(heads, std::min(batch, out.size() - begin), scratch, out.data() + begin);
  }
  return out;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

TEST(Arithmetic, IsThatOfTheCLibrary) {
  for (double x : {1e-300, 0.1, 0.5, 0.70710678, 1.0, 1.41421356, 1.5, 2.0, 3.0, 255.0, 1e300})
    EXPECT_NEAR(natural_log(x), std::log(x), 4e-16 * std::max(1.0, std::abs(std::log(x)))) << x;
  for (double x = -30; x <= 3; x += 0.0137)
    EXPECT_NEAR(power_of_two(x), std::exp2(x), 4e-16 * std::exp2(x)) << x;
  EXPECT_EQ(power_of_two(-1), 0.5);
  EXPECT_EQ(average_path(1), 0);
  EXPECT_EQ(average_path(2), 1);
  EXPECT_NEAR(average_path(256), 10.244770920, 1e-8);
}

TEST(IsolationForest, ScoresAreThoseOfItsTrees) {
  for (bool odd : {false, true})
    for (uint32_t features : {1u, 2u, 10u, 200u}) {
      const Data data = random_data(700, features, features, odd);
      const Model model = train_on(data, {50, 256, 7, std::nullopt});
      const std::vector<double> scores = scores_of(Scorer(model), data, data.rows());
      for (size_t i = 0; i < data.rows(); ++i)
        ASSERT_NEAR(scores[i], plain_score(model, data.view().row(i)), 1e-13) << i;
    }
}

TEST(IsolationForest, ScoresAreTheSameOnEveryInstructionSetAndInBatchesOfAnySize) {
  // Ranks of 8 bits, those of few thresholds and of many in one feature; of 16 bits; walked.
  for (auto [sample, features] : std::initializer_list<std::pair<uint32_t, uint32_t>>{
           {1, 5}, {2, 5}, {3, 5}, {256, 1}, {256, 5}, {600, 5}, {3000, 5}})
    for (bool odd : {false, true}) {
      const Data data = random_data(2200, features, sample, odd);
      const Model model = train_on(data, {130, sample, 1, std::nullopt});
      Scorer scorer(model);
      scorer.use_kernels(nullptr);
      const std::vector<double> expected = scores_of(scorer, data, data.rows());
      for (size_t i = 0; i < data.rows(); ++i)
        ASSERT_EQ(scorer.score(data.view().row(i)), expected[i]);
      for (size_t target = 0; target < kernel_targets(); ++target) {
        scorer.use_kernels(&kernels_of_target(target));
        for (size_t batch : {size_t{1}, size_t{12}, size_t{129}, size_t{1000}, size_t{2200}})
          EXPECT_TRUE(same_bits(scores_of(scorer, data, batch), expected))
              << kernels_of_target(target).name << " " << sample << " " << batch;
      }
    }
}

TEST(IsolationForest, WeightsAndConfidencesAreTheSameInBatches) {
  const Data data = random_data(300, 4, 3, true);
  Model model = train_on(data, {40, 128, 1, std::nullopt});
  model = rotate(model, random_data(90, 4, 8, false).view(), 90, 10, [] {});
  const Scorer scorer(model);
  const auto columns = data.columns();
  std::vector<const double*> heads;
  for (const auto& column : columns) heads.push_back(column.data());
  std::vector<double> weighted(300), confident(300);
  Scratch scratch;
  scorer.weighted_scores(heads, 300, 0.5, scratch, weighted.data());
  scorer.confidences(heads, 300, scratch, confident.data());
  for (size_t i = 0; i < 300; ++i) {
    const double* row = data.view().row(i);
    EXPECT_EQ(scorer.weighted_score(row, 0.5), weighted[i]);
    EXPECT_EQ(scorer.confidence(row), confident[i]);
    double sum = 0, squares = 0, path = 0, normal = 0;
    for (const Tree& tree : model.trees) {
      const double length = plain_path(tree, row), weight = tree.generation == 1 ? 1 : 0.5;
      sum += length;
      squares += length * length;
      path += weight * length;
      normal += weight * average_path(tree.sample);
    }
    EXPECT_NEAR(weighted[i], std::exp2(-path / normal), 1e-12);
    const double mean = sum / 40, deviation = std::sqrt(squares / 40 - mean * mean);
    EXPECT_NEAR(confident[i], 1 / (1 + deviation / mean), 1e-9);
  }
}

TEST(IsolationForest, TreesKeepTheRules) {
  const Data data = random_data(2000, 3, 11, true);
  const Model model = train_on(data, {60, 200, 5, 0.1});
  for (const Tree& tree : model.trees) {
    EXPECT_EQ(tree.sample, 200u);
    uint64_t rows = 0;
    for (size_t i = 0; i < tree.nodes.size(); ++i) {
      const Node& node = tree.nodes[i];
      EXPECT_TRUE(std::isfinite(node.split));
      if (node.feature < 0) rows += node.size;
    }
    EXPECT_EQ(rows, 200u);
  }
  EXPECT_EQ(model, decode(encode(model)));  // depth 8 = ceil(log2(200)) is checked there, too
}

TEST(IsolationForest, TheSameSeedGivesTheSameForest) {
  const Data data = random_data(1000, 4, 2, true);
  const Options options{30, 256, 9, 0.05};
  EXPECT_EQ(encode(train_on(data, options)), encode(train_on(data, options)));
  Options other = options;
  other.seed = 10;
  EXPECT_NE(encode(train_on(data, options)), encode(train_on(data, other)));
}

TEST(IsolationForest, RotationReplacesTheOldestTreesAndLeavesTheModelAlone) {
  const Data data = random_data(500, 2, 2, false), later = random_data(500, 2, 4, false);
  const Model model = train_on(data, {20, 64, 9, 0.05});
  const Model copy = model;
  const Model next = rotate(model, later.view(), 500, 5, [] {});
  EXPECT_EQ(model, copy);
  ASSERT_EQ(next.trees.size(), 20u);
  for (size_t i = 0; i < 15; ++i) EXPECT_EQ(next.trees[i], model.trees[i + 5]);
  for (size_t i = 15; i < 20; ++i) EXPECT_EQ(next.trees[i].generation, 1u);
  EXPECT_EQ(encode(next), encode(rotate(model, later.view(), 500, 5, [] {})));
  // No tree of a second rotation is one of the first.
  const Model third = rotate(next, later.view(), 500, 5, [] {});
  for (size_t i = 15; i < 20; ++i) EXPECT_NE(third.trees[i].nodes, third.trees[i - 5].nodes);
}

TEST(IsolationForest, AgesOfTreesAreBounded) {
  const Data data = random_data(300, 3, 6, false);
  Model model = train_on(data, {10, 64, 1, 0.05});
  const std::vector<double> row(model.features.size(), 0.5);
  model.generation = kMostGenerations;
  EXPECT_THROW(decode(encode(model)), CorruptError);  // all trees are older
  model.trees.back().generation = kMostGenerations;
  EXPECT_EQ(model, decode(encode(model)));
  for (const double decay : {1e-300, 0.5, 1 - 1e-16, 1.0}) {
    const double score = Scorer(model).weighted_score(row.data(), decay);
    EXPECT_TRUE(score > 0 && score < 1) << decay;
  }
  EXPECT_THROW(rotate(model, data.view(), 300, 1, [] {}), LimitError);
}

TEST(IsolationForest, DegenerateRowsHaveFiniteScores) {
  const std::vector<Data> all = {{{1.0}, 1},
                                 {{1.0, 2.0}, 1},
                                 {std::vector<double>(500, 3.0), 2},
                                 {{kNaN, kNaN, kNaN}, 1},
                                 {{-kInf, kInf, 0, kNaN}, 1},
                                 {{-1.7e308, 1.7e308, 1, 2}, 1}};
  for (const Data& data : all) {
    const Model model = train_on(data, {10, 256, 1, 0.5});
    const std::vector<double> scores = scores_of(Scorer(model), data, data.rows());
    for (double s : scores) EXPECT_TRUE(s > 0 && s < 1) << s;
    for (double v : {kNaN, kInf, -kInf, 0.0, 1e308}) {
      const std::vector<double> row(data.features, v);
      const double s = Scorer(model).score(row.data());
      EXPECT_TRUE(s > 0 && s < 1) << s;
    }
    EXPECT_EQ(model, decode(encode(model)));
  }
}

// Not nearly: sums of a hundred equal path lengths are not a hundred times one of them.
TEST(IsolationForest, EqualRowsScoreAHalfWithFullConfidence) {
  for (const size_t rows : {1, 2, 3, 256, 1000})
    for (const uint32_t trees : {1, 3, 100}) {
      const Data data{std::vector<double>(rows, 5.0), 1};
      const Model model = train_on(data, {trees, 256, 1, 0.1});
      EXPECT_EQ(model.threshold, 0.5);
      const double other = 7;
      const Model rotated = rotate(model, data.view(), rows, 1, [] {});
      for (const Model* m : {&model, &rotated})
        for (const double* row : {data.view().row(0), &other}) {
          const Scorer scorer(*m);
          EXPECT_EQ(scorer.score(row), 0.5);
          EXPECT_EQ(scorer.weighted_score(row, 0.3), 0.5);
          EXPECT_EQ(scorer.confidence(row), 1);
          EXPECT_EQ(scorer.probability(scorer.score(row)), 0);
        }
      for (const double s : scores_of(Scorer(model), data, rows)) EXPECT_EQ(s, 0.5);
      // Trees of samples of other sizes have other path lengths, in which they do not agree.
      const Data more{std::vector<double>(rows + 100, 5.0), 1};
      const Model mixed = rotate(model, more.view(), rows + 100, 1, [] {});
      EXPECT_EQ(Scorer(mixed).score(&other), 0.5);
      EXPECT_EQ(Scorer(mixed).confidence(&other) == 1, trees == 1 || rows >= 256);
    }
}

TEST(IsolationForest, ContaminationIsTheShareOfTrainingRowsAboveTheThreshold) {
  const Data data = random_data(1000, 3, 6, false);
  const Model model = train_on(data, {100, 256, 1, 0.05});
  size_t above = 0;
  for (double s : scores_of(Scorer(model), data, 1000)) above += s > model.threshold;
  EXPECT_EQ(above, 50u);
  EXPECT_EQ(quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(quantile({1, 2}, 0.25), 1.25);
}

TEST(IsolationForest, DamagedBytesAreRefused) {
  const Data data = random_data(300, 3, 6, true);
  const Bytes bytes = encode(train_on(data, {5, 32, 1, 0.05}));
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes damaged = bytes;
    damaged[i] ^= 0x10;
    EXPECT_THROW(decode(damaged), CorruptError) << i;
    EXPECT_THROW(decode(ByteView(bytes).first(i)), CorruptError) << i;
  }
}

// What a hostile writer can do: any bytes with a right digest.
TEST(IsolationForest, BytesThatPassTheDigestAreStillChecked) {
  const Data data = random_data(300, 3, 6, true);
  const Bytes bytes = encode(train_on(data, {3, 16, 1, 0.05}));
  Random random(1, 1);
  size_t accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    Bytes content(bytes.begin(), bytes.end() - 8);
    for (uint64_t n = 1 + random.below(3); n > 0; --n)
      content[5 + random.below(content.size() - 5)] = static_cast<uint8_t>(random.next());
    try {
      const Model model = decode(sealed(std::move(content)));
      const std::vector<double> row(model.features.size(), 0.5);
      Scorer(model).score(row.data());
      ++accepted;
    } catch (const CorruptError&) {
    }
  }
  EXPECT_GT(accepted, 0u);
  EXPECT_LT(accepted, 3000u);
}

TEST(Reservoir, IsUniform) {
  constexpr uint64_t kRows = 100, kKept = 20, kRounds = 4000;
  std::vector<uint64_t> taken(kRows);
  for (uint64_t seed = 0; seed < kRounds; ++seed) {
    Reservoir reservoir(kKept, seed);
    std::vector<uint64_t> kept(kKept);
    for (uint64_t row = 0; row < kRows; ++row) {
      const uint64_t idle = reservoir.idle();
      const uint64_t place = reservoir.offer();
      EXPECT_EQ(idle == 0, place != Reservoir::kNone);
      if (place != Reservoir::kNone) kept[place] = row;
    }
    for (uint64_t row : kept) ++taken[row];
  }
  // Each row is expected 800 times, with a standard deviation of 25.
  for (uint64_t n : taken) EXPECT_NEAR(static_cast<double>(n), 800, 125);
}

}  // namespace
}  // namespace datahike::iforest
