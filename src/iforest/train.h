// Growing isolation forests. The same rows in the same order, options and seed give the same
// forest, to the bit.
#pragma once

#include <functional>
#include <span>

#include "iforest/model.h"

namespace datahike::iforest {

struct Options {
  uint32_t trees = 100;
  uint32_t sample_size = 256;
  uint64_t seed = 42;
  std::optional<double> contamination;
};

// Rows to train with: values one row behind the other, NaN where there is none.
struct Rows {
  std::span<const double> values;
  uint32_t features = 0;
  size_t count() const { return features == 0 ? 0 : values.size() / features; }
  const double* row(size_t i) const { return values.data() + i * features; }
};

// How many of the rows of a query are kept to train with.
uint64_t rows_to_keep(const Options& options);

// `total`: rows of the query, of which `rows` are a uniform sample. `poll` is called now and then:
// it may throw. REQUIRES: at least one row, and options within the limits of model.h
Model train(std::vector<std::string> features, const Rows& rows, uint64_t total,
            const Options& options, const std::function<void()>& poll);

// Replaces the `replaced` oldest trees by ones grown from other rows, whose scores also decide the
// threshold from then on. REQUIRES: replaced <= number of trees
Model rotate(const Model& model, const Rows& rows, uint64_t total, uint32_t replaced,
             const std::function<void()>& poll);

// The q-quantile of values, interpolated between the two next to it.
double quantile(std::vector<double> values, double q);  // REQUIRES: not empty

}  // namespace datahike::iforest
