#include "datalog/sql/values.h"

#include "pg/bridge.h"
#include "datalog/sql/json.h"

extern "C" {
#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/numeric.h"
}

namespace datahike::query {

namespace {

constexpr int64 kEpoch = 946684800000000;  // 2000-01-01, PostgreSQL's, since 1970-01-01
constexpr int64 kDay = 86400000000;

int64 instant_of(int64 t) {
  if (t == DT_NOBEGIN || t == DT_NOEND) return t;
  int64 instant;
  if (__builtin_add_overflow(t, kEpoch, &instant))
    ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
                    errmsg("a timestamp after the year 294246 cannot be an instant")));
  return instant;
}

int64 instant_of_date(DateADT date) {
  if (DATE_IS_NOBEGIN(date)) return DT_NOBEGIN;
  if (DATE_IS_NOEND(date)) return DT_NOEND;
  int64 t;
  if (__builtin_mul_overflow(int64{date}, kDay, &t))
    ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
                    errmsg("a date after the year 294246 cannot be an instant")));
  return instant_of(t);
}

Cell text_cell(Cell::Kind kind, const char* text, size_t length) {
  Cell c;
  c.kind = kind;
  c.text = text;
  c.length = length;
  return c;
}

Cell utf8_cell(Cell::Kind kind, char* text, size_t length) {
  char* utf8 = pg_server_to_any(text, static_cast<int>(length), PG_UTF8);
  return text_cell(kind, utf8, utf8 == text ? length : strlen(utf8));
}

Cell varlena_cell(Cell::Kind kind, Datum value) {
  struct varlena* v = PG_DETOAST_DATUM_PACKED(value);
  return kind == Cell::Bytes ? text_cell(kind, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v))
                             : utf8_cell(kind, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}

Cell array_cell(Datum value, CellType* type) {
  ArrayType* array = DatumGetArrayTypeP(value);
  CellType element;
  describe_type(type->element, &element);
  int16 length;
  bool by_value;
  char align;
  get_typlenbyvalalign(type->element, &length, &by_value, &align);
  Datum* items;
  bool* nulls;
  int count;
  deconstruct_array(array, type->element, length, by_value, align, &items, &nulls, &count);
  auto* cells = static_cast<Cell*>(palloc(sizeof(Cell) * Max(count, 1)));
  for (int i = 0; i < count; ++i) cells[i] = cell_of(items[i], nulls[i], &element);
  // The innermost dimension first.
  for (int d = ARR_NDIM(array) - 1; d > 0; --d) {
    int size = ARR_DIMS(array)[d], outer = size ? count / size : 0;
    auto* rows = static_cast<Cell*>(palloc(sizeof(Cell) * Max(outer, 1)));
    for (int i = 0; i < outer; ++i) {
      rows[i].kind = Cell::Array;
      rows[i].items = cells + i * size;
      rows[i].length = static_cast<size_t>(size);
    }
    cells = rows;
    count = outer;
  }
  Cell c;
  c.kind = Cell::Array;
  c.items = cells;
  c.length = static_cast<size_t>(count);
  return c;
}

}  // namespace

void describe_type(Oid type, CellType* out) {
  *out = CellType();
  Oid schema = get_namespace_oid("datahike", true);
  if (get_typtype(type) == TYPTYPE_DOMAIN && OidIsValid(schema))
    out->is_edn = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("edn"),
                                  ObjectIdGetDatum(schema)) == type;
  out->type = getBaseType(type);
  out->element = get_element_type(out->type);
  out->is_array = OidIsValid(out->element);
  Oid function;
  bool varlena;
  getTypeOutputInfo(out->type, &function, &varlena);
  fmgr_info(function, &out->output);
}

Cell cell_of(Datum value, bool isnull, CellType* type) {
  Cell c;
  if (isnull) return c;
  if (type->is_array) return array_cell(value, type);
  if (type->is_edn) return varlena_cell(Cell::Edn, value);
  c.kind = Cell::Integer;
  switch (type->type) {
    case INT2OID:
      c.integer = DatumGetInt16(value);
      return c;
    case INT4OID:
      c.integer = DatumGetInt32(value);
      return c;
    case INT8OID:
      c.integer = DatumGetInt64(value);
      return c;
    case OIDOID:
      c.integer = DatumGetObjectId(value);
      return c;
    case BOOLOID:
      c.kind = Cell::Boolean;
      c.boolean = DatumGetBool(value);
      return c;
    case FLOAT4OID:
      c.kind = Cell::Real;
      c.real = DatumGetFloat4(value);
      return c;
    case FLOAT8OID:
      c.kind = Cell::Real;
      c.real = DatumGetFloat8(value);
      return c;
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
      c.kind = Cell::Instant;
      c.integer = instant_of(DatumGetTimestampTz(value));
      return c;
    case DATEOID:
      c.kind = Cell::Instant;
      c.integer = instant_of_date(DatumGetDateADT(value));
      return c;
    case TEXTOID:
    case VARCHAROID:
      return varlena_cell(Cell::Text, value);
    case BYTEAOID:
      return varlena_cell(Cell::Bytes, value);
    case UUIDOID:
      return text_cell(Cell::Uuid, reinterpret_cast<char*>(DatumGetUUIDP(value)->data), UUID_LEN);
    case UNKNOWNOID: {
      char* text = DatumGetCString(value);
      return utf8_cell(Cell::Text, text, strlen(text));
    }
    default:
      break;
  }
  char* text = OutputFunctionCall(&type->output, value);
  size_t length = strlen(text);
  if (type->type == NUMERICOID) {
    bool special = !strpbrk(text, "0123456789");
    if (!special) return text_cell(Cell::Decimal, text, length);
    c.kind = Cell::Real;
    c.real = DatumGetFloat8(DirectFunctionCall1(float8in, CStringGetDatum(text)));
    return c;
  }
  if (type->type == BPCHAROID)
    while (length > 0 && text[length - 1] == ' ') --length;
  bool json = type->type == JSONBOID || type->type == JSONOID;
  if (type->type == JSONOID) {
    // As jsonb has it: the text of json may be anything that is valid.
    Datum jsonb = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
    text = JsonbToCString(nullptr, &DatumGetJsonbP(jsonb)->root, 0);
    length = strlen(text);
  }
  return utf8_cell(json ? Cell::Json : Cell::Text, text, length);
}

Value value_of(const Cell& c) {
  switch (c.kind) {
    case Cell::Null:
      return Value();
    case Cell::Integer:
      return Value::integer(c.integer);
    case Cell::Real:
      return Value::real(c.real);
    case Cell::Boolean:
      return Value::boolean(c.boolean);
    case Cell::Instant:
      return Value::instant(c.integer);
    case Cell::Text:
      return Value::string(std::string(c.text, c.length));
    case Cell::Decimal:
      return Value::bigdec(std::string_view(c.text, c.length));
    case Cell::Uuid:
      return Value::uuid(std::string_view(c.text, c.length));
    case Cell::Bytes:
      return Value::bytes(std::string(c.text, c.length));
    case Cell::Json:
      return value_of_json(std::string(c.text, c.length));
    case Cell::Edn:
      return edn::read(std::string_view(c.text, c.length));
    case Cell::Array: {
      std::vector<Value> items;
      for (size_t i = 0; i < c.length; ++i) items.push_back(value_of(c.items[i]));
      return Value::vector(std::move(items));
    }
  }
  return Value();
}

std::string to_utf8(const char* text) {
  return pg::call([=] {
    return static_cast<const char*>(
        pg_server_to_any(text, static_cast<int>(strlen(text)), PG_UTF8));
  });
}

char* from_utf8(const std::string& text) {
  const char* bytes = text.c_str();
  size_t length = text.size();
  return pg::call([=] {
    char* converted = pg_any_to_server(bytes, static_cast<int>(length), PG_UTF8);
    return converted == bytes ? pstrdup(bytes) : converted;
  });
}

namespace {

// Instants as dates and times: PostgreSQL's own text forms depend on settings.
std::optional<Datum> datum_of_instant(int64 t, Oid type) {
  bool infinite = t == DT_NOBEGIN || t == DT_NOEND;
  int64 since_2000 = infinite ? t : t - kEpoch;
  if (!infinite && t < INT64_MIN + kEpoch) return std::nullopt;
  switch (type) {
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
      return Int64GetDatum(since_2000);
    case DATEOID: {
      if (infinite) return DateADTGetDatum(t == DT_NOBEGIN ? DATEVAL_NOBEGIN : DATEVAL_NOEND);
      int64 days = since_2000 / kDay - (since_2000 % kDay < 0);
      return DateADTGetDatum(static_cast<DateADT>(days));
    }
    default:
      return std::nullopt;
  }
}

// The text of an array of the values, for its input function.
std::string array_text(const Value& v) {
  std::string out = "{";
  for (const Value& item : v.items()) {
    if (out.size() > 1) out += ',';
    if (item.is_nil()) {
      out += "NULL";
    } else if (item.is_sequence() || item.is(Kind::Set)) {
      out += array_text(item);
    } else {
      out += '"';
      for (char c : plain_text(item)) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
      }
      out += '"';
    }
  }
  return out + "}";
}

}  // namespace

Datum datum_of(const Value& v, Oid type, int32 typmod, bool* isnull) {
  *isnull = v.is_nil();
  if (v.is_nil()) return 0;
  switch (type) {
    case INT8OID:
      if (v.is(Kind::Long)) return Int64GetDatum(v.as_integer());
      break;
    case INT4OID:
      if (v.is(Kind::Long) && v.as_integer() == static_cast<int32>(v.as_integer()))
        return Int32GetDatum(static_cast<int32>(v.as_integer()));
      break;
    case BOOLOID:
      if (v.is(Kind::Boolean)) return BoolGetDatum(v.as_boolean());
      break;
    case TEXTOID:
      if (v.is(Kind::String) && GetDatabaseEncoding() == PG_UTF8) {
        const std::string* text = &v.text();
        return pg::call([=] {
          int length = static_cast<int>(text->size());
          pg_verify_mbstr(PG_UTF8, text->data(), length, false);
          return PointerGetDatum(cstring_to_text_with_len(text->data(), length));
        });
      }
      break;
    case FLOAT8OID:
      if (v.is(Kind::Double)) return Float8GetDatum(v.as_real());
      if (v.is(Kind::Long)) return Float8GetDatum(static_cast<double>(v.as_integer()));
      break;
    default:
      break;
  }
  if (v.is(Kind::Instant))
    if (auto d = datum_of_instant(v.as_instant(), type)) return *d;
  std::string text;
  bool sequence = v.is_sequence() || v.is(Kind::Set);
  if (type == JSONBOID || type == JSONOID)
    append_json(text, v);
  else if (sequence && pg::call([=] { return OidIsValid(get_element_type(getBaseType(type))); }))
    text = array_text(v);
  else if ((sequence || v.is(Kind::Map)) && type == TEXTOID)
    text = edn::write(v);
  else
    text = plain_text(v);
  char* input = from_utf8(text);
  return pg::call([=] {
    Oid function, parameter;
    getTypeInputInfo(type, &function, &parameter);
    return OidInputFunctionCall(function, input, parameter, typmod);
  });
}

Oid natural_type(const Value& v) {
  switch (v.kind()) {
    case Kind::Boolean:
      return BOOLOID;
    case Kind::Long:
      return v.as_integer() == static_cast<int32>(v.as_integer()) ? INT4OID : INT8OID;
    case Kind::Double:
      return FLOAT8OID;
    case Kind::BigInt:
    case Kind::BigDec:
      return NUMERICOID;
    case Kind::String:
    case Kind::Keyword:
    case Kind::Symbol:
    case Kind::Char:
      return TEXTOID;
    case Kind::Instant:
      return TIMESTAMPTZOID;
    case Kind::Uuid:
      return UUIDOID;
    case Kind::Bytes:
      return BYTEAOID;
    case Kind::Nil:
    case Kind::Tagged:
      return InvalidOid;
    default:
      return JSONBOID;
  }
}

}  // namespace datahike::query
