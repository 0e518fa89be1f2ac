// What a transaction of facts needs of the store below it.
#pragma once

#include "datalog/edn.h"
#include "datom/attribute.h"

namespace datahike::datom {

struct Datom {
  int64_t e = 0, a = 0;
  Value v;
  int64_t tx = 0;
  bool added = true;
};

// A column of a row is to have that value; nil: NULL.
struct RowValue {
  const Attribute* column;
  edn::Value value;
};

// What became of a row, column by column, for the report of a transaction: `json` is the value.
struct RowDatom {
  int64_t e;
  std::string attribute;
  std::string json;
  bool added;
};

// Transaction data that a function has returned; nil: none.
struct Called {
  edn::Value data;
  bool is_json;
};

class Database {
 public:
  virtual ~Database() = default;
  // As committed or written before this transaction of facts: what has an ident, its type Nil where
  // it has none. nullptr: there is none. The pointers stay valid as long as the database does.
  virtual const Attribute* attribute(std::string_view ident) = 0;
  virtual const Attribute* attribute(int64_t id) = 0;
  // The composite tuples that are made of other attributes.
  virtual std::span<const Attribute* const> composites() = 0;
  // Whether attributes without a type are used, and made on first use by undeclared().
  virtual bool schema_on_read() = 0;
  // An attribute that this transaction of facts defines, found by ident and id from now on. Id 0:
  // it is given one, and its :db/ident is still to be added.
  virtual const Attribute* define(Attribute attribute) = 0;
  // Gives a new attribute an id; its :db/ident is still to be added.
  virtual const Attribute* undeclared(const std::string& ident) = 0;

  virtual std::vector<Datom> facts(int64_t e, int64_t a) = 0;
  virtual std::vector<Datom> facts(int64_t e) = 0;
  virtual std::vector<Datom> references_to(int64_t e) = 0;
  // An entity with that value; of a unique attribute the only one.
  virtual std::optional<int64_t> holder(int64_t a, const Value& v) = 0;
  virtual bool has_facts_of(int64_t a) = 0;
  virtual bool has_several_of(int64_t a) = 0;  // of one entity
  // The facts as others have committed them by now, who wait for this transaction from now on.
  virtual std::vector<Datom> lock_facts(int64_t e, int64_t a) = 0;

  virtual int64_t new_entity() = 0;
  virtual void claim_entity(int64_t e) = 0;  // never returned by new_entity() from now on
  virtual int64_t current_tx() = 0;          // one and the same in an SQL transaction
  virtual Value now() = 0;                   // an instant
  // Whether a predicate, named by a symbol, holds for a value.
  virtual bool satisfies(const std::string& predicate, const Value& v) = 0;

  // Calls a function, named by a symbol, with values. FactError 42804: it returns something else.
  virtual Called call(const std::string& function, std::span<const edn::Value> arguments) = 0;

  // The column of a table of versioned rows that an ident names ("table/column", or
  // "schema.table/column"), `unique` where it is so by itself; nullptr: none. holder() knows them.
  virtual const Attribute* column(std::string_view ident) = 0;
  // Rows are written as by SQL, as the caller. FactError 02000: there is no such row. nullopt: the
  // table has not taken the row.
  virtual std::optional<int64_t> insert_row(std::span<const RowValue> values,
                                            std::vector<RowDatom>& changed) = 0;
  virtual void update_row(int64_t e, std::span<const RowValue> values,
                          std::vector<RowDatom>& changed) = 0;
  // False: there is no such row.
  virtual bool delete_row(int64_t e, std::vector<RowDatom>& changed) = 0;
  // Locks the row. Its value as JSON where it is not the expected one.
  virtual std::optional<std::string> other_value(int64_t e, const RowValue& expected) = 0;
};

}  // namespace datahike::datom
