#include "datom/tx_data.h"

#include "datom/purge_data.h"

namespace datahike::datom {

namespace {

using edn::Kind;

[[noreturn]] void malformed(const std::string& what, const edn::Value& form,
                            std::string hint = "") {
  std::string text = edn::write(form);
  if (text.size() > 200) text = text.substr(0, 200) + "...";
  throw FactError("22023", what + ": " + text, std::move(hint));
}

std::string forward_name(const std::string& reverse) {
  auto [space, name] = split_name(reverse);
  std::string forward(name.substr(1));
  return space.empty() ? forward : std::string(space) + "/" + forward;
}

bool is_reverse(const std::string& ident) {
  auto [space, name] = split_name(ident);
  return name.size() > 1 && name[0] == '_';
}

// Other names of the same operations.
std::string canonical_operation(const std::string& name) {
  if (name == "db.fn/retractEntity" || name == "db/retractEntity") return "db/retractEntity";
  if (name == "db.fn/retractAttribute" || name == "db/retractAttribute")
    return "db/retractAttribute";
  if (name == "db.fn/cas") return "db/cas";
  return name;
}

// Data that consists of purges is not read here (purge_data.h).
void refuse_purge(const std::string& name) {
  if (!is_purge(name)) return;
  throw FactError("0A000", "a function cannot return what purges: :" + name,
                  "Transact what purges by itself.");
}

}  // namespace

std::optional<std::string> TxDataReader::name_of(const edn::Value& value) const {
  if (value.is(Kind::Keyword)) return value.text();
  if (notation_ != Notation::Json || !value.is(Kind::String)) return std::nullopt;
  return value.text().starts_with(':') ? value.text().substr(1) : value.text();
}

const Attribute* TxDataReader::attribute_named(const std::string& ident) {
  const Attribute* a = find(ident);
  if (a && (a->type != Type::Nil || a->is_column() || db_.schema_on_read())) return a;
  if (db_.schema_on_read()) {
    if (!a) a = db_.undeclared(ident);
    ValueRef name;
    name.value = Value::keyword(ident);
    ops_.push_back({Op::Kind::Add,
                    EntityRef::of_id(a->id),
                    builtin_attribute("db/ident"),
                    name,
                    std::nullopt,
                    {}});
    return a;
  }
  throw FactError("42704", "attribute :" + ident + " is not defined",
                  "Define it by its :db/ident, :db/valueType and :db/cardinality, or SET "
                  "datahike.schema_flexibility = 'read'.");
}

const Attribute* TxDataReader::attribute(const edn::Value& value) {
  if (value.is(Kind::Long)) {
    if (const Attribute* a = db_.attribute(value.as_integer())) return a;
    throw FactError("42704", "entity " + edn::write(value) + " is no attribute");
  }
  std::optional<std::string> name = name_of(value);
  if (!name) malformed("an attribute must be a keyword", value);
  return attribute_named(*name);
}

bool TxDataReader::is_lookup(const edn::Value& value) {
  if (!value.is_sequence() || value.items().size() != 2) return false;
  std::optional<std::string> name = name_of(value.items()[0]);
  if (!name) return false;
  const Attribute* a = find(*name);
  return a && a->unique != Unique::No;
}

EntityRef TxDataReader::entity(const edn::Value& value) {
  if (value.is(Kind::Long)) {
    const int64_t id = value.as_integer();
    if (id < 0) return EntityRef::of_tempid("n" + std::to_string(id));
    if (id == 0) malformed("0 is no entity", value);
    return EntityRef::of_id(id);
  }
  const bool keyword =
      value.is(Kind::Keyword) ||
      (notation_ == Notation::Json && value.is(Kind::String) && value.text().starts_with(':'));
  if (keyword) {
    std::string name = *name_of(value);
    if (name == "db/current-tx") return EntityRef::of_tx();
    if (const Attribute* builtin = builtin_attribute(name)) return EntityRef::of_id(builtin->id);
    return EntityRef::of_lookup(builtin_attribute("db/ident"), Value::keyword(name));
  }
  if (value.is(Kind::String)) {
    const std::string& s = value.text();
    if (s == "datomic.tx" || s == "datahike.tx") return EntityRef::of_tx();
    return EntityRef::of_tempid("s" + s);
  }
  if (value.is_sequence() && value.items().size() == 2 && name_of(value.items()[0])) {
    const Attribute* a = attribute(value.items()[0]);
    if (a->unique == Unique::No)
      malformed("a lookup ref needs a unique attribute", value, "Give it :db/unique.");
    if (a->type == Type::Ref) {
      EntityRef target = entity(value.items()[1]);
      if (target.kind != EntityRef::Kind::Id)
        malformed("a lookup ref by a reference needs an entity id", value);
      return EntityRef::of_lookup(a, Value::ref(target.id));
    }
    return EntityRef::of_lookup(a, from_edn(value.items()[1], *a, notation_));
  }
  malformed("not an entity", value,
            "Give an entity id, a temporary id (a negative number or a string), a keyword that is "
            "a :db/ident, or a lookup ref [attribute value].");
}

ValueRef TxDataReader::value(const Attribute& a, const edn::Value& value) {
  ValueRef ref;
  if (value.is_nil()) malformed("nil cannot be stored in :" + a.ident, value);
  if (a.is_column()) {
    ref.written = value;
    return ref;
  }
  if (a.type == Type::Ref) {
    ref.is_entity = true;
    ref.entity = value.is(Kind::Map) ? map(value, next_tempid()) : entity(value);
    return ref;
  }
  ref.value = from_edn(value, a, notation_);
  return ref;
}

bool TxDataReader::is_collection(const Attribute& a, const edn::Value& value) {
  if (!a.many) return false;
  if (value.is(Kind::Set)) return true;
  if (!value.is_sequence()) return false;
  if (a.type == Type::Ref) return !is_lookup(value);
  if (a.type == Type::Tuple) return value.items().empty() || value.items()[0].is_sequence();
  return true;
}

void TxDataReader::add(const EntityRef& e, const Attribute* a, const edn::Value& v) {
  if (is_collection(*a, v)) {
    for (const edn::Value& item : v.items()) add(e, a, item);
    return;
  }
  Op::Kind kind = a->id == id_of(Builtin::Ensure) ? Op::Kind::Ensure : Op::Kind::Add;
  ValueRef ref = value(*a, v);  // what a nested map adds comes first
  ops_.push_back({kind, e, a, std::move(ref), std::nullopt, {}});
}

void TxDataReader::add_reverse(const EntityRef& e, const Attribute* a, const edn::Value& v) {
  if (a->type != Type::Ref) malformed("only references have a reverse, not :" + a->ident, v);
  const bool several = v.is(Kind::Set) || (v.is_sequence() && !is_lookup(v));
  if (several) {
    for (const edn::Value& item : v.items()) add_reverse(e, a, item);
    return;
  }
  EntityRef from = v.is(Kind::Map) ? map(v, next_tempid()) : entity(v);
  ValueRef to;
  to.is_entity = true;
  to.entity = e;
  ops_.push_back({Op::Kind::Add, from, a, to, std::nullopt, {}});
}

void TxDataReader::map_entry(const EntityRef& e, const std::string& key, const edn::Value& v) {
  if (!builtin_attribute(key) && is_reverse(key) && !find(key))
    return add_reverse(e, attribute_named(forward_name(key)), v);
  add(e, attribute_named(key), v);
}

EntityRef TxDataReader::map(const edn::Value& map, std::string fallback) {
  if (++depth_ > 200) malformed("maps are nested too deeply", map);
  EntityRef e = EntityRef::of_tempid(std::move(fallback));
  size_t attributes = 0;
  for (const auto& [key, v] : map.entries()) {
    std::optional<std::string> name = name_of(key);
    if (!name) malformed("an attribute must be a keyword", key);
    if (*name == "db/id")
      e = entity(v);
    else
      ++attributes;
  }
  if (attributes == 0 && e.kind != EntityRef::Kind::Id)
    malformed("a map without attributes makes no entity", map);
  for (const auto& [key, v] : map.entries())
    if (std::string name = *name_of(key); name != "db/id") map_entry(e, name, v);
  --depth_;
  return e;
}

void TxDataReader::operation(std::span<const edn::Value> items, const edn::Value& whole) {
  std::optional<std::string> written = items.empty() ? std::nullopt : name_of(items[0]);
  if (!written) malformed("an operation must begin with its name", whole);
  const std::string name = canonical_operation(*written);
  refuse_purge(name);
  const auto arity = [&](size_t least, size_t most) {
    if (items.size() < least || items.size() > most)
      malformed("wrong number of arguments of :" + name, whole);
  };
  if (name == "db/add") {
    arity(4, 4);
    EntityRef e = entity(items[1]);
    add(e, attribute(items[2]), items[3]);
  } else if (name == "db/retract") {
    arity(3, 4);
    Op op{Op::Kind::RetractAttribute, entity(items[1]), attribute(items[2]), {}, std::nullopt, {}};
    if (items.size() == 4) {
      op.kind = Op::Kind::Retract;
      op.v = value(*op.a, items[3]);
    }
    ops_.push_back(std::move(op));
  } else if (name == "db/retractAttribute") {
    arity(3, 3);
    ops_.push_back(
        {Op::Kind::RetractAttribute, entity(items[1]), attribute(items[2]), {}, std::nullopt, {}});
  } else if (name == "db/retractEntity") {
    arity(2, 2);
    ops_.push_back({Op::Kind::RetractEntity, entity(items[1]), nullptr, {}, std::nullopt, {}});
  } else if (name == "db/cas") {
    arity(5, 5);
    Op op{Op::Kind::Cas, entity(items[1]), attribute(items[2]), {}, std::nullopt, items[3]};
    if (!items[3].is_nil()) op.old = value(*op.a, items[3]);
    op.v = value(*op.a, items[4]);
    ops_.push_back(std::move(op));
  } else {
    malformed("unknown operation :" + name, whole,
              "There are :db/add, :db/retract, :db/retractEntity, :db.fn/retractAttribute, "
              ":db/cas and :db.fn/call.");
  }
}

void TxDataReader::form(const edn::Value& form) {
  if (form.is(Kind::Map))
    map(form, next_tempid());
  else if (form.is_sequence())
    operation(form.items(), form);
  else if (!form.is_nil())
    malformed("neither a map nor an operation", form);
}

void TxDataReader::expand(std::span<const edn::Value> forms) {
  for (const edn::Value& f : forms) {
    const bool operation = f.is_sequence() && !f.items().empty();
    const std::optional<std::string> name = operation ? name_of(f.items()[0]) : std::nullopt;
    if (name != "db.fn/call" && name != "db/call") {
      forms_.emplace_back(f, notation_);
      continue;
    }
    if (f.items().size() < 2) malformed("wrong number of arguments of :" + *name, f);
    const edn::Value& function = f.items()[1];
    if (!function.is(Kind::Symbol) && !function.is(Kind::Keyword) && !function.is(Kind::String))
      malformed("a function must be named by a symbol", f);
    if (++depth_ > 50) malformed("functions call functions too deeply", f);
    const Called called = db_.call(function.text(), f.items().subspan(2));
    if (!called.data.is_nil() && !called.data.is_sequence())
      malformed("function " + function.text() + " returned no transaction data", called.data);
    const Notation outer = notation_;
    notation_ = called.is_json ? Notation::Json : Notation::Edn;
    if (called.data.is_sequence()) expand(called.data.items());
    notation_ = outer;
    --depth_;
  }
}

std::vector<Op> TxDataReader::read(const edn::Value& tx_data) {
  ops_.clear();
  forms_.clear();
  const edn::Value* forms = &tx_data;
  const edn::Value* meta = nullptr;
  if (tx_data.is(Kind::Map)) {
    forms = nullptr;
    for (const auto& [key, v] : tx_data.entries()) {
      std::optional<std::string> name = name_of(key);
      if (name == "tx-data") forms = &v;
      if (name == "tx-meta") meta = &v;
    }
  }
  if (!forms || !forms->is_sequence())
    malformed("transaction data must be a vector of maps and operations", tx_data);
  const Notation given = notation_;
  expand(forms->items());
  collect_definitions();
  for (const auto& [f, notation] : forms_) {
    notation_ = notation;
    form(f);
  }
  notation_ = given;
  if (meta && !meta->is_nil()) {
    if (!meta->is(Kind::Map)) malformed(":tx-meta must be a map", *meta);
    for (const auto& [key, v] : meta->entries()) {
      std::optional<std::string> name = name_of(key);
      if (!name) malformed("an attribute must be a keyword", key);
      map_entry(EntityRef::of_tx(), *name, v);
    }
  }
  define_composites();
  return std::move(ops_);
}

}  // namespace datahike::datom
