// The aggregates that :find may name.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "datalog/column.h"

namespace datahike::datalog {

// Aggregates values of a group. QueryError 42883: there is no such aggregate.
Value aggregate(const std::string& name, const std::vector<Value>& arguments,
                std::span<const Value> values);

// The same of longs where it is computed from them as they are; nullopt: it is not.
std::optional<Value> aggregate_integers(const std::string& name, std::span<const int64_t> values);

}  // namespace datahike::datalog
