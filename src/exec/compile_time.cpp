// Fields of timestamps.
#include "column/vector/time.h"
#include "exec/compile_types.h"

extern "C" {
#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/date.h"
}

namespace datahike::exec {

using vector::Op;
using vector::TimeField;
using vector::Type;

namespace {

constexpr int64_t kEpoch = int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * SECS_PER_DAY;

// What the session's time zone is by PostgreSQL's own tables. The rules that a zone has for all
// the future have been reached long before 2440, with 400 years of their own.
std::shared_ptr<const vector::TimeZone> session_zone() {
  constexpr pg_time_t kFirst = -300000000000, kRepeat = 14831769600;  // before 4713 BC; 2440
  auto zone = std::make_shared<vector::TimeZone>();
  const auto offset = [](pg_time_t at) {
    return pg::call([at] { return pg_localtime(&at, session_timezone)->tm_gmtoff; });
  };
  zone->add(INT64_MIN, offset(kFirst));
  for (pg_time_t at = kFirst;;) {
    long before, after;
    int before_dst, after_dst;
    pg_time_t boundary;
    const int found = pg::call([&] {
      return pg_next_dst_boundary(&at, &before, &before_dst, &boundary, &after, &after_dst,
                                  session_timezone);
    });
    if (found < 0) return nullptr;
    if (found == 0) break;
    if (boundary >= kRepeat) {
      zone->repeat_from(kRepeat - kEpoch);
      break;
    }
    zone->add(boundary - kEpoch, offset(boundary));
    at = boundary;
  }
  return zone;
}

bool field_of(Node* name, TimeField* field) {
  auto* value = reinterpret_cast<Const*>(strip(name));
  if (!IsA(value, Const) || value->constisnull || value->location == kPlaceholder ||
      value->consttype != TEXTOID)
    return false;
  const std::string text = text_of(value->constvalue);
  constexpr std::pair<const char*, TimeField> kFields[] = {
      {"minute", TimeField::Minute}, {"hour", TimeField::Hour},   {"day", TimeField::Day},
      {"month", TimeField::Month},   {"dow", TimeField::Weekday}, {"isodow", TimeField::IsoWeekday},
      {"second", TimeField::Second}, {"year", TimeField::Year}};
  for (const auto& [known, its_field] : kFields) {
    if (text != known) continue;
    *field = its_field;
    return true;
  }
  return false;
}

}  // namespace

// extract() as an integer, whatever type PostgreSQL gives it; -1 for anything else.
int Compiler::time_field(Node* node, uint64_t cast) {
  if (!node || !IsA(node, FuncExpr)) return -1;
  auto* call = reinterpret_cast<FuncExpr*>(node);
  const bool zoned =
      call->funcid == F_EXTRACT_TEXT_TIMESTAMPTZ || call->funcid == F_DATE_PART_TEXT_TIMESTAMPTZ;
  if (!zoned && call->funcid != F_EXTRACT_TEXT_TIMESTAMP &&
      call->funcid != F_DATE_PART_TEXT_TIMESTAMP)
    return -1;
  TimeField field;
  if (!field_of(static_cast<Node*>(linitial(call->args)), &field)) return -1;
  // As a number of six digits behind the point: what is cast would have to be rounded.
  const bool rounds = cast != 0 || call->funcid == F_DATE_PART_TEXT_TIMESTAMPTZ ||
                      call->funcid == F_DATE_PART_TEXT_TIMESTAMP;
  if (field == TimeField::Second && rounds) return -1;
  if (zoned && !program.zone) program.zone = session_zone();
  if (zoned && !program.zone) return -1;
  Expression e;
  e.op = Op::TimeField;
  e.bytes = cast == vector::kToInteger || field != TimeField::Year ? 4 : 8;
  e.argument = static_cast<int>(field);
  e.value = (zoned ? vector::kZoned : 0) | cast;
  if (field == TimeField::Second) e.scale = 6;
  e.left = expression(static_cast<Node*>(lsecond(call->args)));
  return e.left < 0 ? -1 : add(e);
}

// Calls that give or take times; -1 for all others.
int Compiler::time_call(Oid function, List* arguments) {
  auto* first = static_cast<Node*>(linitial(arguments));
  Expression e;
  switch (function) {
    case F_INT4_NUMERIC:
      return time_field(first, vector::kToInteger);
    case F_INT8_NUMERIC:
      return time_field(first, vector::kToBigint);
    case F_TO_TIMESTAMP_FLOAT8:
      e.op = Op::ToTimestamp;
      e.left = expression(first);
      return e.left < 0 ? -1 : add(e);
    default:
      return -1;
  }
}

// A date compared with a timestamp, or the other way round. What of them is infinite is so in both
// types, and PostgreSQL has dates that no timestamp reaches between its last one and infinity.
bool Compiler::compare_times(Node* node, int strategy, Node* other) {
  const Oid type = exprType(node), of_constant = exprType(other);
  const bool dates = type == DATEOID && of_constant == TIMESTAMPOID;
  if (!dates && !(type == TIMESTAMPOID && of_constant == DATEOID)) return false;
  auto* constant = reinterpret_cast<Const*>(other);
  const int value = expression(node);
  if (value < 0) return false;
  if (constant->constisnull || constant->location == kPlaceholder)
    return range(value, strategy, constant);
  int64_t bound;
  bool exact = true;
  if (dates) {
    const Timestamp at = DatumGetTimestamp(constant->constvalue);
    bound = at / USECS_PER_DAY - (at % USECS_PER_DAY < 0);
    exact = at % USECS_PER_DAY == 0;
    if (TIMESTAMP_NOT_FINITE(at)) {
      bound = TIMESTAMP_IS_NOEND(at) ? DATEVAL_NOEND : DATEVAL_NOBEGIN;
      exact = true;
    }
  } else {
    const DateADT day = DatumGetDateADT(constant->constvalue);
    bound = DATE_IS_NOEND(day) ? DT_NOEND : DT_NOBEGIN;
    if (!DATE_NOT_FINITE(day)) {
      exact = day < TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE;
      bound = exact ? day * USECS_PER_DAY : DT_NOEND - 1;
    }
  }
  rounded_range(value, strategy, bound, exact);
  return true;
}

}  // namespace datahike::exec
