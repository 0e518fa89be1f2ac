#include "iforest/sql/measures.h"

#include <limits>

#include "pg/bridge.h"

extern "C" {
#include "utils/numeric.h"
}

namespace datahike::anomaly {

const char* name_of(Measure measure) {
  constexpr const char* kNames[] = {"anomaly_score", "anomaly_predict", "anomaly_proba",
                                    "anomaly_confidence", "anomaly_score_weighted"};
  return kNames[static_cast<int>(measure)];
}

double measure_row(const LoadedModel& loaded, Measure measure, double decay, const double* row) {
  const iforest::Scorer& scorer = loaded.scorer;
  switch (measure) {
    case Measure::Score:
      break;
    case Measure::Predict:
      return scorer.score(row) > loaded.model.threshold;
    case Measure::Probability:
      return scorer.probability(scorer.score(row));
    case Measure::Confidence:
      return scorer.confidence(row);
    case Measure::Weighted:
      return scorer.weighted_score(row, decay);
  }
  return scorer.score(row);
}

void measure_rows(const LoadedModel& loaded, Measure measure, double decay,
                  std::span<const double* const> columns, size_t rows, iforest::Scratch& scratch,
                  double* out) {
  const iforest::Scorer& scorer = loaded.scorer;
  if (measure == Measure::Confidence) return scorer.confidences(columns, rows, scratch, out);
  if (measure == Measure::Weighted)
    return scorer.weighted_scores(columns, rows, decay, scratch, out);
  scorer.scores(columns, rows, scratch, out);
  if (measure == Measure::Predict)
    for (size_t i = 0; i < rows; ++i) out[i] = out[i] > loaded.model.threshold;
  if (measure == Measure::Probability)
    for (size_t i = 0; i < rows; ++i) out[i] = scorer.probability(out[i]);
}

void require_features(const char* name, const LoadedModel& loaded, size_t given) {
  const size_t wanted = loaded.model.features.size();
  if (given == wanted) return;
  std::string names;
  for (const std::string& feature : loaded.model.features)
    names += (names.empty() ? "" : ", ") + feature;
  throw pg::SqlError(ERRCODE_UNDEFINED_FUNCTION,
                     std::string("model \"") + name + "\" has " + std::to_string(wanted) +
                         (wanted == 1 ? " feature" : " features") + ", but " +
                         std::to_string(given) + (given == 1 ? " was given" : " were given"),
                     "Its features are: " + names + ".");
}

void require_measurable(const char* name, const LoadedModel& loaded, Measure measure,
                        double decay) {
  if (measure == Measure::Predict && !loaded.model.contamination)
    throw pg::SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                       std::string("model \"") + name + "\" was trained without contamination",
                       "Train it with a contamination, or compare anomaly_score() with a "
                       "threshold of your own.");
  if (measure == Measure::Weighted && !(decay > 0 && decay <= 1))
    throw pg::SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                       "decay must be greater than 0 and at most 1");
}

Conversion conversion_of(Oid type) {
  switch (getBaseType(type)) {
    case INT2OID:
      return Conversion::Int2;
    case INT4OID:
      return Conversion::Int4;
    case INT8OID:
      return Conversion::Int8;
    case FLOAT4OID:
      return Conversion::Float4;
    case FLOAT8OID:
      return Conversion::Float8;
    case NUMERICOID:
      return Conversion::Numeric;
    default:
      return Conversion::None;
  }
}

double to_double(Datum value, Conversion conversion) {
  switch (conversion) {
    case Conversion::Int2:
      return DatumGetInt16(value);
    case Conversion::Int4:
      return DatumGetInt32(value);
    case Conversion::Int8:
      return static_cast<double>(DatumGetInt64(value));
    case Conversion::Float4:
      return DatumGetFloat4(value);
    case Conversion::Float8:
      return DatumGetFloat8(value);
    case Conversion::Numeric:  // what exceeds a double counts as infinite
      return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
    case Conversion::None:
    case Conversion::Null:
      break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace datahike::anomaly
