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
  // For the memory context and the resource owner that were current when this was made.
  std::unique_ptr<datalog::TemporaryFile> make_file() override;

 private:
  MemoryContext memory_ = CurrentMemoryContext;
  ResourceOwner owner_ = CurrentResourceOwner;
};

}  // namespace datahike::query
