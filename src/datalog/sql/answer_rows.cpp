#include "datalog/sql/answer.h"
#include "datalog/sql/values.h"
#include "pg/bridge.h"

extern "C" {
#include "mb/pg_wchar.h"
#include "utils/numeric.h"
}

namespace datahike::query {

using datalog::Column;

namespace {
constexpr size_t kAtOnce = 1000;
}

AnswerRows::AnswerRows(const Answer& answer, TupleDesc desc)
    : answer_(answer),
      desc_(desc),
      at_once_(answer.result.file ? answer.result.file->rows_of_block() : kAtOnce) {
  const size_t columns = answer.query.find.size();
  if (static_cast<size_t>(desc->natts) != columns)
    throw datalog::QueryError("42804",
                              "the query finds " + std::to_string(columns) +
                                  " values a row, and the column definition list has " +
                                  std::to_string(desc->natts),
                              "SELECT * FROM datahike.q(...) AS t(a int, b text)");
  values_.resize(columns * at_once_);
  nulls_.resize(columns * at_once_);
}

void AnswerRows::read(size_t first, MemoryContext memory) {
  count_ = 0;
  pg::call([=] { MemoryContextReset(memory); });
  const datalog::QueryResult& result = answer_.result;
  datalog::Columns block;
  if (result.file) block = result.file->read_number(first / at_once_);
  const datalog::Columns& columns = result.file ? block : result.columns;
  const size_t from = result.file ? 0 : first;
  MemoryContext before = MemoryContextSwitchTo(memory);
  first_ = first;
  count_ = std::min(at_once_, rows() - first);
  for (size_t c = 0; c < columns.size(); ++c) read_column(columns[c], from, c);
  MemoryContextSwitchTo(before);
}

// Values that are one in memory, as those of a dictionary are, become one text.
void AnswerRows::read_texts(const Column& column, size_t from, Datum* out) {
  constexpr size_t kKnown = 64;
  const std::string* texts[kAtOnce];
  for (size_t i = 0; i < count_; ++i) texts[i] = &column.at(from + i).text();
  const std::string* const* t = texts;
  const size_t count = count_;
  pg::call([=] {
    const std::string* known[kKnown] = {};
    Datum datums[kKnown];
    for (size_t i = 0; i < count; ++i) {
      const auto address = reinterpret_cast<uintptr_t>(t[i]);
      const size_t at = (address >> 4 ^ address >> 10) % kKnown;
      if (known[at] != t[i]) {
        const int length = static_cast<int>(t[i]->size());
        pg_verify_mbstr(PG_UTF8, t[i]->data(), length, false);
        known[at] = t[i];
        datums[at] = PointerGetDatum(cstring_to_text_with_len(t[i]->data(), length));
      }
      out[i] = datums[at];
    }
  });
}

void AnswerRows::read_column(const Column& column, size_t from, size_t c) {
  Form_pg_attribute attribute = TupleDescAttr(desc_, static_cast<int>(c));
  const Oid type = attribute->atttypid;
  Datum* out = values_.data() + c * at_once_;
  uint8_t* nulls = nulls_.data() + c * at_once_;
  std::fill(nulls, nulls + count_, 0);
  if (column.is_integers()) {
    const int64_t* integers = column.integers().data() + from;
    const size_t count = count_;
    bool fits = type == INT8OID || type == FLOAT8OID || type == INT4OID;
    if (type == INT4OID)
      for (size_t i = 0; i < count; ++i) fits &= integers[i] == static_cast<int32_t>(integers[i]);
    if (fits) {
      for (size_t i = 0; i < count; ++i)
        out[i] = type == INT8OID   ? Int64GetDatum(integers[i])
                 : type == INT4OID ? Int32GetDatum(static_cast<int32>(integers[i]))
                                   : Float8GetDatum(static_cast<double>(integers[i]));
      return;
    }
    if (type == NUMERICOID && attribute->atttypmod == -1)
      return pg::call([=] {
        for (size_t i = 0; i < count; ++i) out[i] = NumericGetDatum(int64_to_numeric(integers[i]));
      });
  } else if (type == TEXTOID && GetDatabaseEncoding() == PG_UTF8) {
    bool texts = true;
    for (size_t i = 0; i < count_; ++i) texts &= column.at(from + i).is(Kind::String);
    if (texts) return read_texts(column, from, out);
  }
  for (size_t i = 0; i < count_; ++i) {
    bool isnull;
    out[i] = datum_of(column[from + i], type, attribute->atttypmod, &isnull);
    nulls[i] = isnull;
  }
}

}  // namespace datahike::query
