#include "versioning/sql_values.h"

#include "pg/bridge.h"
#include "pg/store.h"
#include "pg/uuid_array.h"
#include "versioning/view.h"

namespace datahike::versioning {

Datum uuid_datum(const store::Uuid& id) {
  auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
  std::memcpy(uuid->data, id.data(), UUID_LEN);
  return UUIDPGetDatum(uuid);
}

char* optional_text(FunctionCallInfo fcinfo, int arg) {
  return PG_ARGISNULL(arg) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

char* required_text(FunctionCallInfo fcinfo, int arg, const char* name) {
  if (PG_ARGISNULL(arg))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
  return optional_text(fcinfo, arg);
}

List* required_texts(FunctionCallInfo fcinfo, int arg, const char* name) {
  bool isnull = PG_ARGISNULL(arg);
  List* texts = NIL;
  ArrayIterator iterator =
      isnull ? nullptr : array_create_iterator(PG_GETARG_ARRAYTYPE_P(arg), 0, nullptr);
  Datum value;
  while (!isnull && array_iterate(iterator, &value, &isnull))
    if (!isnull) texts = lappend(texts, TextDatumGetCString(value));
  if (isnull)
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
  return texts;
}

Datum uuid_array(const std::vector<store::Uuid>& ids) {
  return PointerGetDatum(pg::call([&] { return pg::make_uuid_array(&ids); }));
}

Datum text_datum(const std::string& text) {
  const std::string* t = &text;
  return pg::call([t] {
    return PointerGetDatum(cstring_to_text_with_len(t->data(), static_cast<int>(t->size())));
  });
}

store::Environment& store_for_reading() {
  if (!pg::try_store()) wait_for_fold();
  store::Environment& env = pg::open_store();
  env.refresh();
  return env;
}

}  // namespace datahike::versioning
