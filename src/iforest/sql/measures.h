// What the anomaly_* functions tell of rows.
#pragma once

#include "iforest/sql/models.h"

namespace datahike::anomaly {

enum class Measure : uint8_t { Score, Predict, Probability, Confidence, Weighted };

// The function's name, for messages.
const char* name_of(Measure measure);

// The measure of a function of ours, by the function's OID; nullopt for all other functions.
struct KnownFunction {
  Measure measure;
  bool short_form;
  int first_feature;  // index of the argument from which on there are features
};
std::optional<KnownFunction> known_function(Oid function);

// Of one row, and of many given as columns. Predictions are 0 or 1. Plain C++.
double measure_row(const LoadedModel& model, Measure measure, double decay, const double* row);
void measure_rows(const LoadedModel& model, Measure measure, double decay,
                  std::span<const double* const> columns, size_t rows, iforest::Scratch& scratch,
                  double* out);

// Throw SqlError: wrong number of features (42883), no contamination to predict with (22023), a
// decay outside (0, 1] (22023).
void require_features(const char* name, const LoadedModel& model, size_t given);
void require_measurable(const char* name, const LoadedModel& model, Measure measure, double decay);

// How a value of a type becomes a double.
enum class Conversion : uint8_t { None, Null, Int2, Int4, Int8, Float4, Float8, Numeric };
Conversion conversion_of(Oid type);  // None: the type is not numeric
// Raises PostgreSQL errors; owns nothing with a destructor.
double to_double(Datum value, Conversion conversion);

}  // namespace datahike::anomaly
