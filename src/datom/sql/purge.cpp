#include "datom/sql/purge.h"

#include <set>

#include "datom/encoding.h"
#include "datom/row_names.h"
#include "datom/sql/entity_ref.h"
#include "datom/sql/ids.h"
#include "datom/sql/transact.h"
#include "versioning/purge.h"
#include "versioning/view.h"

extern "C" {
#include "utils/builtins.h"
}

namespace datahike::facts {

namespace {

using datom::Attribute;
using datom::Purge;

struct Names {
  uint64_t count;
  char** text;
};

// What the statement returns of text, in the current memory context.
Names texts(const char* sql, int parameters, Oid type, Datum value) {
  MemoryContext context = CurrentMemoryContext;
  SPI_connect();
  const int code = SPI_execute_with_args(sql, parameters, &type, &value, nullptr, true, 0);
  if (code != SPI_OK_SELECT) elog(ERROR, "SPI failed: %s", SPI_result_code_string(code));
  SPITupleTable* table = SPI_tuptable;
  Names out{table->numvals, nullptr};
  MemoryContext spi = MemoryContextSwitchTo(context);
  out.text = static_cast<char**>(palloc(sizeof(char*) * (out.count + 1)));
  MemoryContextSwitchTo(spi);
  for (uint64_t i = 0; i < out.count; ++i) {
    char* text = SPI_getvalue(table->vals[i], table->tupdesc, 1);
    out.text[i] = MemoryContextStrdup(context, text ? text : "");
  }
  SPI_finish();
  MemoryContextSwitchTo(context);
  return out;
}

// Returns how many row versions went.
int64_t erase(const char* predicate) {
  MemoryContext context = CurrentMemoryContext;
  Oid type = TEXTOID;
  Datum value = CStringGetTextDatum(predicate);
  SPI_connect();
  const int code = SPI_execute_with_args(
      "SELECT p.versions FROM datahike.purge('datahike.facts'::regclass, $1) p", 1, &type, &value,
      nullptr, false, 0);
  if (code != SPI_OK_SELECT) elog(ERROR, "SPI failed: %s", SPI_result_code_string(code));
  bool isnull;
  const int64_t versions =
      DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
  SPI_finish();
  MemoryContextSwitchTo(context);
  return versions;
}

// The keys that `keys_gone_before` and the predicate of the same versions have in common.
#define DATAHIKE_KEY(row) \
  "pg_catalog.concat_ws('.', " row "e, " row "a, " row "tx, pg_catalog.encode(" row "k, 'hex'))"

// Facts that no state of a branch since $1 has, and some state before had. Definitions of
// attributes stay: older facts need them.
constexpr const char* kGoneBefore =
    "SELECT pg_catalog.jsonb_object_agg(g.key, true)::text FROM (SELECT " DATAHIKE_KEY(
        "(v.row).") " AS key FROM datahike.branches() b, "
                    "LATERAL datahike.versions(NULL::datahike.facts, b) v "
                    "GROUP BY 1, (v.row).a "
                    "HAVING pg_catalog.bool_and(coalesce(v.removed_at < $1, false)) "
                    "AND NOT (v.row).a BETWEEN ";

std::string quoted(const char* text) {
  return pg::call([=] { return quote_literal_cstr(text); });
}

std::string array_of(const std::set<int64_t>& ids) {
  std::string out;
  for (int64_t id : ids) out += (out.empty() ? "" : ",") + std::to_string(id);
  return "ANY ('{" + out + "}'::pg_catalog.int8[])";
}

class Erasure {
 public:
  explicit Erasure(datom::Notation notation) : notation_(notation) {
    const Names branches =
        pg::call([] { return texts("SELECT b FROM datahike.branches() b", 0, InvalidOid, 0); });
    for (uint64_t i = 0; i < branches.count; ++i) {
      Source source;
      source.revision = branches.text[i];
      source.history = true;
      branches_.push_back(std::make_unique<Reader>(source));
    }
  }

  void take(const Purge& purge) {
    if (purge.kind == Purge::Kind::HistoryBefore) return take_history(purge.arguments[0]);
    const int64_t e = entity(purge.arguments[0]);
    if (purge.kind == Purge::Kind::Entity) return take_entity(e);
    const Attribute& a = require_attribute(reader_, purge.arguments[1]);
    check_fact(e, a);
    if (purge.kind == Purge::Kind::Attribute) return take_attribute(e, a);
    take_fact(e, a, value_of(reader_, a, purge.arguments[2]));
  }

  std::string predicate() {
    if (!entities_.empty()) {
      const std::string ids = array_of(entities_);
      either("e = " + ids + " OR r = " + ids);
    }
    return predicate_;
  }

 private:
  int64_t entity(const edn::Value& name) {
    if (name.is(edn::Kind::String) && notation_ == datom::Notation::Edn)
      throw datom::FactError("22023", "a temporary id has no facts to purge: " + edn::write(name));
    const int64_t e = require_entity(reader_, name);
    check_entity(e);
    return e;
  }

  void check_entity(int64_t e) {
    const std::string id = std::to_string(e);
    if (e < 1) throw datom::FactError("22023", "entity id " + id + " is out of range");
    if (e >= datom::kFirstBuiltin)
      throw datom::FactError("0A000", "built-in attributes cannot be purged");
    if (e >= datom::kFirstRow && e < datom::kFirstTx)
      throw datom::FactError("0A000", "entity " + id + " is a table's row",
                             "datahike.purge() erases rows.");
  }

  // Facts that some branch has of the attribute would have none.
  void check_definition(int64_t e) {
    if (e >= datom::kFirstTx) return;
    Pattern of_attribute;
    of_attribute.a = e;
    for (const std::unique_ptr<Reader>& branch : branches_) {
      const Attribute* a = branch->attribute(e);
      if (!a || (a->type == datom::Type::Nil && branch->all(of_attribute).empty())) continue;
      throw datom::FactError("55000", "entity " + std::to_string(e) + " defines :" + a->ident,
                             "Retract the attribute's facts and its definition before, on every "
                             "branch.");
    }
  }

  void check_fact(int64_t e, const Attribute& a) {
    if (a.id == datom::id_of(datom::Builtin::TxInstant))
      throw datom::FactError("22023", ":db/txInstant of a transaction cannot be purged");
    if (datom::is_schema_attribute(a.id) && a.id != datom::id_of(datom::Builtin::Doc))
      check_definition(e);
  }

  void take_entity(int64_t first) {
    std::vector<int64_t> left = {first};
    while (!left.empty()) {
      const int64_t e = left.back();
      left.pop_back();
      if (entities_.contains(e)) continue;
      check_entity(e);
      if (e >= datom::kFirstTx)
        throw datom::FactError("22023", ":db/txInstant of a transaction cannot be purged",
                               "Name the attribute whose facts are to be purged.");
      check_definition(e);
      entities_.insert(e);
      Pattern of_entity;
      of_entity.e = e;
      components(of_entity, left);
    }
  }

  // What a branch has, or had, as components by the facts.
  void components(const Pattern& pattern, std::vector<int64_t>& found) {
    if (!with_components_) {
      with_components_.emplace();
      for (const std::unique_ptr<Reader>& branch : branches_)
        if (has_components(*branch)) with_components_->push_back(branch.get());
    }
    for (Reader* branch : *with_components_) {
      for (const Datom& d : branch->all(pattern))
        if (const Attribute* a = branch->attribute(d.a); a && a->component)
          found.push_back(d.v.integer);
    }
  }

  static bool has_components(Reader& branch) {
    const std::vector<const Attribute*> all = branch.attributes();
    return std::any_of(all.begin(), all.end(), [](const Attribute* a) { return a->component; });
  }

  void take_attribute(int64_t e, const Attribute& a) {
    std::set<int64_t> attributes = {a.id};
    for (const std::unique_ptr<Reader>& branch : branches_)
      for (const Attribute* tuple : branch->attributes())
        for (const std::string& ident : tuple->tuple_attrs)
          if (ident == a.ident) attributes.insert(tuple->id);
    either("e = " + std::to_string(e) + " AND a = " + array_of(attributes));
    Pattern of_attribute;
    of_attribute.e = e;
    of_attribute.a = a.id;
    std::vector<int64_t> parts;
    components(of_attribute, parts);
    for (int64_t part : parts) take_entity(part);
  }

  void take_fact(int64_t e, const Attribute& a, const datom::Value& v) {
    fact(e, a.id, v);
    for (const std::unique_ptr<Reader>& branch : branches_)
      for (const Attribute* tuple : branch->attributes())
        for (size_t i = 0; i < tuple->tuple_attrs.size(); ++i)
          if (tuple->tuple_attrs[i] == a.ident) take_tuples(*branch, e, *tuple, i, v);
  }

  void take_tuples(Reader& branch, int64_t e, const Attribute& tuple, size_t element,
                   const datom::Value& v) {
    Pattern of_tuple;
    of_tuple.e = e;
    of_tuple.a = tuple.id;
    for (const Datom& d : branch.all(of_tuple))
      if (element < d.v.elements.size() && d.v.elements[element] == v) fact(e, tuple.id, d.v);
  }

  // Its older versions with row names go with it; while there are some that nobody has looked up,
  // reading them fails.
  void fact(int64_t e, int64_t a, const datom::Value& v) {
    const bool may_be_named = datom::may_be_row_name(v);
    if (may_be_named) {
      Pattern of_cell;
      of_cell.e = e;
      of_cell.a = a;
      for (const std::unique_ptr<Reader>& branch : branches_) branch->all(of_cell);
    }
    static constexpr char kHex[] = "0123456789abcdef";
    std::string hex;
    for (const char c : datom::index_key(datom::encode(v))) {
      hex += kHex[static_cast<unsigned char>(c) >> 4];
      hex += kHex[static_cast<unsigned char>(c) & 15];
    }
    const std::string key = "k = pg_catalog.decode('" + hex + "', 'hex')";
    either("e = " + std::to_string(e) + " AND a = " + std::to_string(a) + " AND " +
           (may_be_named ? "(" + key + " OR r = " + std::to_string(datom::kToRowName) + ")" : key));
  }

  void take_history(const edn::Value& before) {
    const datom::Value instant =
        datom::from_edn(before, datom::Type::Instant, notation_, "db.history.purge/before");
    // PostgreSQL counts from 2000-01-01.
    const int64_t point =
        instant.integer - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
    const std::string sql = kGoneBefore + std::to_string(datom::id_of(datom::Builtin::Ident)) +
                            " AND " + std::to_string(datom::id_of(datom::Builtin::AttrPreds)) +
                            " AND (v.row).a <> " +
                            std::to_string(datom::id_of(datom::Builtin::Doc)) + ") g";
    const Names keys = pg::call([point, s = sql.c_str()] {
      return texts(s, 1, TIMESTAMPTZOID, TimestampTzGetDatum(point));
    });
    if (keys.count == 0 || !*keys.text[0]) return;
    either(quoted(keys.text[0]) + "::pg_catalog.jsonb OPERATOR(pg_catalog.?) " DATAHIKE_KEY(""));
  }

  void either(const std::string& condition) {
    predicate_ += (predicate_.empty() ? "(" : " OR (") + condition + ")";
  }

  datom::Notation notation_;
  Reader reader_;
  std::vector<std::unique_ptr<Reader>> branches_;
  std::optional<std::vector<Reader*>> with_components_;  // of the branches
  std::set<int64_t> entities_;
  std::string predicate_;
};

}  // namespace

std::string purge(std::span<const datom::Purge> purges, datom::Notation notation) {
  versioning::require_writable(versioning::session_view(), "transact facts");
  // What is looked up is as it is now, and stays so. (After an error the transaction pops it.)
  pg::call([] {
    const Oid facts = fact_relations().facts;
    versioning::require_purge_right(facts);
    LockRelationOid(facts, AccessExclusiveLock);
    PushActiveSnapshot(GetLatestSnapshot());
  });
  std::string report = with_own_settings([&] {
    Erasure erasure(notation);
    for (const datom::Purge& purge : purges) erasure.take(purge);
    std::string predicate = erasure.predicate();
    if (predicate.empty()) predicate = "false";
    const int64_t versions = pg::call([p = predicate.c_str()] { return erase(p); });
    return "{\"tempids\": {}, \"tx\": " + std::to_string(newest_tx()) +
           ", \"tx_data\": [], \"purged\": " + std::to_string(versions) + "}";
  });
  pg::call([] { PopActiveSnapshot(); });
  return report;
}

}  // namespace datahike::facts
