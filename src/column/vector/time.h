// Times of a time zone. Timestamps are microseconds since 2000-01-01 in UTC, as PostgreSQL has
// them.
#pragma once

#include <cstdint>
#include <vector>

namespace datahike::vector {

// Second: in millionths. Year: none is 0, those before Christ are negative; kNoBegin and kNoEnd of
// these timestamps.
enum class TimeField : uint8_t { Minute, Hour, Day, Month, Weekday, IsoWeekday, Second, Year };

// Of an expression's `value`: in the program's time zone; and as what an infinite year is asked
// for.
inline constexpr uint64_t kZoned = 1, kToInteger = 2, kToBigint = 4;

inline constexpr int64_t kNoBegin = INT64_MIN, kNoEnd = INT64_MAX;  // -infinity, infinity

// Which offsets from UTC a time zone has had, and will have.
class TimeZone {
 public:
  // From this second (since 2000) on; the first range has no beginning. In ascending order.
  void add(int64_t from, int64_t offset_seconds);
  // From this second on the rules of the 400 years before it come again, as the calendar does.
  void repeat_from(int64_t second) { repeat_from_ = second; }
  int64_t offset(int64_t second) const;

 private:
  struct Range {
    int64_t from, offset;
  };
  std::vector<Range> ranges_;
  int64_t repeat_from_ = INT64_MAX;
};

// Of a finite timestamp; without a zone, or in it.
int64_t time_field(TimeField field, int64_t timestamp, const TimeZone* zone);

}  // namespace datahike::vector
