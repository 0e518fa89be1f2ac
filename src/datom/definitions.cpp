// Attributes that transaction data defines and uses: what it says of them, before it is carried
// out.
#include <algorithm>

#include "datom/tx_data.h"

namespace datahike::datom {

using edn::Kind;

// Entities that have no attribute yet: temporary ids, and ids.
std::optional<EntityRef> TxDataReader::definable(const edn::Value& value) {
  const bool text = value.is(Kind::String) && !value.text().starts_with(':');
  if (!text && !value.is(Kind::Long)) return std::nullopt;
  EntityRef e = entity(value);
  if (e.kind == EntityRef::Kind::Tx) return std::nullopt;
  return e;
}

void TxDataReader::collect(const EntityRef& e, const edn::Value& attribute,
                           const edn::Value& value) {
  std::optional<std::string> name = name_of(attribute);
  const Attribute* a = name ? builtin_attribute(*name) : nullptr;
  if (!a || !is_schema_attribute(a->id) || value.is_nil()) return;
  Definition& definition =
      entities_[e.kind == EntityRef::Kind::Id ? "#" + std::to_string(e.id) : e.tempid];
  definition.e = e;
  if (!is_collection(*a, value)) {
    definition.facts.push_back({a->id, from_edn(value, *a, notation_)});
    return;
  }
  for (const edn::Value& item : value.items())
    if (!item.is_nil()) definition.facts.push_back({a->id, from_edn(item, *a, notation_)});
}

void TxDataReader::collect_definitions() {
  entities_.clear();
  defining_.clear();
  for (const auto& [form, notation] : forms_) {
    notation_ = notation;
    if (form.is(Kind::Map)) {
      std::optional<EntityRef> e = EntityRef::of_tempid(next_tempid());
      for (const auto& [key, v] : form.entries())
        if (name_of(key) == "db/id") e = definable(v);
      if (!e) continue;
      for (const auto& [key, v] : form.entries()) collect(*e, key, v);
    } else if (form.is_sequence() && form.items().size() == 4 &&
               name_of(form.items()[0]) == "db/add") {
      if (std::optional<EntityRef> e = definable(form.items()[1]))
        collect(*e, form.items()[2], form.items()[3]);
    }
  }
  for (const auto& [key, definition] : entities_)
    for (const Fact& fact : definition.facts)
      if (fact.a == id_of(Builtin::Ident)) defining_[fact.v.text] = &definition;
}

const Attribute* TxDataReader::define(const Definition& definition) {
  std::optional<Attribute> a = attribute_of_facts(0, definition.facts);
  if (!a || a->type == Type::Nil) return nullptr;
  if (definition.e.kind == EntityRef::Kind::Id) a->id = definition.e.id;
  if (const Attribute* ident = db_.attribute(a->ident)) a->id = ident->id;
  defining_.erase(a->ident);
  if (a->is_composite()) {
    a->tuple_types.clear();
    for (const std::string& part : a->tuple_attrs) {
      const Attribute* p = find(part);
      a->tuple_types.push_back(p ? p->type : Type::Nil);
    }
  }
  const bool is_new = a->id == 0;
  const Attribute* defined = db_.define(std::move(*a));
  if (is_new) {
    // The entity that is given the same ident is this one.
    ValueRef name;
    name.value = Value::keyword(defined->ident);
    ops_.push_back({Op::Kind::Add,
                    EntityRef::of_id(defined->id),
                    builtin_attribute("db/ident"),
                    name,
                    std::nullopt,
                    {}});
  }
  return defined;
}

const Attribute* TxDataReader::find(const std::string& ident) {
  const Attribute* a = db_.attribute(ident);
  if (a && a->type != Type::Nil) return a;
  if (auto at = defining_.find(ident); at != defining_.end())
    if (const Attribute* defined = define(*at->second)) return defined;
  const Attribute* column = db_.column(ident);
  return column ? column : a;
}

// A composite tuple follows its attributes from its definition on, so in the data that defines it.
void TxDataReader::define_composites() {
  const std::map<std::string, const Definition*> left = defining_;
  for (const auto& [ident, definition] : left) {
    std::optional<Attribute> a = attribute_of_facts(0, definition->facts);
    if (!a || !a->is_composite()) continue;
    const bool used = std::any_of(ops_.begin(), ops_.end(), [&](const Op& op) {
      return op.a && std::find(a->tuple_attrs.begin(), a->tuple_attrs.end(), op.a->ident) !=
                         a->tuple_attrs.end();
    });
    if (used && defining_.contains(ident)) find(ident);
  }
}

}  // namespace datahike::datom
