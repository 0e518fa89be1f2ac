// The build side of a join: all rows that its plan returns, read once. Where they need more memory
// than they may they go to a temporary file, and the query reads its table once for each of several
// parts of them, by the hashes of their keys.
#pragma once

#include "exec/aggregate.h"
#include "pg/temporary_file.h"

namespace datahike::exec {

class BuildSide {
 public:
  // `columns`: build_code() of what the plan returns. The memory context and resource owner that
  // are current are those of the file.
  BuildSide(PlanState* child, const Compiler& compiler, const List* columns);
  unsigned parts() const { return parts_; }
  // The rows of a part.
  std::shared_ptr<const vector::BuildTable> part(unsigned number);

 private:
  void write(const vector::BuildTable& rows);
  void flush();
  uint64_t hash_of(const vector::BuildTable& rows, size_t row) const;

  std::vector<vector::Type> types_;
  std::vector<int> keys_;
  unsigned parts_ = 1;
  std::shared_ptr<const vector::BuildTable> whole_;  // where there is one part
  // Else, of each row whose key has no NULL: its hash, and of each column a Tag and its value.
  std::unique_ptr<pg::TemporaryFile> file_;
  std::string waiting_;  // to be written
};

}  // namespace datahike::exec
