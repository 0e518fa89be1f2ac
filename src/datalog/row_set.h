// The distinct rows that a query finds, whether they fit into its memory or not: what does not is
// dealt to parts in a temporary file by the hash of its values, and each part is made distinct in
// memory, or dealt again.
#pragma once

#include "datalog/row_file.h"

namespace datahike::datalog {

// Where temporary files come from.
class FileMaker {
 public:
  virtual ~FileMaker() = default;
  virtual std::unique_ptr<TemporaryFile> make_file() = 0;
};

class RowSet {
 public:
  // Rows with the same values of `key` are shown together, as far as they fit.
  RowSet(Budget& budget, FileMaker& files, std::vector<Var> vars, const std::vector<Var>& key);
  void add(const Relation& rows);  // of the same variables, in whatever order
  // Instead of add(), all there will be; they may take all memory that there is.
  void add_all(Relation rows);
  bool is_in_files() const { return !parts_.empty(); }
  Relation take();  // REQUIRES: !is_in_files()
  void move_to_files();

  class Reader {
   public:
    virtual ~Reader() = default;
    // All rows of some keys. Where it throws OutOfMemory it has done nothing.
    virtual void whole(const Relation& rows) = 0;
    // Some rows of the keys that are read until end().
    virtual void some(const Relation& rows) = 0;
    virtual void end() = 0;
  };
  // Shows each row once, and forgets it. REQUIRES: is_in_files().
  void read(Reader& reader);

 private:
  using Parts = std::vector<RowFile>;
  Parts make_parts();
  void deal(const Relation& rows, const std::vector<size_t>& by, unsigned level, Parts& parts);
  Parts deal_again(RowFile& part, const std::vector<size_t>& by, unsigned level);
  // The distinct rows of a part; OutOfMemory.
  Relation load(RowFile& part, bool* has_few_keys);
  void read_part(RowFile part, unsigned level, Reader& reader);
  void read_some(RowFile part, unsigned level, Reader& reader);

  Budget& budget_;
  FileMaker& files_;
  std::vector<Var> vars_;
  std::vector<size_t> key_, all_;
  Relation held_;  // until there are parts
  HashIndex index_;
  Parts parts_;
};

}  // namespace datahike::datalog
