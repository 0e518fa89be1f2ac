#include "datalog/sql/temporary_file.h"

#include <set>

#include "pg/bridge.h"

extern "C" {
#include "commands/tablespace.h"
#include "storage/buffile.h"
}

namespace datahike::query {

namespace {

class File;
// Those whose resource owner has not been released. The others PostgreSQL has closed.
std::set<std::pair<ResourceOwner, File*>> open_files;

class File : public datalog::TemporaryFile {
 public:
  File(MemoryContext memory, ResourceOwner owner) : memory_(memory), owner_(owner) {}
  ~File() override {
    if (!file_ || open_files.erase({owner_, this}) == 0) return;
    BufFile* file = file_;
    try {
      // Writes what waits, which may fail. Nobody wants it: the owner closes the file then.
      in_place([=] { BufFileClose(file); });
    } catch (const pg::PgError&) {
    }
  }

  void append(std::string_view bytes) override {
    if (!file_) {
      file_ = in_place([] {
        PrepareTempTablespaces();
        return BufFileCreateTemp(false);
      });
      open_files.insert({owner_, this});
    }
    BufFile* file = usable();
    const uint64_t at = size_;
    in_place([=] {
      seek(file, at);
      BufFileWrite(file, const_cast<char*>(bytes.data()), bytes.size());
    });
    size_ += bytes.size();
  }

  void read(uint64_t at, char* out, size_t count) override {
    BufFile* file = usable();
    in_place([=] {
      seek(file, at);
      if (BufFileRead(file, out, count) != count)
        ereport(ERROR, (errcode_for_file_access(),
                        errmsg("could not read a temporary file of a query: read too little")));
    });
  }

 private:
  static void seek(BufFile* file, uint64_t at) {
    int number;
    off_t offset;
    BufFileTell(file, &number, &offset);
    constexpr uint64_t kSegment = 0x40000000;  // of buffile.c
    if (number * kSegment + static_cast<uint64_t>(offset) == at) return;
    if (BufFileSeek(file, 0, static_cast<off_t>(at), SEEK_SET) != 0)
      ereport(ERROR,
              (errcode_for_file_access(), errmsg("could not seek in a temporary file of a query")));
  }
  BufFile* usable() const {
    if (!open_files.count({owner_, const_cast<File*>(this)}))
      throw Error("a temporary file of a query has been closed");
    return file_;
  }
  template <class F>
  auto in_place(F&& body) -> decltype(body()) {
    const MemoryContext memory = memory_;
    const ResourceOwner owner = owner_;
    struct Restore {
      MemoryContext memory = CurrentMemoryContext;
      ResourceOwner owner = CurrentResourceOwner;
      ~Restore() {
        MemoryContextSwitchTo(memory);
        CurrentResourceOwner = owner;
      }
    } restore;
    MemoryContextSwitchTo(memory);
    CurrentResourceOwner = owner;
    return pg::call(body);
  }

  MemoryContext memory_;
  ResourceOwner owner_;
  BufFile* file_ = nullptr;
};

void on_release(ResourceReleasePhase phase, bool, bool, void*) {
  if (phase != RESOURCE_RELEASE_BEFORE_LOCKS) return;
  const auto first = open_files.lower_bound({CurrentResourceOwner, nullptr});
  auto last = first;
  while (last != open_files.end() && last->first == CurrentResourceOwner) ++last;
  open_files.erase(first, last);
}

}  // namespace

std::unique_ptr<datalog::TemporaryFile> make_temporary_file(MemoryContext memory,
                                                            ResourceOwner owner) {
  return std::make_unique<File>(memory, owner);
}

void install_temporary_files() { RegisterResourceReleaseCallback(on_release, nullptr); }

}  // namespace datahike::query
