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
  int names;          // index of the argument that names the features; -1: they come in the model's
                      // order
  int decay;          // index of the argument; -1: there is none
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
// Of each of the model's features the place among those that a call names. Throws SqlError: 42703
// where one is not among them, 42701 where two have one name.
std::vector<int> places_of(const char* name, const LoadedModel& model,
                           std::span<const char* const> given);
void require_measurable(const char* name, const LoadedModel& model, Measure measure, double decay);

// How a value of a type becomes a double.
enum class Conversion : uint8_t { None, Null, Int2, Int4, Int8, Float4, Float8, Numeric };
Conversion conversion_of(Oid type);  // None: the type is not numeric

// The names of features in a text[], palloc'd; 22004 for a NULL. Owns nothing with a destructor.
struct GivenNames {
  const char** names;
  int count;
  std::span<const char* const> span() const { return {names, static_cast<size_t>(count)}; }
};
GivenNames given_names(Datum array);
// Throws 42883 where a call has not as many values as names.
void require_values(const char* name, size_t names, size_t values);
// Raises PostgreSQL errors; owns nothing with a destructor.
double to_double(Datum value, Conversion conversion);

}  // namespace datahike::anomaly
