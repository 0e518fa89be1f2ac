#include "datom/sql/pg_values.h"

#include "datom/json.h"

extern "C" {
#include "utils/date.h"
#include "utils/numeric.h"
}

namespace datahike::facts {

namespace {

using datom::Type;
using datom::Value;

constexpr int64_t kEpochShift = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

Datum text_like(const std::string& text) {
  const std::string* t = &text;
  return pg::call([=] {
    return PointerGetDatum(cstring_to_text_with_len(t->data(), static_cast<int>(t->size())));
  });
}

Datum numeric_of(const char* text) {
  return pg::call([=] {
    return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
                               Int32GetDatum(-1));
  });
}

std::string text_of(Oid output_function, Datum value) {
  char* text = pg::call([=] { return OidOutputFunctionCall(output_function, value); });
  return text;
}

edn::Value instant_of(TimestampTz at) {
  if (TIMESTAMP_NOT_FINITE(at))
    throw pg::SqlError(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "an instant must be finite");
  return edn::Value::instant(at + kEpochShift);
}

edn::Value numeric_to_edn(Datum value) {
  std::string text = text_of(F_NUMERIC_OUT, value);
  if (text.find_first_of("NI") != std::string::npos)
    throw pg::SqlError(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "a numeric must be finite");
  return edn::Value::bigdec(text);
}

edn::Value bytes_of(Datum value) {
  bytea* bytes = pg::call([=] { return DatumGetByteaPP(value); });
  return edn::Value::bytes(std::string(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
}

}  // namespace

Oid sql_type(Type type) {
  switch (type) {
    case Type::Boolean:
      return BOOLOID;
    case Type::Long:
    case Type::Ref:
      return INT8OID;
    case Type::BigInt:
    case Type::BigDec:
      return NUMERICOID;
    case Type::Float:
      return FLOAT4OID;
    case Type::Double:
      return FLOAT8OID;
    case Type::Instant:
      return TIMESTAMPTZOID;
    case Type::Uuid:
      return UUIDOID;
    case Type::Bytes:
      return BYTEAOID;
    case Type::Tuple:
      return JSONBOID;
    default:
      return TEXTOID;
  }
}

Datum jsonb_datum(const std::string& json) {
  return pg::call(
      [text = json.c_str()] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(text)); });
}

Datum to_datum(const Value& v) {
  switch (v.type) {
    case Type::Boolean:
      return BoolGetDatum(v.integer != 0);
    case Type::Long:
    case Type::Ref:
      return Int64GetDatum(v.integer);
    case Type::BigInt:
    case Type::BigDec:
      return numeric_of(v.text.c_str());
    case Type::Float:
      return Float4GetDatum(static_cast<float>(v.real));
    case Type::Double:
      return Float8GetDatum(v.real);
    case Type::Instant: {
      const TimestampTz at = v.integer - kEpochShift;
      if (!IS_VALID_TIMESTAMP(at))
        throw pg::SqlError(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
                           "an instant is out of PostgreSQL's range");
      return TimestampTzGetDatum(at);
    }
    case Type::Uuid: {
      const std::string* text = &v.text;
      return pg::call([=] {
        auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
        std::memcpy(uuid->data, text->data(), UUID_LEN);
        return UUIDPGetDatum(uuid);
      });
    }
    case Type::Tuple: {
      std::string json;
      datom::write_json(v, json);
      return jsonb_datum(json);
    }
    default:
      return text_like(v.text);  // a bytea is laid out as a text
  }
}

edn::Value argument_to_edn(Oid type, Datum value) {
  switch (getBaseType(type)) {
    case BOOLOID:
      return edn::Value::boolean(DatumGetBool(value));
    case INT2OID:
      return edn::Value::integer(DatumGetInt16(value));
    case INT4OID:
      return edn::Value::integer(DatumGetInt32(value));
    case INT8OID:
      return edn::Value::integer(DatumGetInt64(value));
    case FLOAT4OID:
      return edn::Value::real(DatumGetFloat4(value));
    case FLOAT8OID:
      return edn::Value::real(DatumGetFloat8(value));
    case NUMERICOID:
      return numeric_to_edn(value);
    case UNKNOWNOID:
      return edn::Value::string(DatumGetCString(value));
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
      return edn::Value::string(pg::call([=] { return TextDatumGetCString(value); }));
    case NAMEOID:
      return edn::Value::string(NameStr(*DatumGetName(value)));
    case TIMESTAMPTZOID:
      return instant_of(DatumGetTimestampTz(value));
    case DATEOID:
      return instant_of(pg::call(
          [=] { return DatumGetTimestampTz(DirectFunctionCall1(date_timestamptz, value)); }));
    case UUIDOID:
      return edn::Value::uuid(
          {reinterpret_cast<const char*>(DatumGetUUIDP(value)->data), UUID_LEN});
    case BYTEAOID:
      return bytes_of(value);
    case JSONBOID:
      return datom::read_json(text_of(F_JSONB_OUT, value));
    default:
      throw pg::SqlError(ERRCODE_DATATYPE_MISMATCH,
                         "a fact cannot hold a value of type " +
                             std::string(pg::call([=] { return format_type_be(type); })),
                         "Cast it to text, a number, boolean, timestamptz, uuid, bytea or jsonb.");
  }
}

edn::Value argument_to_edn(FunctionCallInfo call, int n) {
  if (call->nargs <= n || call->args[n].isnull) return {};
  Oid type = pg::call([=] { return get_fn_expr_argtype(call->flinfo, n); });
  return argument_to_edn(type, call->args[n].value);
}

}  // namespace datahike::facts
