// The results of window functions, row by row, as PostgreSQL's transition and final functions make
// them.
#include <algorithm>
#include <cmath>

#include "exec/window.h"

extern "C" {
#include "miscadmin.h"
#include "utils/float.h"
#include "utils/numeric.h"
}

namespace datahike::exec {

namespace {

// float8_accum of float.c.
void accumulate(double* m, double value) {
  const double before = m[0], sum_before = m[1];
  const double n = before + 1, sum = sum_before + value;
  double squares = m[2];
  if (before > 0) {
    const double distance = value * n - sum;
    squares += distance * distance / (n * before);
    if (std::isinf(sum) || std::isinf(squares)) {
      if (!std::isinf(sum_before) && !std::isinf(value)) float_overflow_error();
      squares = get_float8_nan();
    }
  } else if (std::isnan(value) || std::isinf(value)) {
    squares = get_float8_nan();
  }
  m[0] = n;
  m[1] = sum;
  m[2] = squares;
}

void add_row(WindowState& s, uint64_t word) {
  const auto integer = static_cast<int64>(word);
  const double real = DatumGetFloat8(static_cast<Datum>(word));
  const bool first = s.count == 0;
  switch (s.function.kind) {
    case WindowFunction::SumInteger:
      s.word += integer;
      return;
    case WindowFunction::SumNumeric:
    case WindowFunction::AverageNumeric:
      if (s.scale >= 0 && integer == vector::kNaNDecimal)
        ++s.sum.nans;
      else
        s.sum.add(integer);
      return;
    case WindowFunction::SumReal:
      s.real[0] = first ? real : float8_pl(s.real[0], real);
      return;
    case WindowFunction::SumSingle:
      s.real[0] =
          first ? real
                : double{float4_pl(static_cast<float4>(s.real[0]), static_cast<float4>(real))};
      return;
    case WindowFunction::AverageReal:
      return accumulate(s.real, real);
    case WindowFunction::MinWord:
      s.word = first ? integer : std::min(s.word, integer);
      return;
    case WindowFunction::MaxWord:
      s.word = first ? integer : std::max(s.word, integer);
      return;
    case WindowFunction::MinReal:  // float8smaller: of equal ones the later
      if (first || !float8_lt(s.real[0], real)) s.real[0] = real;
      return;
    case WindowFunction::MaxReal:
      if (first || !float8_gt(s.real[0], real)) s.real[0] = real;
      return;
    default:
      return;
  }
}

Datum real_result(double value, Oid type) {
  return type == FLOAT4OID ? Float4GetDatum(static_cast<float4>(value)) : Float8GetDatum(value);
}

Datum result_of(const WindowState& s) {
  switch (s.function.kind) {
    case WindowFunction::SumInteger:
      return Int64GetDatum(s.word);
    case WindowFunction::SumNumeric:
      return sum_as_numeric(s.sum, std::max(s.scale, 0));
    case WindowFunction::AverageNumeric:
      return DirectFunctionCall2(numeric_div, sum_as_numeric(s.sum, std::max(s.scale, 0)),
                                 NumericGetDatum(int64_to_numeric(s.count)));
    case WindowFunction::AverageReal:
      return Float8GetDatum(s.real[1] / s.real[0]);
    case WindowFunction::MinWord:
    case WindowFunction::MaxWord:
      return s.scale >= 0 ? decimal_numeric(s.word, s.scale) : word_as(s.word, s.function.type);
    default:
      return real_result(s.real[0], s.function.type);
  }
}

// False: what is left has to be added up anew, as PostgreSQL does where rounding makes that another
// result.
bool remove_row(WindowState& s, uint64_t word) {
  const auto integer = static_cast<int64>(word);
  switch (s.function.kind) {
    case WindowFunction::CountRows:
    case WindowFunction::Count:
      return true;
    case WindowFunction::SumInteger:
      s.word -= integer;
      return true;
    case WindowFunction::SumNumeric:
    case WindowFunction::AverageNumeric:
      if (s.scale >= 0 && integer == vector::kNaNDecimal)
        --s.sum.nans;
      else
        s.sum.add(-static_cast<__int128>(integer));
      return true;
    case WindowFunction::MinWord:
    case WindowFunction::MaxWord:
      return integer != s.word;
    case WindowFunction::MinReal:
    case WindowFunction::MaxReal:
      return !float8_eq(DatumGetFloat8(static_cast<Datum>(word)), s.real[0]);
    default:
      return false;
  }
}

bool counts(const vector::WindowRows& rows, const WindowState& s, uint32_t row) {
  if (s.filter >= 0 && rows.word(static_cast<unsigned>(s.filter), row) == 0) return false;
  return s.function.source < 0 || !rows.is_null(static_cast<unsigned>(s.function.source), row);
}

uint64_t argument(const vector::WindowRows& rows, const WindowState& s, uint32_t row) {
  const int kind = s.function.kind;
  if (kind == WindowFunction::Count || kind == WindowFunction::CountRows) return 0;
  return rows.word(static_cast<unsigned>(s.function.source), row);
}

// Adds the rows up to `end`, which is not before those that have been added.
void add_rows(const vector::WindowRows& rows, WindowState& s, uint32_t end) {
  for (; s.done < end; ++s.done) {
    if (s.done % 65536 == 0) CHECK_FOR_INTERRUPTS();
    if (!counts(rows, s, s.done)) continue;
    add_row(s, argument(rows, s, s.done));
    ++s.count;
  }
}

// Takes the rows up to `begin` out again; false: the others are to be added anew. REQUIRES: some
// of them are left.
bool remove_rows(const vector::WindowRows& rows, WindowState& s, uint32_t begin) {
  for (; s.from < begin; ++s.from) {
    if (!counts(rows, s, s.from)) continue;
    if (!remove_row(s, argument(rows, s, s.from))) return false;
    --s.count;
  }
  return true;
}

void forget_rows(WindowState& s, uint32_t begin) {
  s.from = s.done = begin;
  s.count = s.word = 0;
  s.sum = {};
  s.real[0] = s.real[1] = s.real[2] = 0;
}

// From a row to the one behind its last.
struct Frame {
  uint32_t begin, end;
};

Frame frame_of(const WindowFunction& f, const WindowPlace& at) {
  const auto within = [&](int64 row) {
    return static_cast<uint32_t>(std::clamp(row, int64{at.partition}, int64{at.partition_end}));
  };
  Frame frame{};
  frame.begin = f.begin == WindowFunction::Partition ? at.partition
                : f.begin == WindowFunction::Peers   ? at.peers
                                                     : within(int64{at.row} + f.begin_rows);
  frame.end = f.end == WindowFunction::Partition ? at.partition_end
              : f.end == WindowFunction::Peers   ? at.peers_end
                                                 : within(int64{at.row} + f.end_rows + 1);
  frame.end = std::max(frame.begin, frame.end);
  return frame;
}

// The first tiles have a row more, where the rows cannot be divided evenly.
int32 tile_of(int64 row, int64 rows, int64 tiles) {
  const int64 least = rows / tiles, larger = rows % tiles, in_larger = larger * (least + 1);
  if (row < in_larger) return static_cast<int32>(row / (least + 1) + 1);
  return static_cast<int32>(larger + (row - in_larger) / least + 1);
}

void aggregate(const vector::WindowRows& rows, WindowState& s, const WindowPlace& at) {
  const Frame frame = frame_of(s.function, at);
  const bool begins = at.row == at.partition;
  if (!begins && s.from == frame.begin && s.done == frame.end) return;
  // Neither end of a partition's frames ever goes back.
  if (begins || frame.begin >= s.done || !remove_rows(rows, s, frame.begin))
    forget_rows(s, frame.begin);
  add_rows(rows, s, frame.end);
  ++s.changes;
  if (s.function.kind == WindowFunction::Count || s.function.kind == WindowFunction::CountRows) {
    s.is_null = false;
    s.result = Int64GetDatum(s.count);
    return;
  }
  s.is_null = s.count == 0;
  if (s.is_null) return;
  MemoryContextReset(s.context);
  MemoryContext old = MemoryContextSwitchTo(s.context);
  s.result = result_of(s);
  MemoryContextSwitchTo(old);
}

}  // namespace

Datum source_value(const vector::WindowRows& rows, int source, uint32_t place, Oid type, int scale,
                   bool* is_null) {
  const auto number = static_cast<unsigned>(source);
  *is_null = rows.is_null(number, place);
  if (*is_null) return 0;
  switch (type) {
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID: {
      static_assert(vector::TextNumbers::kHeaderBytes == VARHDRSZ);
      uint8_t* value = rows.text_header(number, place);
      SET_VARSIZE(value, rows.text(number, place).size() + VARHDRSZ);
      return PointerGetDatum(value);
    }
    case NUMERICOID:
      return decimal_numeric(static_cast<int64_t>(rows.word(number, place)), scale);
    case FLOAT4OID:
    case FLOAT8OID:
      return real_result(DatumGetFloat8(static_cast<Datum>(rows.word(number, place))), type);
    default:
      return word_as(static_cast<int64_t>(rows.word(number, place)), type);
  }
}

Datum window_value(const vector::WindowRows& rows, WindowState& s, const WindowPlace& at,
                   bool* is_null) {
  *is_null = false;
  const WindowFunction& f = s.function;
  switch (f.kind) {
    case WindowFunction::RowNumber:
      return Int64GetDatum(int64{at.row} - at.partition + 1);
    case WindowFunction::Rank:
      return Int64GetDatum(int64{at.peers} - at.partition + 1);
    case WindowFunction::DenseRank:
      return Int64GetDatum(at.dense);
    case WindowFunction::PercentRank: {
      const int64 others = int64{at.partition_end} - at.partition - 1;
      if (others == 0) return Float8GetDatum(0.0);
      return Float8GetDatum(static_cast<double>(at.peers - at.partition) /
                            static_cast<double>(others));
    }
    case WindowFunction::CumulativeDistribution:
      return Float8GetDatum(static_cast<double>(at.peers_end - at.partition) /
                            static_cast<double>(at.partition_end - at.partition));
    case WindowFunction::Tile:
      return Int32GetDatum(
          tile_of(at.row - at.partition, at.partition_end - at.partition, f.offset));
    case WindowFunction::NthValue: {
      const Frame frame = frame_of(f, at);
      const int64 place = int64{frame.begin} + f.offset;
      if (place < frame.end)
        return source_value(rows, f.source, static_cast<uint32_t>(place), f.type, s.scale, is_null);
      *is_null = true;
      return 0;
    }
    case WindowFunction::CountRows: {
      if (s.filter >= 0) break;
      const Frame frame = frame_of(f, at);
      return Int64GetDatum(int64{frame.end} - frame.begin);
    }
    case WindowFunction::Lag: {
      const int64 place = int64{at.row} + f.offset;
      if (place >= at.partition && place < at.partition_end)
        return source_value(rows, f.source, static_cast<uint32_t>(place), f.type, s.scale, is_null);
      *is_null = !f.other || f.other->constisnull;
      return *is_null ? 0 : f.other->constvalue;
    }
    case WindowFunction::FirstValue:
    case WindowFunction::LastValue: {
      const Frame frame = frame_of(f, at);
      *is_null = frame.begin == frame.end;
      if (*is_null) return 0;
      const uint32_t place = f.kind == WindowFunction::FirstValue ? frame.begin : frame.end - 1;
      return source_value(rows, f.source, place, f.type, s.scale, is_null);
    }
    default:
      break;
  }
  aggregate(rows, s, at);
  *is_null = s.is_null;
  return s.result;
}

}  // namespace datahike::exec
