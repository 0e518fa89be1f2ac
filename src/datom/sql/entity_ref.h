// Entities and components of indexes as users name them in calls that read facts.
#pragma once

#include "datom/sql/pg_values.h"
#include "datom/sql/reader.h"

namespace datahike::facts {

// An id, an ident, a lookup ref [attribute value]; text is read as EDN. nullopt: there is no such
// entity. 22023: it names none.
std::optional<int64_t> find_entity(Reader& reader, const edn::Value& name);
// The same; 02000 "Nothing found for entity id ..." where there is none.
int64_t require_entity(Reader& reader, const edn::Value& name);
// ":person/name", "person/name", a keyword, or an id. 42704: not defined.
const datom::Attribute& require_attribute(Reader& reader, const edn::Value& name);
// A value as it is compared with those of the attribute; of a reference the entity that is named.
datom::Value value_of(Reader& reader, const datom::Attribute& attribute, const edn::Value& value);

}  // namespace datahike::facts
