#include "datom/sql/reader.h"

#include "datom/encoding.h"
#include "datom/row_names.h"
#include "datom/sql/fact_query.h"
#include "datom/sql/ids.h"
#include "pg/settings.h"
#include "pg/store.h"
#include "store/version.h"
#include "versioning/revision.h"
#include "versioning/sql_values.h"
#include "versioning/view.h"

namespace datahike::facts {

namespace {

using datom::Attribute;
using datom::Value;

void require_select() {
  pg::call([] {
    const Oid facts = fact_relations().facts;
    if (pg_class_aclcheck(facts, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
      aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, "facts");
  });
}

std::optional<std::string> non_empty(const char* text) {
  return text && *text ? std::optional<std::string>(text) : std::nullopt;
}

}  // namespace

uint64_t commit_tx_at(const std::string& revision, const std::string& point) {
  pg::AsOf at;
  if (!pg::parse_as_of(point.c_str(), &at))
    throw pg::SqlError(ERRCODE_INVALID_TEXT_REPRESENTATION,
                       "invalid value for since: \"" + point + "\"",
                       "Give a timestamp, a date or a transaction number.");
  if (at.is_tx) {
    const auto tx = static_cast<int64_t>(at.tx);
    return tx >= datom::kFirstTx ? commit_tx_of(tx) : at.tx;
  }
  try {
    store::Uuid commit = versioning::resolve_revision(revision + "@" + point);
    return store::load_known_commit(versioning::store_for_reading(), commit).tx;
  } catch (const pg::SqlError& e) {
    if (e.sqlstate == ERRCODE_UNDEFINED_OBJECT) return 0;  // all came later
    throw;
  }
}

Reader::Reader(Source source) {
  require_select();
  choose_views(source);
}

void Reader::choose_views(const Source& source) {
  const versioning::SessionView session = versioning::current_settings();
  const bool named = !source.revision.empty();
  const bool history = source.history || (!named && session.history);
  // A revision and an as_of that say the same as the session's settings.
  std::string revision = source.revision;
  if (!named) revision = *session.commit_id ? session.commit_id : pg::setting_branch;
  std::optional<std::string> as_of = non_empty(source.as_of.c_str());
  if (!as_of && !named) as_of = non_empty(session.as_of);
  std::optional<std::string> since = non_empty(source.since.c_str());
  const bool session_since = !named && !since && *session.since;
  if (history && session_since) since = session.since;

  schema_view_ = {Kind::At, revision, as_of};
  if (history) {
    view_ = {Kind::Versions, as_of ? revision + "@" + *as_of : revision, std::nullopt};
  } else if (named || !source.as_of.empty()) {
    view_ = schema_view_;
  } else {
    view_ = {Kind::Table, std::nullopt, std::nullopt};
    if (!session_since) schema_view_ = view_;
  }
  kind_ = view_.kind;
  if (since) after_tx_ = commit_tx_at(revision, *since);
}

// What since leaves out: both when it was added and when it was retracted count.
void Reader::add_datoms(const StatementRow& row, const Pattern& pattern, std::vector<Datom>& out) {
  const auto is_later = [&](uint64_t commit_tx) { return !after_tx_ || commit_tx > *after_tx_; };
  Datom d{row.e, row.a, datom::decode({row.value, row.bytes}), row.tx, true};
  if (kind_ != Kind::Versions) {
    if (!after_tx_ || is_later(commit_tx_of_fact(row.tx))) out.push_back(std::move(d));
    return;
  }
  const Attribute* a = attribute(row.a);
  if (row.has_extra && a && a->no_history) return;
  if (!after_tx_ || is_later(commit_tx_of_fact(row.tx))) out.push_back(d);
  const auto removed = static_cast<uint64_t>(row.extra);
  if (!row.has_extra || !is_later(removed)) return;
  d.tx = tx_of_commit(removed);
  d.added = false;
  out.push_back(std::move(d));
}

void Reader::scan(const Pattern& pattern, const Batch& batch) { scan_view(view_, pattern, batch); }

void Reader::scan_view(const View& view, const Pattern& pattern, const Batch& batch) {
  const bool schema = &view == &schema_view_;
  if (may_miss_row_names(pattern)) {
    Pattern named;
    named.e = pattern.e;
    named.a = pattern.a;
    named.target = datom::kToRowName;
    scan_view(view, named, [](std::span<const Datom>) { return true; });
  }
  const FactTable table = view.kind == Kind::Table ? FactTable::Table
                          : view.kind == Kind::At  ? FactTable::At
                                                   : FactTable::Versions;
  MemoryContext outer = CurrentMemoryContext;
  MemoryContext arguments = pg::call(
      [] { return AllocSetContextCreate(CurrentMemoryContext, "facts", ALLOCSET_SMALL_SIZES); });
  MemoryContextSwitchTo(arguments);
  FactQuery query = fact_query(table, view.revision, view.as_of, pattern);
  Statement* statement = prepared_query(query);
  const Datum* values = query.values.data();
  Portal portal =
      with_own_settings([&] { return pg::call([=] { return open_cursor(statement, values); }); });
  MemoryContext rows = pg::call([] {
    return AllocSetContextCreate(CurrentMemoryContext, "batch of facts", ALLOCSET_DEFAULT_SIZES);
  });
  std::vector<Datom> datoms;
  bool more = true;
  while (more) {
    MemoryContextSwitchTo(rows);
    StatementResult result = pg::call([=] {
      CHECK_FOR_INTERRUPTS();
      return fetch(portal, kBatch);
    });
    MemoryContextSwitchTo(outer);
    more = result.count == static_cast<uint64_t>(kBatch);
    datoms.clear();
    for (uint64_t i = 0; i < result.count; ++i) {
      const StatementRow& row = result.rows[i];
      if (query.checks_bounds && !within_bounds(pattern, {row.value, row.bytes})) continue;
      // History begins with what relink_rows() has made of them.
      if (table == FactTable::Versions && row.has_extra &&
          datom::has_row_names({row.value, row.bytes}))
        continue;
      if (schema)
        datoms.push_back({row.e, row.a, datom::decode({row.value, row.bytes}), row.tx, true});
      else
        add_datoms(row, pattern, datoms);
    }
    if (!datoms.empty() && !batch(datoms)) break;
    pg::call([=] { MemoryContextReset(rows); });
  }
  pg::call([=] {
    close_cursor(portal);
    MemoryContextDelete(arguments);
  });
  MemoryContextSwitchTo(outer);
}

std::vector<Datom> Reader::all(const Pattern& pattern) {
  std::vector<Datom> found;
  scan(pattern, [&](std::span<const Datom> batch) {
    found.insert(found.end(), batch.begin(), batch.end());
    return true;
  });
  return found;
}

double Reader::estimate(const Pattern& pattern) {
  const std::string sql = estimated_query(pattern);
  return with_own_settings(
      [&] { return pg::call([s = sql.c_str()] { return estimated_rows(s); }); });
}

// ---- The schema.

const Attribute* Reader::load(int64_t id) {
  auto [at, fresh] = by_id_.try_emplace(id);
  std::optional<Attribute>& slot = at->second;  // stays where it is when the map grows
  if (fresh) {
    Pattern of_entity;
    of_entity.e = id;
    std::vector<datom::Fact> facts;
    scan_view(schema_view_, of_entity, [&](std::span<const Datom> batch) {
      for (const Datom& d : batch) facts.push_back({d.a, d.v});
      return true;
    });
    slot = datom::attribute_of_facts(id, facts);
    if (slot && slot->is_composite()) {
      const std::vector<std::string> parts = slot->tuple_attrs;
      std::vector<datom::Type> types;
      for (const std::string& ident : parts) {
        const Attribute* part = attribute(std::string_view(ident));
        types.push_back(part ? part->type : datom::Type::Nil);
      }
      slot->tuple_types = std::move(types);
    }
  }
  return slot ? &*slot : nullptr;
}

const Attribute* Reader::attribute(int64_t id) {
  if (id >= datom::kFirstBuiltin) return datom::builtin_attribute(id);
  return load(id);
}

std::optional<int64_t> Reader::entity_of_ident(std::string_view ident) {
  if (const Attribute* builtin = datom::builtin_attribute(ident)) return builtin->id;
  auto [at, fresh] = by_ident_.try_emplace(std::string(ident), 0);
  int64_t& id = at->second;
  if (fresh) {
    Pattern of_ident;
    of_ident.a = datom::id_of(datom::Builtin::Ident);
    of_ident.from = of_ident.to = Value::keyword(std::string(ident));
    scan_view(schema_view_, of_ident, [&](std::span<const Datom> batch) {
      id = batch.front().e;
      return false;
    });
  }
  if (id == 0) return std::nullopt;
  return id;
}

const Attribute* Reader::attribute(std::string_view ident) {
  if (const Attribute* builtin = datom::builtin_attribute(ident)) return builtin;
  std::optional<int64_t> id = entity_of_ident(ident);
  return id ? load(*id) : nullptr;
}

std::vector<const Attribute*> Reader::attributes() {
  Pattern of_ident;
  of_ident.a = datom::id_of(datom::Builtin::Ident);
  of_ident.order = Order::Aevt;
  std::vector<int64_t> ids;
  scan_view(schema_view_, of_ident, [&](std::span<const Datom> batch) {
    for (const Datom& d : batch) ids.push_back(d.e);
    return true;
  });
  std::vector<const Attribute*> found;
  for (int64_t id : ids)
    if (const Attribute* a = load(id)) found.push_back(a);
  return found;
}

std::optional<int64_t> Reader::entity_of(const Attribute& unique, const Value& v) {
  if (unique.id == datom::id_of(datom::Builtin::Ident)) return entity_of_ident(v.text);
  Pattern of_value;
  of_value.a = unique.id;
  of_value.from = of_value.to = v;
  std::optional<int64_t> found;
  scan_view(schema_view_, of_value, [&](std::span<const Datom> batch) {
    found = batch.front().e;
    return false;
  });
  return found;
}

}  // namespace datahike::facts
