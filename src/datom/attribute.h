// Attributes: what the schema says of one, and those that are built in.
#pragma once

#include <map>
#include <set>
#include <span>

#include "datom/value.h"

namespace datahike::datom {

// Entity ids. Rows of tables are addressed by the rowid of their first version, which is unique in
// a database.
inline constexpr int64_t kFirstRow = int64_t{1} << 42;
inline constexpr int64_t kFirstTx = int64_t{1} << 43;
inline constexpr int64_t kFirstBuiltin = int64_t{1} << 44;
inline constexpr int64_t kMostExplicit = (int64_t{1} << 41) - 1;  // the largest that users choose

enum class Unique : uint8_t { No, Value, Identity };

struct Attribute {
  int64_t id = 0;
  std::string ident;      // "person/name"
  Type type = Type::Nil;  // Nil: any (schema on read)
  bool many = false;
  Unique unique = Unique::No;
  bool index = false;
  bool component = false;
  bool no_history = false;
  std::optional<int64_t> max_length;     // characters of a string, bytes of bytes
  std::vector<std::string> predicates;   // symbols
  std::vector<std::string> tuple_attrs;  // composite: idents
  std::vector<Type> tuple_types;         // heterogeneous
  std::optional<Type> tuple_type;        // homogeneous
  std::string doc;
  // Of a column of a table: which table, by a number of the database's. Such attributes have
  // negative ids and no facts: what is written to them is written to rows.
  int64_t table = 0;
  bool is_column() const { return table != 0; }
  bool is_builtin() const { return id >= kFirstBuiltin; }
  bool is_composite() const { return !tuple_attrs.empty(); }
};

// Ids of the built-in attributes.
enum class Builtin : int64_t {
  Ident = kFirstBuiltin + 1,
  ValueType,
  Cardinality,
  Unique,
  Index,
  Doc,
  IsComponent,
  NoHistory,
  TupleAttrs,
  TupleTypes,
  TupleType,
  MaxLength,
  AttrPreds,
  EntityAttrs,
  EntityPreds,
  Ensure,  // of a transaction's maps; never stored
  TxInstant,
};
inline constexpr int64_t id_of(Builtin builtin) { return static_cast<int64_t>(builtin); }

const Attribute* builtin_attribute(std::string_view ident);  // nullptr: there is none
const Attribute* builtin_attribute(int64_t id);
std::span<const Attribute> builtin_attributes();
// Whether facts of the attribute define attributes.
bool is_schema_attribute(int64_t id);

// What an entity's facts make of it: an attribute if it has an ident and a type, or an ident alone
// and schema on read. FactError 22023 where they contradict each other.
struct Fact {
  int64_t a;
  Value v;
};
std::optional<Attribute> attribute_of_facts(int64_t id, std::span<const Fact> facts);

// An error with an SQLSTATE of five characters.
struct FactError : Error {
  FactError(const char* state, std::string message, std::string advice = "")
      : Error(std::move(message)), sqlstate(state), hint(std::move(advice)) {}
  const char* sqlstate;
  std::string hint;
};

}  // namespace datahike::datom
