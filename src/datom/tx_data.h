// Transaction data as a list of operations. Maps become additions; references stay symbolic until
// all of the data is known (tempids.h).
#pragma once

#include "datalog/edn.h"
#include "datom/database.h"
#include "datom/edn_values.h"

namespace datahike::datom {

// An entity as it is written: an id, a temporary id, or a unique attribute's value.
struct EntityRef {
  enum class Kind : uint8_t { Id, Tempid, Lookup, Tx } kind = Kind::Id;
  int64_t id = 0;
  std::string tempid;  // "n-1", "sjohn", "a0": number, string, of a map without id
  const Attribute* attribute = nullptr;  // of a lookup ref
  Value value;
  static EntityRef of_id(int64_t id) { return {Kind::Id, id, {}, nullptr, {}}; }
  static EntityRef of_tempid(std::string t) { return {Kind::Tempid, 0, std::move(t), nullptr, {}}; }
  static EntityRef of_lookup(const Attribute* a, Value v) {
    return {Kind::Lookup, 0, {}, a, std::move(v)};
  }
  static EntityRef of_tx() { return {Kind::Tx, 0, {}, nullptr, {}}; }
};

// A value, or for an attribute of type ref an entity.
struct ValueRef {
  bool is_entity = false;
  EntityRef entity;
  Value value;
  edn::Value written;  // of a table's column: as it is given
};

struct Op {
  enum class Kind : uint8_t { Add, Retract, RetractAttribute, RetractEntity, Cas, Ensure } kind;
  EntityRef e;
  const Attribute* a = nullptr;  // not of RetractEntity
  ValueRef v;                    // Add, Retract, Ensure (the spec); Cas: the new value
  std::optional<ValueRef> old;   // Cas: what is expected; nullopt: nothing
  edn::Value old_text;           // Cas: as it was written
};

// The operations of transaction data: a list or vector of maps and operations, or a map with it
// under :tx-data and facts of the transaction under :tx-meta. `calls` runs a database function:
// its name and arguments, and what it returns is transaction data again.
// FactError: 22023 what is malformed or of the wrong type; 42704 unknown attributes; 0A000.
//
// An attribute that the data defines can be used in all of it, before the definition, too: what is
// written of an entity with a new :db/ident, as maps or as :db/add, is its definition.
class TxDataReader {
 public:
  TxDataReader(Database& db, Notation notation) : db_(db), notation_(notation) {}
  std::vector<Op> read(const edn::Value& tx_data);
  // An entity where one is asked for by itself: entity(), pull.
  EntityRef entity(const edn::Value& value);

 private:
  // What the data says of an entity that it may define as an attribute.
  struct Definition {
    EntityRef e;
    std::vector<Fact> facts;
  };
  void collect_definitions();
  void collect(const EntityRef& e, const edn::Value& attribute, const edn::Value& value);
  std::optional<EntityRef> definable(const edn::Value& entity);
  void define_composites();
  // Defined before or by the data; nullptr: neither.
  const Attribute* find(const std::string& ident);
  const Attribute* define(const Definition& definition);

  // Puts what functions return in the place of their calls.
  void expand(std::span<const edn::Value> forms);
  void form(const edn::Value& form);
  EntityRef map(const edn::Value& map, std::string fallback);
  void map_entry(const EntityRef& e, const std::string& key, const edn::Value& value);
  void operation(std::span<const edn::Value> items, const edn::Value& whole);
  void add(const EntityRef& e, const Attribute* a, const edn::Value& value);
  void add_reverse(const EntityRef& e, const Attribute* a, const edn::Value& value);
  bool is_collection(const Attribute& a, const edn::Value& value);
  bool is_lookup(const edn::Value& value);
  ValueRef value(const Attribute& a, const edn::Value& value);
  const Attribute* attribute(const edn::Value& value);
  const Attribute* attribute_named(const std::string& ident);
  std::optional<std::string> name_of(const edn::Value& value) const;
  std::string next_tempid() { return "a" + std::to_string(anonymous_++); }

  Database& db_;
  Notation notation_;
  std::vector<std::pair<edn::Value, Notation>> forms_;
  std::vector<Op> ops_;
  std::map<std::string, Definition> entities_;         // by tempid or "#id"
  std::map<std::string, const Definition*> defining_;  // by ident
  size_t anonymous_ = 0;
  int depth_ = 0;
};

}  // namespace datahike::datom
