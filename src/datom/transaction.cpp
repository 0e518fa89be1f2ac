#include "datom/transaction.h"

#include <algorithm>

#include "datom/encoding.h"
#include "datom/row_changes.h"

namespace datahike::datom {

namespace {

bool contains(const std::vector<Value>& values, const Value& v) {
  return std::find(values.begin(), values.end(), v) != values.end();
}

std::string text_of(const Value& v) { return edn::write(to_edn(v)); }

std::string text_of(const std::vector<Value>& values, bool many) {
  if (!many) return values.empty() ? "nil" : text_of(values.front());
  std::string out = "(";
  for (const Value& v : values) out += (out.size() > 1 ? " " : "") + text_of(v);
  return out + ")";
}

// Characters of UTF-8.
int64_t length_of(const Value& v) {
  if (v.type == Type::Bytes) return static_cast<int64_t>(v.text.size());
  return std::count_if(v.text.begin(), v.text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

}  // namespace

const Attribute& Transaction::any_attribute(int64_t id) {
  if (const Attribute* a = db_.attribute(id)) return *a;
  throw CorruptError("datahike.facts: entity " + std::to_string(id) +
                     " has facts as an attribute and no :db/ident");
}

Transaction::Cell& Transaction::cell(int64_t e, const Attribute& a) {
  auto [at, fresh] = cells_.try_emplace({e, a.id});
  Cell& cell = at->second;
  if (!fresh) return cell;
  cell.a = &a;
  if (!ids_->is_new(e)) cell.before = db_.facts(e, a.id);
  for (const Datom& d : cell.before) cell.after.push_back(d.v);
  return cell;
}

Transaction::Cell& Transaction::touch(int64_t e, const Attribute& a) {
  Cell& c = cell(e, a);
  if (!c.touched) order_.emplace_back(e, a.id);
  c.touched = true;
  return c;
}

void Transaction::check_entity(int64_t e, const Attribute& a) {
  const std::string id = std::to_string(e);
  if (e >= kFirstBuiltin) throw FactError("0A000", "built-in attributes cannot be changed");
  if (e >= kFirstRow && e < kFirstTx)
    throw FactError("0A000",
                    "entity " + id + " is a table's row, which has no facts but its columns",
                    "Facts of other entities may refer to it.");
  if (a.id == id_of(Builtin::TxInstant)) {
    if (e != db_.current_tx())
      throw FactError("22023", ":db/txInstant can be given to the current transaction only");
  } else if (a.is_builtin() && e >= kFirstTx && a.id != id_of(Builtin::Doc)) {
    throw FactError("22023", "a transaction cannot have :" + a.ident);
  }
  if (ids_->is_new(e) || e >= kFirstTx) return;
  if (e < 1 || e >= kFirstRow) throw FactError("22023", "entity id " + id + " is out of range");
  db_.claim_entity(e);
}

void Transaction::check_value(int64_t e, const Attribute& a, const Value& v) {
  if (a.max_length && length_of(v) > *a.max_length)
    throw FactError("22001", "value of :" + a.ident + " is longer than its :db/maxLength of " +
                                 std::to_string(*a.max_length));
  for (const std::string& predicate : a.predicates)
    if (!db_.satisfies(predicate, v))
      throw FactError("23514", "value " + text_of(v) + " of :" + a.ident + " of entity " +
                                   std::to_string(e) + " does not satisfy " + predicate);
}

void Transaction::check_unique(int64_t e, const Attribute& a, const Value& v) {
  if (a.unique == Unique::No) return;
  auto [claim, fresh] = claims_.try_emplace({a.id, encode(v)}, e);
  std::optional<int64_t> holder;
  if (!fresh && claim->second != e) {
    holder = claim->second;
  } else if (std::optional<int64_t> stored = db_.holder(a.id, v); stored && *stored != e) {
    if (contains(cell(*stored, a).after, v)) holder = stored;
  }
  if (!holder) return;
  throw FactError("23505", "cannot add [" + std::to_string(e) + " :" + a.ident + " " + text_of(v) +
                               "]: the attribute is unique, and entity " + std::to_string(*holder) +
                               " has that value");
}

void Transaction::forget_claim(int64_t e, const Attribute& a, const Value& v) {
  if (a.unique == Unique::No) return;
  auto claim = claims_.find({a.id, encode(v)});
  if (claim != claims_.end() && claim->second == e) claims_.erase(claim);
}

void Transaction::add(int64_t e, const Attribute& a, const Value& v) {
  if (contains(cell(e, a).after, v)) return;
  check_value(e, a, v);
  check_unique(e, a, v);
  Cell& c = touch(e, a);
  if (!a.many) {
    for (const Value& old : c.after) forget_claim(e, a, old);
    c.after.clear();
  }
  c.after.push_back(v);
}

void Transaction::retract(int64_t e, const Attribute& a, const Value& v) {
  Cell& c = cell(e, a);
  auto at = std::find(c.after.begin(), c.after.end(), v);
  if (at == c.after.end()) return;
  if (a.id == id_of(Builtin::TxInstant) && e != db_.current_tx())
    throw FactError("22023", ":db/txInstant of a past transaction cannot be retracted");
  touch(e, a);
  c.after.erase(at);
  forget_claim(e, a, v);
}

void Transaction::retract_entity(int64_t first) {
  std::vector<int64_t> left = {first};
  std::set<int64_t> seen;
  while (!left.empty()) {
    const int64_t e = left.back();
    left.pop_back();
    if (!seen.insert(e).second) continue;
    if (e != first && e >= kFirstRow && e < kFirstTx) db_.delete_row(e, report_.rows);
    for (const Datom& d : db_.facts(e)) cell(e, any_attribute(d.a));
    for (const Datom& d : db_.references_to(e)) cell(d.e, any_attribute(d.a));
    for (auto& [place, c] : cells_) {
      if (place.first == e) {
        const std::vector<Value> values = c.after;
        for (const Value& v : values) {
          if (c.a->component) left.push_back(v.integer);
          retract(e, *c.a, v);
        }
      } else if (contains(c.after, Value::ref(e))) {
        retract(place.first, *c.a, Value::ref(e));
      }
    }
  }
}

void Transaction::compare_and_swap(int64_t e, const Op& op, Tempids& ids) {
  const Attribute& a = *op.a;
  Cell& c = cell(e, a);
  if (!c.touched && !ids.is_new(e)) {
    c.before = db_.lock_facts(e, a.id);
    c.after.clear();
    for (const Datom& d : c.before) c.after.push_back(d.v);
    c.if_absent = !op.old;
  }
  bool holds = c.after.empty();
  if (op.old) holds = contains(c.after, ids.resolve(*op.old));
  if (!holds)
    throw FactError("40001", ":db.fn/cas failed on datom [" + std::to_string(e) + " :" + a.ident +
                                 " " + text_of(c.after, a.many) + "], expected " +
                                 edn::write(op.old_text));
  const Value v = ids.resolve(op.v);
  check_entity(e, a);
  add(e, a, v);
}

void Transaction::write_rows(std::span<const Op> ops, Tempids& ids) {
  RowChanges rows(db_, ids);
  for (const Op& op : ops) rows.take(op);
  report_.rows = rows.write();
}

void Transaction::apply(const Op& op, Tempids& ids) {
  if (op.a && op.a->is_column()) return;
  const int64_t e = ids.resolve(op.e);
  if (op.a && op.a->is_composite() && op.kind != Op::Kind::RetractEntity)
    throw FactError("22023", ":" + op.a->ident + " is made of other attributes",
                    "Add or retract those.");
  switch (op.kind) {
    case Op::Kind::Add: {
      const Value v = ids.resolve(op.v);
      check_entity(e, *op.a);
      if (v.type == Type::Ref && !ids.is_new(v.integer) && v.integer > 0 && v.integer < kFirstRow)
        db_.claim_entity(v.integer);
      return add(e, *op.a, v);
    }
    case Op::Kind::Retract:
      return retract(e, *op.a, ids.resolve(op.v));
    case Op::Kind::RetractAttribute: {
      const std::vector<Value> values = cell(e, *op.a).after;
      for (const Value& v : values) retract(e, *op.a, v);
      return;
    }
    case Op::Kind::RetractEntity:
      return retract_entity(e);
    case Op::Kind::Cas:
      return compare_and_swap(e, op, ids);
    case Op::Kind::Ensure:
      check_entity(e, *op.a);
      ensure_.emplace_back(e, op.v.value.text);
      return;
  }
}

// ---- What follows from the operations.

void Transaction::compute_composite(int64_t e, const Attribute& tuple) {
  std::vector<Value> elements;
  bool any = false;
  for (const std::string& ident : tuple.tuple_attrs) {
    const Attribute* part = db_.attribute(ident);
    const Cell* c = part ? &cell(e, *part) : nullptr;
    any = any || (c && !c->after.empty());
    elements.push_back(c && !c->after.empty() ? c->after.front() : Value::nil());
  }
  if (any) return add(e, tuple, Value::tuple(std::move(elements)));
  const std::vector<Value> values = cell(e, tuple).after;
  for (const Value& v : values) retract(e, tuple, v);
}

void Transaction::compute_composites() {
  if (db_.composites().empty()) return;
  const std::vector<Place> touched = order_;
  // First all old tuples go, so that entities can exchange theirs.
  std::set<std::pair<int64_t, const Attribute*>> stale;
  for (const auto& [e, a] : touched)
    for (const Attribute* tuple : db_.composites())
      for (const std::string& ident : tuple->tuple_attrs)
        if (const Attribute* part = db_.attribute(ident); part && part->id == a)
          stale.emplace(e, tuple);
  for (const auto& [e, tuple] : stale) {
    const std::vector<Value> values = cell(e, *tuple).after;
    for (const Value& v : values) retract(e, *tuple, v);
  }
  for (const auto& [e, tuple] : stale) compute_composite(e, *tuple);
}

std::vector<Fact> Transaction::facts_after(int64_t e) {
  std::vector<Fact> facts;
  if (!ids_->is_new(e))
    for (const Datom& d : db_.facts(e))
      if (!cells_.contains({e, d.a})) facts.push_back({d.a, d.v});
  for (auto at = cells_.lower_bound({e, 0}); at != cells_.end() && at->first.first == e; ++at)
    for (const Value& v : at->second.after) facts.push_back({at->first.second, v});
  return facts;
}

void Transaction::check_schema_of(int64_t e) {
  std::vector<Fact> before;
  if (!ids_->is_new(e))
    for (const Datom& d : db_.facts(e)) before.push_back({d.a, d.v});
  const std::vector<Fact> after = facts_after(e);
  SchemaChange change{attribute_of_facts(e, before), attribute_of_facts(e, after)};
  const bool was = change.before.has_value(), is = change.after.has_value();
  const bool defines = std::any_of(after.begin(), after.end(), [](const Fact& f) {
    return is_schema_attribute(f.a) && f.a != id_of(Builtin::Ident) && f.a != id_of(Builtin::Doc);
  });
  if (defines && !is)
    throw FactError("22023", "an attribute needs a :db/ident: entity " + std::to_string(e));
  if (is) {
    auto [space, name] = split_name(change.after->ident);
    if (space == "db" || space.starts_with("db."))
      throw FactError("22023", "the namespace of :" + change.after->ident + " is reserved");
    if (defines && name.starts_with('_'))
      throw FactError(
          "22023", "an attribute's name cannot begin with an underscore: :" + change.after->ident);
    if (defines && change.after->type == Type::Nil && !db_.schema_on_read())
      throw FactError("22023", "attribute :" + change.after->ident + " needs a :db/valueType");
  }
  // What the definition was taken for when its attribute was used.
  if (const Attribute* used = is && !was ? db_.attribute(change.after->ident) : nullptr;
      used && used->id == e && used->type != Type::Nil &&
      (used->type != change.after->type || used->many != change.after->many ||
       used->unique != change.after->unique || used->tuple_attrs != change.after->tuple_attrs))
    throw FactError("22023", "the transaction changes the definition of :" + used->ident +
                                 " that it makes and uses");
  report_.schema.push_back(change);
  if (!was || !db_.has_facts_of(e)) return;
  const Attribute& old = *change.before;
  const char* hint = "Retract its facts before.";
  if (!is) throw FactError("55000", "attribute :" + old.ident + " has facts", hint);
  if (old.type != change.after->type || old.tuple_attrs != change.after->tuple_attrs ||
      old.tuple_type != change.after->tuple_type ||
      old.tuple_types.size() != change.after->tuple_types.size())
    throw FactError("55000", "the type of attribute :" + old.ident + " cannot change: it has facts",
                    hint);
  if (old.many && !change.after->many && db_.has_several_of(e))
    throw FactError("55000",
                    "attribute :" + old.ident +
                        " cannot have cardinality one: an entity "
                        "has several values",
                    "Retract those in excess before.");
}

void Transaction::check_schema() {
  std::set<int64_t> touched;
  for (const auto& [e, a] : order_)
    if (is_schema_attribute(a) && e < kFirstTx) touched.insert(e);
  for (int64_t e : touched) check_schema_of(e);
}

void Transaction::check_ensured(int64_t e, const std::string& spec) {
  std::optional<int64_t> entity = db_.holder(id_of(Builtin::Ident), Value::keyword(spec));
  if (!entity) throw FactError("42704", "entity spec :" + spec + " is not defined");
  for (const Datom& d : db_.facts(*entity, id_of(Builtin::EntityAttrs))) {
    const Attribute* a = db_.attribute(d.v.text);
    if (!a || cell(e, *a).after.empty())
      throw FactError("23514", "entity " + std::to_string(e) +
                                   " is missing attribute :" + d.v.text + " of spec :" + spec);
  }
  for (const Datom& d : db_.facts(*entity, id_of(Builtin::EntityPreds)))
    report_.ensured.emplace_back(e, d.v.text);
}

void Transaction::put_changes(const Cell& c, int64_t e) {
  if (!c.touched) return;
  std::vector<const Datom*> gone;
  for (const Datom& d : c.before)
    if (!contains(c.after, d.v)) gone.push_back(&d);
  std::vector<const Value*> fresh;
  for (const Value& v : c.after)
    if (std::none_of(c.before.begin(), c.before.end(), [&](const Datom& d) { return d.v == v; }))
      fresh.push_back(&v);
  if (!c.a->many && gone.size() == 1 && fresh.size() == 1) {
    report_.changes.push_back(
        {Change::Kind::Replace, e, c.a, *fresh[0], gone[0]->v, gone[0]->tx, false});
    return;
  }
  for (const Datom* d : gone)
    report_.changes.push_back({Change::Kind::Remove, e, c.a, d->v, {}, d->tx, false});
  for (const Value* v : fresh)
    report_.changes.push_back({Change::Kind::Add, e, c.a, *v, {}, 0, c.if_absent});
}

Report Transaction::run(std::span<const Op> ops) {
  Tempids ids(db_, ops);
  ids_ = &ids;
  write_rows(ops, ids);
  for (const Op& op : ops) apply(op, ids);
  compute_composites();
  check_schema();
  for (const auto& [e, spec] : ensure_) check_ensured(e, spec);
  for (const Place& place : order_) put_changes(cells_.at(place), place.first);
  if (!report_.changes.empty() || !report_.rows.empty()) {
    const int64_t tx = db_.current_tx();
    const Attribute& instant = *builtin_attribute("db/txInstant");
    Cell& c = cell(tx, instant);
    if (c.after.empty()) {
      touch(tx, instant);
      c.after.push_back(db_.now());
      put_changes(c, tx);
    }
  }
  report_.tempids = ids.resolved();
  ids_ = nullptr;
  return std::move(report_);
}

}  // namespace datahike::datom
