// The answer of datahike.q, and its rows as PostgreSQL has them.
#pragma once

#include "datalog/query.h"
#include "datalog/run.h"
#include "pg/pg.h"

namespace datahike::query {

struct Answer {
  datalog::Query query;
  datalog::QueryResult result;
};

// Of a call of datahike.q, with its arguments evaluated. REQUIRES: within pg::guard().
Answer answer_of(FunctionCallInfo fcinfo);

// Rows of an answer as values of a row type's columns, so many at a time.
class AnswerRows {
 public:
  size_t at_once() const { return at_once_; }
  // QueryError 42804 where the answer has another number of columns.
  AnswerRows(const Answer& answer, TupleDesc desc);
  size_t rows() const { return answer_.result.rows; }
  // Those from `first` on, into `memory`, which is reset before. What PostgreSQL raises where a
  // value is none of the column's type. REQUIRES: `first` is a multiple of at_once().
  void read(size_t first, MemoryContext memory);
  size_t first() const { return first_; }
  size_t count() const { return count_; }  // 0: nothing has been read
  Datum value(size_t row, size_t column) const { return values_[column * at_once_ + row - first_]; }
  bool is_null(size_t row, size_t column) const { return nulls_[column * at_once_ + row - first_]; }

 private:
  void read_column(const datalog::Column& values, size_t from, size_t column);
  void read_texts(const datalog::Column& column, size_t from, Datum* out);

  const Answer& answer_;
  TupleDesc desc_;
  size_t at_once_, first_ = 0, count_ = 0;
  std::vector<Datum> values_;  // column by column
  std::vector<uint8_t> nulls_;
};

}  // namespace datahike::query
