// The aggregates of :find, over rows in memory or in files.
#pragma once

#include "datalog/query.h"
#include "datalog/row_set.h"

namespace datahike::datalog {

// The variables by which rows are grouped.
std::vector<Var> group_vars(const Query& query);

// A row for each group, whose variables 0, 1, ... are the elements of :find.
Relation aggregate_groups(const Query& query, const Relation& rows);

// The same of rows that come in parts, into a file.
class GroupReader : public RowSet::Reader {
 public:
  GroupReader(Budget& budget, const Query& query, RowFile& out);
  ~GroupReader() override;
  void whole(const Relation& rows) override;
  void some(const Relation& rows) override;
  void end() override;

 private:
  struct Fold;
  struct Group {
    Values by;
    std::vector<Fold> folds;
  };
  Group& group_of(const Relation& rows, uint32_t row);
  Budget& budget_;
  const Query& query_;
  RowFile& out_;
  std::vector<Var> by_;
  std::map<Values, Group> groups_;
};

}  // namespace datahike::datalog
