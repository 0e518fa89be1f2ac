#include "datom/sql/transact.h"

#include "datom/json.h"
#include "datom/sql/caller.h"
#include "datom/sql/database.h"
#include "datom/sql/ids.h"
#include "datom/sql/predicate.h"
#include "datom/sql/write.h"
#include "pg/subtransaction.h"
#include "versioning/view.h"

namespace datahike::facts {

namespace {

using datom::Change;

constexpr int kMostAttempts = 10;

// The last transaction of facts that is visible.
Statement last_tx = {
    "SELECT NULL::int8, NULL::int8, f.e, NULL::bytea, NULL::int8 FROM datahike.facts f "
    "WHERE f.a = $1 ORDER BY f.a DESC, f.e DESC LIMIT 1",
    1,
    {INT8OID}};

void put_datom(int64_t e, const datom::Attribute& a, const datom::Value& v, int64_t tx, bool added,
               std::string& out) {
  if (out.back() != '[') out += ", ";
  out += "[" + std::to_string(e) + ", ";
  datom::write_json_string(":" + a.ident, out);
  out += ", ";
  datom::write_json(v, out);
  out += ", " + std::to_string(tx) + (added ? ", true]" : ", false]");
}

std::string to_json(const datom::Report& report, int64_t tx) {
  std::string out = "{\"tempids\": {";
  for (const auto& [name, e] : report.tempids) {
    if (out.back() != '{') out += ", ";
    datom::write_json_string(name, out);
    out += ": " + std::to_string(e);
  }
  out += "}, \"tx\": " + std::to_string(tx) + ", \"tx_data\": [";
  for (const datom::RowDatom& d : report.rows) {
    if (out.back() != '[') out += ", ";
    out += "[" + std::to_string(d.e) + ", ";
    datom::write_json_string(":" + d.attribute, out);
    out += ", " + d.json + ", " + std::to_string(tx) + (d.added ? ", true]" : ", false]");
  }
  for (const Change& c : report.changes) {
    if (c.kind == Change::Kind::Remove) put_datom(c.e, *c.a, c.v, tx, false, out);
    if (c.kind == Change::Kind::Replace) put_datom(c.e, *c.a, c.old, tx, false, out);
    if (c.kind != Change::Kind::Remove) put_datom(c.e, *c.a, c.v, tx, true, out);
  }
  return out + "]}";
}

// Whether the data may define attributes: it names what a definition is made of.
bool mentions_schema(const edn::Value& data) {
  switch (data.kind()) {
    case edn::Kind::Keyword:
    case edn::Kind::String: {
      const std::string& text = data.text();
      const datom::Attribute* a =
          datom::builtin_attribute(text.starts_with(':') ? text.substr(1) : text);
      return a && datom::is_schema_attribute(a->id);
    }
    case edn::Kind::List:
    case edn::Kind::Vector:
    case edn::Kind::Set:
      return std::any_of(data.items().begin(), data.items().end(), mentions_schema);
    case edn::Kind::Map:
      return std::any_of(data.entries().begin(), data.entries().end(), [](const edn::Entry& e) {
        return mentions_schema(e.first) || mentions_schema(e.second);
      });
    default:
      return false;
  }
}

// Definitions change while nobody writes facts, and are read under the lock. Who writes facts goes
// by the definitions that it reads after it has the lock.
void lock_facts(bool for_schema) {
  pg::call([=] {
    LockRelationOid(fact_relations().facts, for_schema ? ShareRowExclusiveLock : RowExclusiveLock);
  });
}

// The weak lock goes first, so that two who do this do not wait for each other.
void lock_for_schema_instead() {
  pg::call([] {
    UnlockRelationOid(fact_relations().facts, RowExclusiveLock);
    LockRelationOid(fact_relations().facts, ShareRowExclusiveLock);
  });
}

void check_ensured(const datom::Report& report) {
  for (const auto& [e, predicate] : report.ensured)
    if (!call_predicate(predicate, datom::Value::ref(e)))
      throw datom::FactError("23514",
                             "entity " + std::to_string(e) + " does not satisfy " + predicate);
}

// It changes attributes, which the data did not let see: it takes the strong lock.
struct ChangesSchema {};

std::string attempt(const edn::Value& tx_data, datom::Notation notation, bool for_schema) {
  PgDatabase db;
  std::vector<datom::Op> ops = datom::TxDataReader(db, notation).read(tx_data);
  datom::Report report = datom::Transaction(db).run(ops);
  int64_t tx;
  if (report.changes.empty() && report.rows.empty()) {
    tx = newest_tx();
  } else {
    if (!for_schema && !report.schema.empty()) throw ChangesSchema();
    tx = db.current_tx();
    write_changes(report, tx);
    check_ensured(report);
  }
  db.close();
  return to_json(report, tx);
}

struct Undo {};

// Whether a new attempt, which sees what others have committed meanwhile, may end otherwise.
bool is_worth_another(const pg::PgError& e) {
  const char* schema = e.data->schema_name;  // of the table; those of rows are the users'
  return e.data->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && schema &&
         std::strcmp(schema, "datahike") == 0;
}

[[noreturn]] void give_up() {
  throw pg::SqlError(ERRCODE_T_R_SERIALIZATION_FAILURE,
                     "could not serialize access to facts due to concurrent changes",
                     "Retry the transaction.");
}

std::string attempts(const edn::Value& tx_data, datom::Notation notation, bool keep) {
  std::string report;
  bool for_schema = mentions_schema(tx_data);
  lock_facts(for_schema);
  for (int i = 1;; ++i) {
    const bool last = IsolationUsesXactSnapshot() || i == kMostAttempts;
    try {
      pg::in_subtransaction([&] {
        report = attempt(tx_data, notation, for_schema);
        if (!keep) throw Undo();
      });
      return report;
    } catch (const Undo&) {
      return report;
    } catch (const ChangesSchema&) {
      for_schema = true;
      lock_for_schema_instead();
    } catch (const FactsChanged&) {
      if (last) give_up();
    } catch (const pg::PgError& e) {
      if (last || !is_worth_another(e)) throw;
      pg::call([data = e.data] { FreeErrorData(data); });
    }
    pg::call([] { CHECK_FOR_INTERRUPTS(); });
  }
}

struct User {
  Oid id;
  int context;
};

// Who may call transact() writes as the owner of the facts.
User become_owner() {
  return pg::call([] {
    User before;
    GetUserIdAndSecContext(&before.id, &before.context);
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(fact_relations().facts));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for datahike.facts");
    Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    SetUserIdAndSecContext(owner,
                           before.context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
    return before;
  });
}

}  // namespace

int64_t newest_tx() {
  Arguments arguments;
  arguments.values[0] = Int64GetDatum(datom::id_of(datom::Builtin::TxInstant));
  const Arguments* a = &arguments;
  StatementResult result = pg::call([=] { return execute(&last_tx, a, nullptr, false); });
  return result.count ? result.rows[0].tx : datom::kFirstTx;
}

std::string transact(const edn::Value& tx_data, datom::Notation notation, bool keep) {
  versioning::require_writable(versioning::session_view(), "transact facts");
  const Caller caller = current_caller();
  const Caller* around = exchange_caller(&caller);
  const User user = become_owner();
  const Oid outer = exchange_calling_user(user.id);
  const auto restore = [&] {
    exchange_calling_user(outer);
    exchange_caller(around);
    SetUserIdAndSecContext(user.id, user.context);
  };
  try {
    std::string report = with_own_settings([&] { return attempts(tx_data, notation, keep); });
    restore();
    return report;
  } catch (...) {
    restore();
    throw;
  }
}

}  // namespace datahike::facts
