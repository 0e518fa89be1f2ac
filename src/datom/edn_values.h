// Between values of facts and those of EDN.
#pragma once

#include "datalog/edn.h"
#include "datom/attribute.h"

namespace datahike::datom {

// A ref becomes a long, a float a double, a tuple a vector.
edn::Value to_edn(const Value& value);

// How strictly a value must be written as its attribute's type.
enum class Notation : uint8_t {
  Edn,   // exactly
  Json,  // text stands for keywords, symbols, instants, uuids and bytes, any number for a number
};

// The value as one of the type; of Type::Nil as what it is. FactError 22023: it is none of that
// type; 22P02: text that cannot be read as one. A Ref must be a long: references of other kinds
// are the transaction's (tx_data.h). `what` names the attribute in messages.
Value from_edn(const edn::Value& value, Type type, Notation notation, const std::string& what);
// The same of all an attribute's types, tuples included.
Value from_edn(const edn::Value& value, const Attribute& attribute, Notation notation);

}  // namespace datahike::datom
