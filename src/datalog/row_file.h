// Rows in a temporary file: what a query's memory has no room for.
//
//   block  := u64 offset of the block before it (2^64-1: none) . u32 rows . u32 bytes . column...
//   column := 0 . i64...        longs, one for each row
//           | 1 . value...      other values
//   value  := u8 kind . payload
//   payload: nothing for nil; u8 for booleans; u32 for characters; 8 bytes for longs, doubles and
//     instants; u32 length . bytes for what is text (edn.h: Value::text()); u32 count . value...
//     for collections, keys before values; a tag's text, then its value.
//
// Numbers are the machine's own: the file does not outlive the query.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "datalog/relation.h"

namespace datahike::datalog {

// Bytes that the surroundings of a query keep for it, as long as this lives.
class TemporaryFile {
 public:
  virtual ~TemporaryFile() = default;
  virtual void append(std::string_view bytes) = 0;
  virtual void read(uint64_t at, char* out, size_t count) = 0;  // REQUIRES: it has been written
  uint64_t size() const { return size_; }

 protected:
  uint64_t size_ = 0;
};

using Columns = std::vector<Column>;

// Blocks of rows in a file, which may have those of others, too. Order is kept.
class RowFile {
 public:
  // `numbered`: blocks can be read by number, for which 8 bytes each are kept.
  RowFile(std::shared_ptr<TemporaryFile> file, size_t columns, size_t rows_of_block, bool numbered)
      : file_(std::move(file)), pending_(columns), block_(rows_of_block), numbered_(numbered) {}

  // Rows [from, to) of the columns. What is no whole block yet stays in memory until flush().
  void append(std::span<const Column> columns, size_t from, size_t to);
  void append_row(std::span<const Column> columns, size_t row);
  void flush();

  size_t columns() const { return pending_.size(); }
  size_t rows() const { return rows_; }
  size_t pending_rows() const { return pending_rows_; }
  size_t rows_of_block() const { return block_; }
  uint64_t file_bytes() const { return file_->size(); }

  // Of all that has been flushed.
  static constexpr uint64_t kNone = UINT64_MAX;
  uint64_t last_block() const { return last_; }
  // The block there, and where the one before it is.
  Columns read(uint64_t block, uint64_t* before);
  // REQUIRES: numbered. The last block alone may have fewer rows than rows_of_block(), where
  // flush() has been called once, at the end.
  size_t blocks() const { return offsets_.size(); }
  Columns read_number(size_t number) {
    uint64_t before;
    return read(offsets_[number], &before);
  }

 private:
  std::shared_ptr<TemporaryFile> file_;
  Columns pending_;
  size_t pending_rows_ = 0, rows_ = 0, block_;
  uint64_t last_ = kNone;
  bool numbered_;
  std::vector<uint64_t> offsets_;
};

// How many rows a block has, where `bytes` are there for it.
size_t rows_of_block(size_t bytes, size_t columns);

}  // namespace datahike::datalog
