#include "datalog/sql/foreign_values.h"

#include "pg/bridge.h"

extern "C" {
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
}

namespace datahike::query {

void ForeignValues::add(int16_t number, Oid type) {
  Column column{number, type, Form::Other, store::Kind::Int64, {}, -1, {}};
  const auto is = [&](Form form, store::Kind kind) {
    column.form = form;
    column.kind = kind;
  };
  switch (type) {
    case INT2OID:
      is(Form::Integer, store::Kind::Int16);
      break;
    case INT4OID:
      is(Form::Integer, store::Kind::Int32);
      break;
    case INT8OID:
      is(Form::Integer, store::Kind::Int64);
      break;
    case BOOLOID:
      is(Form::Boolean, store::Kind::Int8);
      break;
    case FLOAT8OID:
      is(Form::Double, store::Kind::Float64);
      break;
    case TEXTOID:
      if (GetDatabaseEncoding() == PG_UTF8) is(Form::Text, store::Kind::Bytes);
      break;
    default:
      break;
  }
  columns_.push_back(std::move(column));
}

bool ForeignValues::open(const store::SegmentReader& segment) {
  if (bytes_ == segment.raw().data() && checksum_ == segment.checksum()) return reads_;
  bytes_ = segment.raw().data();
  checksum_ = segment.checksum();
  segment_ = segment;
  reads_ = false;
  for (Column& column : columns_) {
    const int at = column.form == Form::Other ? -1 : segment.find(column.number);
    if (at < 0) return false;
    const store::ColumnSpec spec = segment.spec(at);
    if (spec.type != column.type || spec.typmod != -1 || spec.kind != column.kind) return false;
    column.reader = segment.column_reader(at);
    const uint32_t codes = column.form == Form::Text ? segment.code_count(at) : 0;
    column.coded_at = codes > 0 && codes <= segment.rows() ? at : -1;
    column.of_codes.assign(column.coded_at >= 0 ? codes : 0, Value());
  }
  return reads_ = true;
}

// Another store does not say in which encoding its text is.
Value ForeignValues::text_of(ByteView bytes) {
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  const int length = static_cast<int>(bytes.size());
  if (!pg_verify_mbstr(PG_UTF8, text, length, true))
    pg::call([=] { pg_verify_mbstr(PG_UTF8, text, length, false); });
  return Value::string(std::string(text, bytes.size()));
}

Value ForeignValues::value(size_t c, uint32_t row) {
  Column& column = columns_[c];
  switch (column.form) {
    case Form::Integer:
      return Value::integer(static_cast<int64_t>(column.reader.bits(row)));
    case Form::Boolean:
      return Value::boolean(column.reader.bits(row) != 0);
    case Form::Double:
      return Value::real(DatumGetFloat8(column.reader.bits(row)));
    default:
      break;
  }
  if (column.coded_at < 0) {
    column::Scratch scratch;
    return text_of(column.reader.bytes(row, scratch));
  }
  uint32_t code;
  segment_.codes(column.coded_at, row, {&code, 1});
  if (code >= column.of_codes.size())
    throw CorruptError("a segment of another store has a code that stands for nothing");
  Value& known = column.of_codes[code];
  if (known.is_nil()) known = text_of(segment_.coded(column.coded_at, code));
  return known;
}

}  // namespace datahike::query
