// Temporary files of queries: PostgreSQL's, in temp_tablespaces, counted by temp_file_limit and
// gone with the resource owner that they were made for, whatever ends it.
#pragma once

#include <memory>
#include <string_view>

#include "pg/pg.h"

extern "C" {
#include "storage/buffile.h"
#include "utils/resowner.h"
}

namespace datahike::pg {

// In the memory context and for the resource owner that are given. Its methods throw what
// PostgreSQL raises where the disk or temp_file_limit (53400) ends.
class TemporaryFile {
 public:
  TemporaryFile(MemoryContext memory, ResourceOwner owner) : memory_(memory), owner_(owner) {}
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  void append(std::string_view bytes);
  void read(uint64_t at, char* out, size_t count);  // REQUIRES: it has been written
  uint64_t size() const { return size_; }

 private:
  BufFile* usable() const;
  template <class F>
  auto in_place(F&& body) -> decltype(body());

  MemoryContext memory_;
  ResourceOwner owner_;
  BufFile* file_ = nullptr;
  uint64_t size_ = 0;
};

void install_temporary_files();

}  // namespace datahike::pg
