#include "datalog/row_set.h"

#include <algorithm>
#include <optional>

namespace datahike::datalog {

namespace {

constexpr unsigned kPartBits = 4, kParts = 1 << kPartBits;
// How often rows are dealt again: by their key, and by all columns, where what is left are rows
// that are equal.
constexpr unsigned kMostByKey = 6, kMostLevels = 14;
constexpr size_t kFewKeys = 4, kLeastLookedAt = 16;  // of a block's rows

// Those of a query's memory that the rows may have which are collected here, and those that wait to
// be written.
constexpr size_t kHeldShare = 4, kPendingShare = 8;
constexpr size_t kText = 4;  // times what a value takes in a column, with its text

unsigned part_of(const Columns& columns, const std::vector<size_t>& by, size_t row,
                 unsigned level) {
  uint64_t hash = level;
  for (size_t c : by) hash = edn::mix(hash * 31 + columns[c].hash(row));
  return static_cast<unsigned>(hash >> (64 - kPartBits));
}

Relation relation_of(Budget& budget, const std::vector<Var>& vars, Columns columns) {
  Relation rows(budget);
  rows.rows = columns.empty() ? 0 : columns[0].size();
  for (size_t i = 0; i < vars.size(); ++i) rows.add_column(vars[i], std::move(columns[i]));
  return rows;
}

// Whether the rows of a block have few different keys: then dealing them by these does not help.
bool has_few_keys_in(const Relation& rows, const std::vector<size_t>& key) {
  std::vector<uint64_t> hashes;
  for (size_t row = 0; row < rows.rows; ++row) {
    uint64_t hash = 0;
    for (size_t c : key) hash = edn::mix(hash * 31 + rows.columns[c].hash(row));
    hashes.push_back(hash);
  }
  std::sort(hashes.begin(), hashes.end());
  return std::unique(hashes.begin(), hashes.end()) - hashes.begin() <=
         static_cast<ptrdiff_t>(kFewKeys);
}

}  // namespace

RowSet::RowSet(Budget& budget, FileMaker& files, std::vector<Var> vars, const std::vector<Var>& key)
    : budget_(budget),
      files_(files),
      vars_(std::move(vars)),
      all_(all_columns(vars_.size())),
      held_(budget, vars_),
      index_(all_, budget) {
  for (Var v : key) key_.push_back(held_.index_of(v));
}

void RowSet::add(const Relation& rows) {
  if (!is_in_files()) {
    try {
      add_distinct(held_, index_, rows);
      size_t bytes = index_.bytes();
      for (const Column& c : held_.columns) bytes += c.bytes();
      // Texts are not in the columns.
      if (bytes > budget_.limit() / kHeldShare || !budget_.has_room(budget_.limit() / 2))
        move_to_files();
      return;
    } catch (const OutOfMemory&) {
      move_to_files();
    }
  }
  deal(rows, key_.empty() ? all_ : key_, 0, parts_);
}

void RowSet::add_all(Relation rows) {
  rows = std::move(rows).take(vars_);
  if (is_distinct(rows)) {
    held_ = std::move(rows);
    return;
  }
  try {
    add_distinct(held_, index_, rows);
  } catch (const OutOfMemory&) {
    move_to_files();
    deal(rows, key_.empty() ? all_ : key_, 0, parts_);
  }
}

Relation RowSet::take() {
  index_ = HashIndex(all_);
  return std::move(held_);
}

void RowSet::move_to_files() {
  if (is_in_files()) return;
  index_ = HashIndex(all_);
  parts_ = make_parts();
  deal(held_, key_.empty() ? all_ : key_, 0, parts_);
  held_ = Relation(budget_, vars_);
}

RowSet::Parts RowSet::make_parts() {
  std::shared_ptr<TemporaryFile> file = files_.make_file();
  const size_t rows = rows_of_block(budget_.limit() / kPendingShare / kParts / kText, all_.size());
  return Parts(kParts, RowFile(file, all_.size(), rows, false));
}

void RowSet::deal(const Relation& rows, const std::vector<size_t>& by, unsigned level,
                  Parts& parts) {
  // A few at a time, in the order of the set's columns: there may be no room for all of them again.
  constexpr size_t kAtOnce = 256;
  for (size_t from = 0; from < rows.rows; from += kAtOnce) {
    budget_.poll();
    const size_t count = std::min(kAtOnce, rows.rows - from);
    Columns some(vars_.size());
    for (size_t i = 0; i < some.size(); ++i)
      some[i].append(rows.columns[rows.index_of(vars_[i])], from, from + count);
    for (size_t row = 0; row < count; ++row)
      parts[part_of(some, by, row, level)].append_row(some, row);
    // Text that waits holds memory, too.
    if (!budget_.has_room(budget_.limit() / 2))
      for (RowFile& part : parts) part.flush();
  }
}

RowSet::Parts RowSet::deal_again(RowFile& part, const std::vector<size_t>& by, unsigned level) {
  Parts parts = make_parts();
  for (uint64_t at = part.last_block(); at != RowFile::kNone;)
    deal(relation_of(budget_, vars_, part.read(at, &at)), by, level, parts);
  for (RowFile& p : parts) p.flush();
  return parts;
}

Relation RowSet::load(RowFile& part, bool* has_few_keys) {
  Relation all(budget_, vars_);
  HashIndex index(all_, budget_);
  bool looked = false;
  for (uint64_t at = part.last_block(); at != RowFile::kNone;) {
    budget_.poll();
    const Relation block = relation_of(budget_, vars_, part.read(at, &at));
    // The last one written may have a few rows only.
    if (has_few_keys && !looked && block.rows >= kLeastLookedAt) {
      *has_few_keys = has_few_keys_in(block, key_);
      looked = true;
    }
    add_distinct(all, index, block);
  }
  return all;
}

void RowSet::read(Reader& reader) {
  for (RowFile& part : parts_) part.flush();
  Parts parts = std::move(parts_);
  parts_.clear();
  if (key_.empty()) {
    for (RowFile& part : parts) read_some(std::move(part), 1, reader);
    reader.end();
    return;
  }
  for (RowFile& part : parts) read_part(std::move(part), 1, reader);
}

void RowSet::read_part(RowFile part, unsigned level, Reader& reader) {
  if (part.rows() == 0) return;
  bool has_few_keys = false;
  try {
    reader.whole(load(part, &has_few_keys));
    return;
  } catch (const OutOfMemory&) {
    if (level >= kMostLevels) throw;
  }
  const bool by_key = key_.size() == all_.size() || (!has_few_keys && level < kMostByKey);
  Parts parts = deal_again(part, by_key ? key_ : all_, level);
  for (RowFile& p : parts)
    by_key ? read_part(std::move(p), level + 1, reader)
           : read_some(std::move(p), level + 1, reader);
  if (!by_key) reader.end();
}

void RowSet::read_some(RowFile part, unsigned level, Reader& reader) {
  if (part.rows() == 0) return;
  std::optional<Relation> rows;
  try {
    rows = load(part, nullptr);
  } catch (const OutOfMemory&) {
    if (level >= kMostLevels) throw;
  }
  if (rows) return reader.some(*rows);
  Parts parts = deal_again(part, all_, level);
  for (RowFile& p : parts) read_some(std::move(p), level + 1, reader);
}

}  // namespace datahike::datalog
