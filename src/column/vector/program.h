// What a query asks of a table's rows, compiled: which columns, which rows, which groups, and what
// to accumulate for each group. Plain C++: made from PostgreSQL's expressions in exec/, carried out
// by Evaluator (evaluator.h) and Aggregation (aggregation.h).
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "column/bytes.h"
#include "column/kind.h"

namespace datahike::vector {

using column::Kind;

class BuildTable;
class TimeZone;

inline constexpr unsigned kChunkRows = 2048;  // evaluated at once
inline constexpr unsigned kMaskWords = kChunkRows / 64;

// How values are held: integers (and dates, timestamps, booleans) as int64, floats as double.
// Text has no vectors: it is read through dictionaries (text.h). Numerics of at most 18 digits are
// integers, scaled by a power of ten; products of more digits are Wide, of 128 bits.
enum class Type : uint8_t { Int, Float, Text, Wide };

// NaN among scaled numerics: equal to itself and above all others, as PostgreSQL has it.
inline constexpr int64_t kNaNDecimal = INT64_MAX;

// A column that the query reads.
struct Column {
  int16_t number = 0;  // of the attribute
  Kind kind = Kind::Int64;
  uint16_t width = 0;
  Type type = Type::Int;
  // Its value in rows that were written before it was added.
  bool missing_null = true;
  uint64_t missing_word = 0;
  Bytes missing_text;
  int decimal = -1;  // of a numeric that is read as an integer: its digits behind the point
  // Of a join's build side, the number of its column there; -1: a column of the table.
  int build = -1;
};

// The type of an integer result, which bounds it: bytes of int2, int4, int8.
enum class Op : uint8_t {
  Column,    // argument: index of the column
  Constant,  // value, null
  Add,       // left, right; overflow raises
  Subtract,
  Multiply,
  Divide,
  Modulo,
  IntToFloat,   // left
  Length,       // characters of a text column: `argument`, an index of a column
  TimeField,    // left: a timestamp; argument: which field; value: whether in the program's zone
  ToTimestamp,  // left: seconds since 1970
  Presence,     // only whether a column of any type is NULL: `argument`
  Row,          // `function` of `operands`
  DecimalAdd,   // left, right, of the same scale; of Int or Wide
  DecimalSubtract,
  DecimalMultiply,
};

struct Vector;

// A function of several values of a row, computed for many rows at once, by several threads at a
// time.
struct RowFunction {
  virtual ~RowFunction() = default;
  // Operands are of type Int or Float, as `types` says.
  virtual void compute(std::span<const Vector* const> operands, std::span<const Type> types,
                       unsigned rows, Vector& out) const = 0;
};

// A node of an expression. Operands come before what uses them.
struct Expression {
  Op op = Op::Constant;
  Type type = Type::Int;
  uint8_t bytes = 8;  // of an integer's SQL type
  int left = -1, right = -1;
  int argument = -1;
  uint64_t value = 0;
  bool null = false;
  int scale = -1;   // of a numeric: digits behind the point
  int digits = 18;  // and how many it has at most
  std::vector<int> operands{};
  std::shared_ptr<const RowFunction> function{};
  bool operator==(const Expression&) const = default;
};

enum class Test : uint8_t {
  Range,
  NotEqual,
  OneOf,
  IsNull,
  IsNotNull,
  TextIn,
  TextNotIn,
  Like,
  NotLike,
  NoneOf,
  Never,
  Any,
};

struct Filter;
using Condition = std::vector<Filter>;  // all must hold, tried in this order

// A condition on one expression, or on a text column. Rows for which it is NULL do not pass.
struct Filter {
  Test test = Test::Range;
  int expression = -1;  // of type Int or Float
  int column = -1;      // for tests of text, and IsNull of any column
  // Range: low <= value <= high. Floats are compared as PostgreSQL does: NaN is equal to itself and
  // above all others, -0 is equal to 0. Open bounds are for floats.
  bool has_low = false, has_high = false, low_open = false, high_open = false;
  uint64_t low = 0, high = 0;           // int64 or double, by the expression's type; NotEqual: low
  std::vector<uint64_t> words;          // OneOf, NoneOf: ascending as int64, or doubles
  std::vector<std::string> texts;       // TextIn, TextNotIn
  std::vector<std::string> pieces;      // Like '%a%b%': what is found one behind the other
  std::vector<Condition> alternatives;  // Any: one must hold, tried in this order
  bool operator==(const Filter&) const = default;
};
// Of a Range of integers.
inline int64_t low_of(const Filter& f) {
  return f.has_low ? static_cast<int64_t>(f.low) : INT64_MIN;
}
inline int64_t high_of(const Filter& f) {
  return f.has_high ? static_cast<int64_t>(f.high) : INT64_MAX;
}

// What is kept for each group. `argument` is an expression.
enum class Sum : uint8_t {
  Rows,            // all rows of the group
  Nulls,           // rows whose argument is NULL
  Present,         // 1 if the argument of some row is not NULL, else 0
  Int64,           // sum that cannot overflow (of int2 and int4)
  Int128,          // sum of int8
  Squares,         // Int128 sum of squares, with the sum itself kept as another
  Float,           // sum of doubles in row order, from -0
  Bounded,         // the same of values whose squares cannot overflow; else Unbounded is thrown
  Float32,         // sum of singles, rounded to single after each row
  Decimal,         // of numerics
  DecimalProduct,  // of a Wide or Int and an Int, of more digits than a Wide has
  Quotient,        // of quotients of two numerics
  Min,             // of integers
  Max,
  MinFloat,  // as float8smaller: of equal ones the last
  MaxFloat,
  Moments,      // N, Sx, Sxx by Youngs and Cramer, as float8_accum
  CoMoments,    // N, Sx, Sxx, Sy, Syy, Sxy, as float8_regr_accum(argument, second)
  Distinct,     // number of different values that are not NULL
  DistinctSum,  // sum of different integers or numerics
  MinText,      // of strings, by their bytes
  MaxText,
  Values,  // all that are not NULL
  First,   // where the first rows are, by the program's order
};

struct Accumulator {
  Sum sum = Sum::Rows;
  int argument = -1;  // expression; Distinct of text: -1
  int second =
      -1;         // CoMoments: the other argument. Distinct: 1 if the argument is of floats, else 0
  int text = -1;  // Distinct, MinText, MaxText of text: the column
  int filter = -1;  // the condition of the rows that count; -1: all do
  bool operator==(const Accumulator&) const = default;
};

struct Key {
  int expression = -1;  // of type Int or Float
  int text = -1;        // or a text column
};

// By what the rows of a group are ordered, one behind the other.
struct Order {
  int expression = -1;
  bool descending = false, nulls_first = false;
};
inline constexpr unsigned kMostOrder = 16;

// A hash join of the table's rows that pass the filters, the probe side, with the rows of a build
// side (build_table.h) that have equal keys.
struct Join {
  enum Kind : uint8_t {
    None,
    Inner,
    Left,  // and the rows without a match, with NULLs for the other side's columns
    Semi,  // the rows that have a match, each once
    Anti,  // the rows without a match
  };
  Kind kind = None;
  std::vector<Key> keys;        // of the table
  std::vector<int> build_keys;  // the columns of the build side that these are compared with
  std::shared_ptr<const BuildTable> build;
  // Where the build side is too large for memory, the rows are read once for each of so many parts
  // of it, by the hashes of the keys: `build` is the part at hand, the first one first.
  unsigned part = 0, parts = 1;
};

inline const char* name_of(Join::Kind kind) {
  constexpr const char* kNames[] = {"None", "Inner", "Left", "Semi", "Anti"};
  return kNames[kind];
}

struct Program {
  std::vector<Column> columns;
  std::vector<Expression> expressions;
  Condition filters;
  std::vector<Condition> conditions;  // of accumulators
  std::vector<Key> keys;
  std::vector<Accumulator> accumulators;
  std::vector<Order> order;  // of Sum::First: at most kMostOrder
  uint32_t first = 0;        // likewise: how many rows of each group
  Join join;
  std::shared_ptr<const TimeZone> zone;
};

// An SQL error of an expression: 22003, 22008 or 22012.
struct ValueError : std::exception {
  enum Kind {
    SmallintRange,
    IntegerRange,
    BigintRange,
    FloatOverflow,
    FloatUnderflow,
    TimestampNaN,
    InfiniteInteger,
    InfiniteBigint,
    TimestampRange,
    DivisionByZero
  } kind;
  double value;  // TimestampRange: what is out of range
  explicit ValueError(Kind k, double v = 0) : kind(k), value(v) {}
  const char* what() const noexcept override { return "value out of range"; }
};

// Partial results cannot be combined to what rows one after the other give.
struct InRowOrder {};

// A value met by Sum::Bounded is too large: the program is to be run anew with Moments instead.
struct Unbounded {};

}  // namespace datahike::vector
