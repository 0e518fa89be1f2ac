#include "versioning/graph.h"

#include <algorithm>

namespace datahike::versioning {

GraphPainter::GraphPainter(std::function<void(const std::string&)> report)
    : report_(std::move(report)) {}

void GraphPainter::emit(std::string line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
  report_(line);
}

// Column k is drawn at 2k, what leads from column to column between them.
std::string GraphPainter::bars(size_t columns) const {
  std::string line(2 * columns_.size() + 2, ' ');
  for (size_t k = 0; k < columns; ++k) line[2 * k] = '|';
  return line;
}

size_t GraphPainter::column_of(const store::Uuid& id) {
  auto at = std::find(columns_.begin(), columns_.end(), id);
  if (at == columns_.end()) at = columns_.insert(at, id);
  return static_cast<size_t>(at - columns_.begin());
}

// A column whose next commit is that of another, farther left, runs into it; those behind move up.
void GraphPainter::join(size_t into, size_t from) {
  std::string line = bars(from);
  for (size_t k = into; k + 1 < from; ++k) line[2 * k + 1] = '_';
  for (size_t k = from; k < columns_.size(); ++k) line[2 * k - 1] = '/';
  emit(line);
  columns_.erase(columns_.begin() + static_cast<ptrdiff_t>(from));
}

void GraphPainter::end(size_t column) {
  std::string line = bars(column);
  for (size_t k = column + 1; k < columns_.size(); ++k) line[2 * k - 1] = '/';
  if (column + 1 < columns_.size()) emit(line);
  columns_.erase(columns_.begin() + static_cast<ptrdiff_t>(column));
}

// A new column right of this one; those behind make room.
void GraphPainter::fork(size_t column, const store::Uuid& parent) {
  std::string line = bars(column + 1);
  for (size_t k = column; k < columns_.size(); ++k) line[2 * k + 1] = '\\';
  emit(line);
  columns_.insert(columns_.begin() + static_cast<ptrdiff_t>(column) + 1, parent);
}

void GraphPainter::draw(const store::Commit& commit, const std::string& text) {
  const size_t column = column_of(commit.id);
  for (size_t other = column + 1; other < columns_.size();)
    if (columns_[other] == commit.id)
      join(column, other);
    else
      ++other;
  std::string line = bars(columns_.size());
  line[2 * column] = '*';
  line.resize(2 * columns_.size());
  const auto& parents = commit.parents;
  if (parents.size() > 1) line += std::string(2 * (parents.size() - 1), ' ');
  emit(line + text);
  if (parents.empty()) return end(column);
  columns_[column] = parents[0];
  for (size_t n = 1; n < parents.size(); ++n) fork(column + n - 1, parents[n]);
}

}  // namespace datahike::versioning
