#include "pg/temporary_file.h"

#include <set>

#include "pg/bridge.h"

extern "C" {
#include "commands/tablespace.h"
}

namespace datahike::pg {

namespace {

// Those whose resource owner has not been released. The others PostgreSQL has closed.
std::set<std::pair<ResourceOwner, const TemporaryFile*>> open_files;

void on_release(ResourceReleasePhase phase, bool, bool, void*) {
  if (phase != RESOURCE_RELEASE_BEFORE_LOCKS) return;
  const auto first = open_files.lower_bound({CurrentResourceOwner, nullptr});
  auto last = first;
  while (last != open_files.end() && last->first == CurrentResourceOwner) ++last;
  open_files.erase(first, last);
}

void seek(BufFile* file, uint64_t at) {
  int number;
  off_t offset;
  BufFileTell(file, &number, &offset);
  constexpr uint64_t kSegment = 0x40000000;  // of buffile.c
  if (number * kSegment + static_cast<uint64_t>(offset) == at) return;
  if (BufFileSeek(file, 0, static_cast<off_t>(at), SEEK_SET) != 0)
    ereport(ERROR,
            (errcode_for_file_access(), errmsg("could not seek in a temporary file of a query")));
}

}  // namespace

template <class F>
auto TemporaryFile::in_place(F&& body) -> decltype(body()) {
  struct Restore {
    MemoryContext memory = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    ~Restore() {
      MemoryContextSwitchTo(memory);
      CurrentResourceOwner = owner;
    }
  } restore;
  MemoryContextSwitchTo(memory_);
  CurrentResourceOwner = owner_;
  return call(body);
}

TemporaryFile::~TemporaryFile() {
  if (!file_ || open_files.erase({owner_, this}) == 0) return;
  BufFile* file = file_;
  try {
    // Writes what waits, which may fail. Nobody wants it: the owner closes the file then.
    in_place([=] { BufFileClose(file); });
  } catch (const PgError&) {
  }
}

void TemporaryFile::append(std::string_view bytes) {
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

void TemporaryFile::read(uint64_t at, char* out, size_t count) {
  BufFile* file = usable();
  in_place([=] {
    seek(file, at);
    if (BufFileRead(file, out, count) != count)
      ereport(ERROR, (errcode_for_file_access(),
                      errmsg("could not read a temporary file of a query: read too little")));
  });
}

BufFile* TemporaryFile::usable() const {
  if (!open_files.count({owner_, this})) throw Error("a temporary file of a query has been closed");
  return file_;
}

void install_temporary_files() { RegisterResourceReleaseCallback(on_release, nullptr); }

}  // namespace datahike::pg
