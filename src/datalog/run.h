// A query from its inputs to its result.
#pragma once

#include "datalog/evaluator.h"
#include "datalog/row_file.h"

namespace datahike::datalog {

struct QueryInput {
  Value value;
  AnySource source;
  bool is_source = false;
};

struct QueryResult {
  std::vector<Column> columns;  // one for each element of :find
  size_t rows = 0;
  // Where the rows are that do not fit into the query's memory: its blocks, in their order.
  // `columns` is empty then. The file has them as long as its transaction, or portal, has.
  std::shared_ptr<RowFile> file;

  // Calls `use` with all rows, a part of them at a time.
  template <class F>
  void each_part(F&& use) const {
    if (!file) return use(*this);
    for (size_t number = 0; number < file->blocks(); ++number) {
      QueryResult part{file->read_number(number), 0, nullptr};
      part.rows = part.columns[0].size();
      use(part);
    }
  }
};

// Inputs in the order of :in. QueryError 42601: too few or too many. Where the rows are to be in
// memory at once (`!may_use_file`) they must fit: OutOfMemory.
QueryResult run_query(Evaluator& evaluator, const Query& query, std::vector<QueryInput> inputs,
                      bool may_use_file);

// In the query's shape: a relation is a vector of vectors or maps, a collection a vector, a tuple a
// vector or map, a scalar itself; a tuple or scalar of nothing is nil. REQUIRES: !result.file.
// `plain_keys`: maps have strings as keys.
Value to_value(const QueryResult& result, const Query& query, bool plain_keys = false);

// The pull patterns of an entity each; nil where there is nothing.
Values pull(Evaluator& evaluator, Source& source, const Value& pattern, const Values& entities);

}  // namespace datahike::datalog
