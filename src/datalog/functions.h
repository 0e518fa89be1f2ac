// The functions that queries may call, besides those that need a source (evaluator.cpp).
#pragma once

#include <span>

#include "datalog/relation.h"

namespace datahike::datalog {

struct Function {
  const char* name;
  int least, most;  // arguments; most -1: any number
  Value (*call)(std::span<const Value> arguments);
};
const Function* find_function(const std::string& name);  // nullptr: there is none

// Order of two values that predicates compare; QueryError 42804 where their kinds have none in
// common.
int compare_alike(const Value& a, const Value& b);
// As (str x) writes it: text bare, anything else as EDN.
std::string display(const Value& value);

}  // namespace datahike::datalog
