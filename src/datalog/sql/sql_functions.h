// SQL functions that queries call by name: IMMUTABLE ones, with the caller's privileges.
#pragma once

#include "datalog/evaluator.h"
#include "pg/pg.h"

namespace datahike::query {

class SqlFunctions : public datalog::Host {
 public:
  std::optional<datalog::Column> call(const std::string& name,
                                      const std::vector<datalog::Argument>& arguments,
                                      size_t rows) override;
};

}  // namespace datahike::query
