// The commit graph drawn in text, as git log --graph --oneline draws it. Plain C++.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/commit.h"

namespace datahike::versioning {

// Takes commits one by one, each before its parents, and reports lines. Each column is a line of
// commits: the next commit to come there.
class GraphPainter {
 public:
  explicit GraphPainter(std::function<void(const std::string&)> report);
  // `text` stands beside the commit's mark.
  void draw(const store::Commit& commit, const std::string& text);

 private:
  size_t column_of(const store::Uuid& id);
  void join(size_t into, size_t from);
  void end(size_t column);
  void fork(size_t column, const store::Uuid& parent);
  std::string bars(size_t columns) const;  // of the first ones
  void emit(std::string line);

  std::function<void(const std::string&)> report_;
  std::vector<store::Uuid> columns_;
};

}  // namespace datahike::versioning
