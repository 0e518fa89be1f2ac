#include "iforest/sql/measures.h"

#include <limits>

#include "pg/bridge.h"

extern "C" {
#include "utils/array.h"
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

namespace {

template <class Names>
std::string list_of(const Names& names) {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + std::string(name);
  return list;
}

std::string count_of(size_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

}  // namespace

std::vector<int> places_of(const char* name, const LoadedModel& loaded,
                           std::span<const char* const> given) {
  std::unordered_map<std::string_view, int> place;
  for (size_t i = 0; i < given.size(); ++i)
    if (!place.emplace(given[i], static_cast<int>(i)).second)
      throw pg::SqlError(ERRCODE_DUPLICATE_COLUMN,
                         std::string("feature \"") + given[i] + "\" is named twice");
  std::vector<int> places;
  for (const std::string& feature : loaded.model.features) {
    const auto at = place.find(feature);
    if (at == place.end())
      throw pg::SqlError(
          ERRCODE_UNDEFINED_COLUMN,
          std::string("model \"") + name + "\" has a feature \"" + feature +
              "\" that the call does not pass",
          "The call passes " + list_of(given) + ", and the model has " +
              list_of(loaded.model.features) +
              ". A view or function of the short form is of the features that the model had then: "
              "create it anew.");
    places.push_back(at->second);
  }
  return places;
}

void require_values(const char* name, size_t names, size_t values) {
  if (names == values) return;
  throw pg::SqlError(ERRCODE_UNDEFINED_FUNCTION, std::string("a call of model \"") + name +
                                                     "\" names " + count_of(names, "feature") +
                                                     ", but passes " + count_of(values, "value"));
}

GivenNames given_names(Datum datum) {
  ArrayType* array = DatumGetArrayTypeP(datum);
  Datum* values;
  bool* nulls;
  GivenNames given{};
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &given.count);
  given.names = static_cast<const char**>(palloc(sizeof(char*) * (given.count + 1)));
  for (int i = 0; i < given.count; ++i) {
    if (nulls[i])
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                      errmsg("the name of a feature must not be NULL")));
    given.names[i] = TextDatumGetCString(values[i]);
  }
  return given;
}

void require_features(const char* name, const LoadedModel& loaded, size_t given) {
  const size_t wanted = loaded.model.features.size();
  if (given == wanted) return;
  throw pg::SqlError(ERRCODE_UNDEFINED_FUNCTION,
                     std::string("model \"") + name + "\" has " + std::to_string(wanted) +
                         (wanted == 1 ? " feature" : " features") + ", but " +
                         std::to_string(given) + (given == 1 ? " was given" : " were given"),
                     "Its features are: " + list_of(loaded.model.features) + ".");
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

namespace {

Conversion conversion_of_base(Oid type) {
  switch (type) {
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

}  // namespace

Conversion conversion_of(Oid type) {
  const Conversion conversion = conversion_of_base(type);
  // Only domains need a look at the catalogs.
  const bool known = conversion != Conversion::None || type < FirstNormalObjectId;
  return known ? conversion : conversion_of_base(getBaseType(type));
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
