#include "datom/sql/write.h"

#include "datom/encoding.h"
#include "datom/sql/statement.h"

extern "C" {
#include "utils/array.h"
}

namespace datahike::facts {

namespace {

using datom::Attribute;
using datom::Change;

constexpr size_t kRowsAtOnce = 2000;

Statement delete_row = {"DELETE FROM datahike.facts WHERE e = $1 AND a = $2 AND u = $3 AND k = $4",
                        4,
                        {INT8OID, INT8OID, BYTEAOID, BYTEAOID}};
Statement replace_row = {
    "UPDATE datahike.facts SET tx = $1, r = $2, k = $3, v = $4 "
    "WHERE e = $5 AND a = $6 AND u = ''::bytea AND k = $7",
    7,
    {INT8OID, INT8OID, BYTEAOID, BYTEAOID, INT8OID, INT8OID, BYTEAOID}};
Statement insert_rows = {
    "INSERT INTO datahike.facts (e, a, tx, r, uq, u, k, v) "
    "SELECT n.e, n.a, $3, n.r, n.uq, n.u, n.k, n.v "
    "FROM unnest($1, $2, $4, $5, $6, $7, $8) AS n (e, a, r, uq, u, k, v) "
    "ON CONFLICT (e, a, u) DO NOTHING",
    8,
    {INT8ARRAYOID, INT8ARRAYOID, INT8OID, INT8ARRAYOID, BOOLARRAYOID, BYTEAARRAYOID, BYTEAARRAYOID,
     BYTEAARRAYOID}};
Statement redefine = {
    "UPDATE datahike.facts SET uq = $2, u = CASE WHEN $3 THEN k ELSE ''::bytea END WHERE a = $1",
    3,
    {INT8OID, BOOLOID, BOOLOID}};

// A value as its columns hold it.
struct Stored {
  std::string key, whole;  // whole: where the key is not
  bool is_whole;
  explicit Stored(const datom::Value& v) : whole(datom::encode(v)) {
    key = datom::index_key(whole);
    is_whole = datom::is_whole(key);
  }
  std::string unique_part(const Attribute& a) const { return a.many ? key : std::string(); }
};

uint64_t run(Statement& statement, const Arguments& arguments) {
  Statement* s = &statement;
  const Arguments* a = &arguments;
  return pg::call([=] { return execute(s, a, nullptr, false).processed; });
}

Datum bytes(const std::string& s) {
  const std::string* p = &s;
  return pg::call([=] { return bytea_datum(p); });
}

bool is_replaced_in_place(const Change& c) {
  return c.kind == Change::Kind::Replace && c.a->unique == datom::Unique::No;
}

void remove(const Change& c) {
  const Stored old(c.kind == Change::Kind::Replace ? c.old : c.v);
  Arguments arguments;
  arguments.values[0] = Int64GetDatum(c.e);
  arguments.values[1] = Int64GetDatum(c.a->id);
  arguments.values[2] = bytes(old.unique_part(*c.a));
  arguments.values[3] = bytes(old.key);
  if (run(delete_row, arguments) != 1) throw FactsChanged();
}

void replace(const Change& c, int64_t tx) {
  const Stored v(c.v), old(c.old);
  Arguments arguments;
  arguments.values[0] = Int64GetDatum(tx);
  arguments.values[1] = Int64GetDatum(c.v.integer);
  if (c.v.type != datom::Type::Ref) arguments.nulls[1] = 'n';
  arguments.values[2] = bytes(v.key);
  if (v.is_whole)
    arguments.nulls[3] = 'n';
  else
    arguments.values[3] = bytes(v.whole);
  arguments.values[4] = Int64GetDatum(c.e);
  arguments.values[5] = Int64GetDatum(c.a->id);
  arguments.values[6] = bytes(old.key);
  if (run(replace_row, arguments) != 1) throw FactsChanged();
}

struct Column {
  std::vector<Datum> values;
  std::unique_ptr<bool[]> nulls;
  size_t rows = 0;
  explicit Column(size_t n) : values(n), nulls(new bool[n]()), rows(n) {}
  Datum array(Oid type, int length, bool by_value, char align) {
    Datum* v = values.data();
    bool* n = nulls.get();
    int count = static_cast<int>(rows);
    return pg::call([=] {
      int dims[1] = {count}, lower[1] = {1};
      return PointerGetDatum(
          construct_md_array(v, n, 1, dims, lower, type, length, by_value, align));
    });
  }
  Datum of_int8() { return array(INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE); }
  Datum of_bool() { return array(BOOLOID, 1, true, TYPALIGN_CHAR); }
  Datum of_bytea() { return array(BYTEAOID, -1, false, TYPALIGN_INT); }
};

void insert(std::span<const Change* const> added, int64_t tx) {
  const size_t n = added.size();
  Column e(n), a(n), r(n), uq(n), u(n), k(n), v(n);
  for (size_t i = 0; i < n; ++i) {
    const Change& c = *added[i];
    const Stored stored(c.v);
    e.values[i] = Int64GetDatum(c.e);
    a.values[i] = Int64GetDatum(c.a->id);
    r.values[i] = Int64GetDatum(c.v.integer);
    r.nulls[i] = c.v.type != datom::Type::Ref;
    uq.values[i] = BoolGetDatum(c.a->unique != datom::Unique::No);
    u.values[i] = bytes(stored.unique_part(*c.a));
    k.values[i] = bytes(stored.key);
    v.nulls[i] = stored.is_whole;
    v.values[i] = stored.is_whole ? 0 : bytes(stored.whole);
  }
  Arguments arguments;
  arguments.values[0] = e.of_int8();
  arguments.values[1] = a.of_int8();
  arguments.values[2] = Int64GetDatum(tx);
  arguments.values[3] = r.of_int8();
  arguments.values[4] = uq.of_bool();
  arguments.values[5] = u.of_bytea();
  arguments.values[6] = k.of_bytea();
  arguments.values[7] = v.of_bytea();
  if (run(insert_rows, arguments) != n) throw FactsChanged();
}

// What the rows hold of their attribute's definition.
void rewrite(const datom::SchemaChange& change) {
  if (!change.before || !change.after) return;
  const Attribute &before = *change.before, &after = *change.after;
  const bool was_unique = before.unique != datom::Unique::No;
  const bool is_unique = after.unique != datom::Unique::No;
  if (was_unique == is_unique && before.many == after.many) return;
  Arguments arguments;
  arguments.values[0] = Int64GetDatum(after.id);
  arguments.values[1] = BoolGetDatum(is_unique);
  arguments.values[2] = BoolGetDatum(after.many);
  run(redefine, arguments);
}

}  // namespace

// What goes goes first, so that its unique values are free for what comes.
void write_changes(const datom::Report& report, int64_t tx) {
  std::vector<const Change*> added;
  for (const Change& c : report.changes) {
    if (c.kind == Change::Kind::Remove ||
        (c.kind == Change::Kind::Replace && !is_replaced_in_place(c)))
      remove(c);
    if (c.kind != Change::Kind::Remove && !is_replaced_in_place(c)) added.push_back(&c);
  }
  for (const Change& c : report.changes)
    if (is_replaced_in_place(c)) replace(c, tx);
  for (size_t i = 0; i < added.size(); i += kRowsAtOnce)
    insert(std::span(added).subspan(i, std::min(kRowsAtOnce, added.size() - i)), tx);
  for (const datom::SchemaChange& change : report.schema) rewrite(change);
}

}  // namespace datahike::facts
