#include "column/vector/time.h"

#include <algorithm>
#include <cmath>

#include "column/vector/evaluator.h"

namespace datahike::vector {

namespace {

constexpr int64_t kDay = 86400, kMicros = 1000000;
constexpr int64_t kPeriod = 146097 * kDay;  // 400 years of the Gregorian calendar

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

struct Date {
  int64_t day, month, year;
};

// Of a number of days since 2000-01-01: by years that begin in March, so that leap days end them.
Date date_of(int64_t days) {
  const int64_t z = days + 730425;  // since 0000-03-01
  const int64_t era = floor_div(z, 146097);
  const int64_t day_of_era = z - era * 146097;
  const int64_t year =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
  const int64_t month = (5 * day_of_year + 2) / 153;
  return {day_of_year - (153 * month + 2) / 5 + 1, month < 10 ? month + 3 : month - 9,
          era * 400 + year + (month >= 10)};
}

}  // namespace

void TimeZone::add(int64_t from, int64_t offset_seconds) {
  ranges_.push_back({from, offset_seconds});
}

int64_t TimeZone::offset(int64_t second) const {
  if (second >= repeat_from_) second -= ((second - repeat_from_) / kPeriod + 1) * kPeriod;
  const auto next = std::upper_bound(ranges_.begin() + 1, ranges_.end(), second,
                                     [](int64_t s, const Range& r) { return s < r.from; });
  return (next - 1)->offset;
}

int64_t time_field(TimeField field, int64_t timestamp, const TimeZone* zone) {
  int64_t second = floor_div(timestamp, kMicros);
  if (zone) second += zone->offset(second);
  const int64_t days = floor_div(second, kDay);
  switch (field) {
    case TimeField::Minute:
      return (second - days * kDay) / 60 % 60;
    case TimeField::Hour:
      return (second - days * kDay) / 3600;
    case TimeField::Day:
      return date_of(days).day;
    case TimeField::Month:
      return date_of(days).month;
    case TimeField::Year: {
      const int64_t year = date_of(days).year;
      return year > 0 ? year : year - 1;
    }
    case TimeField::Second: {
      const int64_t part = timestamp - floor_div(timestamp, kMicros) * kMicros;
      return (second - floor_div(second, 60) * 60) * kMicros + part;
    }
    case TimeField::Weekday:
    case TimeField::IsoWeekday: {
      const int64_t weekday = days + 6 - floor_div(days + 6, 7) * 7;  // 2000-01-01 was a Saturday
      return field == TimeField::IsoWeekday && weekday == 0 ? 7 : weekday;
    }
  }
  return 0;
}

// Of infinite timestamps fields are NULL, but years are infinite, too.
void Evaluator::compute_field(const Expression& e, Vector& out) {
  const Vector& left = value(e.left);
  const TimeZone* zone = e.value & kZoned ? program_.zone.get() : nullptr;
  const auto field = static_cast<TimeField>(e.argument);
  out.any_null = left.any_null;
  bool infinite = false;
  for (unsigned i = 0; i < selected_; ++i)
    infinite |= left.ints()[i] == kNoBegin || left.ints()[i] == kNoEnd;
  if (infinite && field == TimeField::Year) return compute_year(e, left, zone, out);
  if (infinite || left.any_null) {
    out.any_null = true;
    for (unsigned i = 0; i < selected_; ++i)
      out.null[i] =
          (left.any_null && left.null[i]) || left.ints()[i] == kNoBegin || left.ints()[i] == kNoEnd;
  }
  for (unsigned i = 0; i < selected_; ++i) {
    if (out.any_null && out.null[i]) continue;
    out.ints()[i] = time_field(field, left.ints()[i], zone);
  }
}

void Evaluator::compute_year(const Expression& e, const Vector& left, const TimeZone* zone,
                             Vector& out) {
  if (left.any_null) std::copy_n(left.null, selected_, out.null);
  for (unsigned i = 0; i < selected_; ++i) {
    if (left.any_null && left.null[i]) continue;
    const int64_t at = left.ints()[i];
    const bool infinite = at == kNoBegin || at == kNoEnd;
    if (infinite && e.value & kToInteger) throw ValueError(ValueError::InfiniteInteger);
    if (infinite && e.value & kToBigint) throw ValueError(ValueError::InfiniteBigint);
    out.ints()[i] = infinite ? at : time_field(TimeField::Year, at, zone);
  }
}

// float8_timestamptz() in PostgreSQL's timestamp.c.
void Evaluator::compute_timestamp(const Expression& e, Vector& out) {
  constexpr double kFirst = -2440588.0 * kDay, kEnd = (109203528.0 - 2440588.0) * kDay;
  constexpr double kEpoch = (2451545.0 - 2440588.0) * kDay;
  constexpr int64_t kLeast = -211813488000000000, kMost = 9223371331200000000;
  const Vector& left = value(e.left);
  out.any_null = left.any_null;
  if (left.any_null) std::copy_n(left.null, selected_, out.null);
  for (unsigned i = 0; i < selected_; ++i) {
    if (left.any_null && left.null[i]) continue;
    const double seconds = left.floats()[i];
    if (std::isnan(seconds)) throw ValueError(ValueError::TimestampNaN);
    if (std::isinf(seconds)) {
      out.ints()[i] = seconds < 0 ? kNoBegin : kNoEnd;
      continue;
    }
    if (seconds < kFirst || seconds >= kEnd) throw ValueError(ValueError::TimestampRange, seconds);
    const double micros = std::rint((seconds - kEpoch) * kMicros);
    const auto result = static_cast<int64_t>(micros);
    if (result < kLeast || result >= kMost) throw ValueError(ValueError::TimestampRange, seconds);
    out.ints()[i] = result;
  }
}

}  // namespace datahike::vector
