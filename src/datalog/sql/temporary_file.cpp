#include "datalog/sql/temporary_file.h"

#include "pg/temporary_file.h"

namespace datahike::query {

namespace {

class File : public datalog::TemporaryFile {
 public:
  File(MemoryContext memory, ResourceOwner owner) : file_(memory, owner) {}
  void append(std::string_view bytes) override {
    file_.append(bytes);
    size_ = file_.size();
  }
  void read(uint64_t at, char* out, size_t count) override { file_.read(at, out, count); }

 private:
  pg::TemporaryFile file_;
};

}  // namespace

std::unique_ptr<datalog::TemporaryFile> make_temporary_file(MemoryContext memory,
                                                            ResourceOwner owner) {
  return std::make_unique<File>(memory, owner);
}

}  // namespace datahike::query
