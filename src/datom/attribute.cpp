#include "datom/attribute.h"

#include <algorithm>

#include "datom/hints.h"

namespace datahike::datom {

namespace {

Attribute built_in(Builtin id, const char* ident, Type type, bool many = false) {
  Attribute a;
  a.id = id_of(id);
  a.ident = ident;
  a.type = type;
  a.many = many;
  return a;
}

std::vector<Attribute> make_builtins() {
  std::vector<Attribute> all = {
      built_in(Builtin::Ident, "db/ident", Type::Keyword),
      built_in(Builtin::ValueType, "db/valueType", Type::Keyword),
      built_in(Builtin::Cardinality, "db/cardinality", Type::Keyword),
      built_in(Builtin::Unique, "db/unique", Type::Keyword),
      built_in(Builtin::Index, "db/index", Type::Boolean),
      built_in(Builtin::Doc, "db/doc", Type::String),
      built_in(Builtin::IsComponent, "db/isComponent", Type::Boolean),
      built_in(Builtin::NoHistory, "db/noHistory", Type::Boolean),
      built_in(Builtin::TupleAttrs, "db/tupleAttrs", Type::Tuple),
      built_in(Builtin::TupleTypes, "db/tupleTypes", Type::Tuple),
      built_in(Builtin::TupleType, "db/tupleType", Type::Keyword),
      built_in(Builtin::MaxLength, "db/maxLength", Type::Long),
      built_in(Builtin::AttrPreds, "db.attr/preds", Type::Symbol, true),
      built_in(Builtin::EntityAttrs, "db.entity/attrs", Type::Keyword, true),
      built_in(Builtin::EntityPreds, "db.entity/preds", Type::Symbol, true),
      built_in(Builtin::Ensure, "db/ensure", Type::Keyword, true),
      built_in(Builtin::TxInstant, "db/txInstant", Type::Instant),
      built_in(Builtin{kSqlColumn}, "db.sql/column", Type::String),
      built_in(Builtin{kSqlHidden}, "db.sql/hidden", Type::Boolean),
      built_in(Builtin{kSqlReferences}, "db.sql/references", Type::Keyword),
      built_in(Builtin{kSqlTable}, "db.sql/table", Type::String)};
  all[0].unique = datom::Unique::Identity;
  for (Builtin id : {Builtin::TupleAttrs, Builtin::TupleTypes})
    for (Attribute& a : all)
      if (a.id == id_of(id)) a.tuple_type = Type::Keyword;
  return all;
}

[[noreturn]] void bad(const Attribute& a, const std::string& what) {
  throw FactError("22023", "bad schema of :" + a.ident + ": " + what);
}

Type type_of_keyword(const Attribute& a, const std::string& keyword) {
  auto [space, name] = split_name(keyword);
  std::optional<Type> type = type_of_name(name);
  if (space != "db.type" || !type)
    throw FactError("22023", "bad schema of :" + a.ident + ": :" + keyword + " is no value type",
                    "There are :db.type/bigdec, bigint, boolean, bytes, double, float, long, "
                    "instant, keyword, ref, string, symbol, uuid and tuple.");
  return *type;
}

void take_keyword(Attribute& a, Builtin what, const std::string& k) {
  if (what == Builtin::ValueType) {
    a.type = type_of_keyword(a, k);
  } else if (what == Builtin::TupleType) {
    a.tuple_type = type_of_keyword(a, k);
  } else if (what == Builtin::Cardinality) {
    if (k != "db.cardinality/one" && k != "db.cardinality/many")
      bad(a, ":" + k + " is neither :db.cardinality/one nor :db.cardinality/many");
    a.many = k == "db.cardinality/many";
  } else {
    if (k != "db.unique/value" && k != "db.unique/identity")
      bad(a, ":" + k + " is neither :db.unique/value nor :db.unique/identity");
    a.unique = k == "db.unique/value" ? Unique::Value : Unique::Identity;
  }
}

void take(Attribute& a, const Fact& fact) {
  switch (static_cast<Builtin>(fact.a)) {
    case Builtin::ValueType:
    case Builtin::Cardinality:
    case Builtin::Unique:
    case Builtin::TupleType:
      return take_keyword(a, static_cast<Builtin>(fact.a), fact.v.text);
    case Builtin::Index:
      a.index = fact.v.integer;
      return;
    case Builtin::Doc:
      a.doc = fact.v.text;
      return;
    case Builtin::IsComponent:
      a.component = fact.v.integer;
      return;
    case Builtin::NoHistory:
      a.no_history = fact.v.integer;
      return;
    case Builtin::TupleAttrs:
      for (const Value& v : fact.v.elements) a.tuple_attrs.push_back(v.text);
      return;
    case Builtin::TupleTypes:
      for (const Value& v : fact.v.elements) a.tuple_types.push_back(type_of_keyword(a, v.text));
      return;
    case Builtin::MaxLength:
      a.max_length = fact.v.integer;
      return;
    case Builtin::AttrPreds:
      a.predicates.push_back(fact.v.text);
      return;
    default:
      return;
  }
}

void check(const Attribute& a) {
  const bool is_tuple = a.type == Type::Tuple;
  const int kinds =
      !a.tuple_attrs.empty() + !a.tuple_types.empty() + static_cast<int>(a.tuple_type.has_value());
  if (is_tuple && kinds != 1)
    bad(a, "a tuple has one of :db/tupleAttrs, :db/tupleTypes and :db/tupleType");
  if (!is_tuple && kinds != 0)
    bad(a, "only a :db.type/tuple has :db/tupleAttrs, tupleTypes or tupleType");
  if (a.is_composite() && a.many) bad(a, "a tuple of attributes has cardinality one");
  const auto inner = [&](Type t) {
    if (t == Type::Tuple) bad(a, "a tuple holds no tuples");
  };
  for (Type t : a.tuple_types) inner(t);
  if (a.tuple_type) inner(*a.tuple_type);
  const size_t parts = std::max(a.tuple_attrs.size(), a.tuple_types.size());
  if (is_tuple && !a.tuple_type && (parts < 2 || parts > 8)) bad(a, "a tuple has 2 to 8 elements");
  if (a.component && a.type != Type::Ref) bad(a, "only a :db.type/ref is a component");
  if (a.max_length && a.type != Type::String && a.type != Type::Bytes)
    bad(a, "only strings and bytes have a :db/maxLength");
  if (a.max_length && *a.max_length < 0) bad(a, ":db/maxLength must not be negative");
}

}  // namespace

std::span<const Attribute> builtin_attributes() {
  static const std::vector<Attribute> all = make_builtins();
  return all;
}

const Attribute* builtin_attribute(std::string_view ident) {
  for (const Attribute& a : builtin_attributes())
    if (a.ident == ident) return &a;
  return nullptr;
}

const Attribute* builtin_attribute(int64_t id) {
  for (const Attribute& a : builtin_attributes())
    if (a.id == id) return &a;
  return nullptr;
}

bool is_schema_attribute(int64_t id) {
  return id >= id_of(Builtin::Ident) && id <= id_of(Builtin::AttrPreds);
}

std::optional<Attribute> attribute_of_facts(int64_t id, std::span<const Fact> facts) {
  Attribute a;
  a.id = id;
  bool defined = false;
  for (const Fact& fact : facts) {
    if (fact.a == id_of(Builtin::Ident)) a.ident = fact.v.text;
    if (fact.a == id_of(Builtin::ValueType) || fact.a == id_of(Builtin::Cardinality))
      defined = true;
  }
  if (a.ident.empty()) return std::nullopt;
  for (const Fact& fact : facts) take(a, fact);
  if (defined) check(a);
  return a;
}

}  // namespace datahike::datom
