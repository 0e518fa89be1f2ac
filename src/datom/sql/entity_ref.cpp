#include "datom/sql/entity_ref.h"

#include "datom/tempids.h"

namespace datahike::facts {

namespace {

using edn::Kind;

std::optional<std::string> attribute_name(const edn::Value& value) {
  if (value.is(Kind::Keyword)) return value.text();
  if (!value.is(Kind::String)) return std::nullopt;
  return value.text().starts_with(':') ? value.text().substr(1) : value.text();
}

std::optional<int64_t> find_by_lookup(Reader& reader, const edn::Value& lookup) {
  const datom::Attribute& a = require_attribute(reader, lookup.items()[0]);
  if (a.unique == datom::Unique::No)
    throw datom::FactError("22023", "a lookup ref needs a unique attribute: " + edn::write(lookup),
                           "Give it :db/unique.");
  return reader.entity_of(a, value_of(reader, a, lookup.items()[1]));
}

}  // namespace

std::optional<int64_t> find_entity(Reader& reader, const edn::Value& name) {
  if (name.is(Kind::Long)) return name.as_integer();
  if (name.is(Kind::BigDec)) {
    if (datom::Value v = datom::from_edn(name, datom::Type::Ref, datom::Notation::Json, "db/id");
        v.integer > 0)
      return v.integer;
  }
  if (name.is(Kind::Keyword)) return reader.entity_of_ident(name.text());
  if (name.is_sequence() && name.items().size() == 2 && attribute_name(name.items()[0]))
    return find_by_lookup(reader, name);
  if (name.is(Kind::String)) {
    edn::Value read = edn::read(name.text());
    if (!read.is(Kind::String)) return find_entity(reader, read);
  }
  throw datom::FactError("22023", "not an entity: " + edn::write(name),
                         "Give an entity id, a :db/ident, or a lookup ref [attribute value].");
}

int64_t require_entity(Reader& reader, const edn::Value& name) {
  if (std::optional<int64_t> e = find_entity(reader, name)) return *e;
  const std::string text = name.is(Kind::String) ? name.text() : edn::write(name);
  throw datom::FactError("02000", "Nothing found for entity id " + text);
}

const datom::Attribute& require_attribute(Reader& reader, const edn::Value& name) {
  std::optional<std::string> ident = attribute_name(name);
  const datom::Attribute* a = nullptr;
  if (ident)
    a = reader.attribute(*ident);
  else if (name.is(Kind::Long))
    a = reader.attribute(name.as_integer());
  if (a) return *a;
  throw datom::FactError(
      "42704", "attribute " + (ident ? ":" + *ident : edn::write(name)) + " is not defined",
      "datahike.schema() lists the attributes.");
}

datom::Value value_of(Reader& reader, const datom::Attribute& a, const edn::Value& value) {
  if (a.type == datom::Type::Ref) return datom::Value::ref(require_entity(reader, value));
  return datom::from_edn(value, a, datom::Notation::Json);
}

}  // namespace datahike::facts
