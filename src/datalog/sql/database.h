// Database values: what datahike.db() and its kin make, and reading under one.
#pragma once

#include <memory>

#include "datalog/source.h"
#include "pg/pg.h"

namespace datahike::query {

// Fields of type datahike.db; empty: not given. Without a revision the session's settings count,
// and what is given narrows them. With a foreign server it is another store's (foreign_source.h).
struct DatabaseValue {
  std::string revision, as_of, since;
  bool history = false;
  std::string server;
};

// Settings of the session, as they are to be while a query is started, so that it reads a database
// value: a query keeps the view that it was started with.
class ReadUnder {
 public:
  explicit ReadUnder(const DatabaseValue& database);
  ReadUnder(const ReadUnder&) = delete;
  ~ReadUnder();  // as they were

 private:
  int level_ = 0;
};

// Tables and facts of a database value.
std::shared_ptr<datalog::Source> open_database(const DatabaseValue& database);

}  // namespace datahike::query
