// A query from its inputs to its result.
#pragma once

#include "datalog/evaluator.h"

namespace datahike::datalog {

struct QueryInput {
  Value value;
  AnySource source;
  bool is_source = false;
};

struct QueryResult {
  std::vector<Column> columns;  // one for each element of :find
  size_t rows = 0;
};

// Inputs in the order of :in. QueryError 42601: too few or too many.
QueryResult run_query(Evaluator& evaluator, const Query& query, std::vector<QueryInput> inputs);

// In the query's shape: a relation is a vector of vectors or maps, a collection a vector, a tuple a
// vector or map, a scalar itself; a tuple or scalar of nothing is nil.
// `plain_keys`: maps have strings as keys.
Value to_value(const QueryResult& result, const Query& query, bool plain_keys = false);

// Aggregates values of a group. QueryError 42883: there is no such aggregate.
Value aggregate(const std::string& name, const std::vector<Value>& arguments,
                std::span<const Value> values);

// The same of longs where it is computed from them as they are; nullopt: it is not.
std::optional<Value> aggregate_integers(const std::string& name, std::span<const int64_t> values);

// The pull patterns of an entity each; nil where there is nothing.
Values pull(Evaluator& evaluator, Source& source, const Value& pattern, const Values& entities);

}  // namespace datahike::datalog
