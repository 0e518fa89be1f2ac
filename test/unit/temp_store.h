// A directory for a store of at most a few megabytes, removed at the end of the test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "store/environment.h"

namespace datahike::test {

class TempStore {
 public:
  TempStore() {
    std::string pattern = std::filesystem::temp_directory_path() / "datahike-test-XXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~TempStore() { std::filesystem::remove_all(root_); }
  TempStore(const TempStore&) = delete;
  TempStore& operator=(const TempStore&) = delete;

  std::string directory() const { return root_ / "base" / "store"; }
  std::string data_file() const { return directory() + "/data.mdb"; }

  store::Options options(bool read_only) const {
    store::Options options;
    options.read_only = read_only;
    options.map_size = map_size;
    options.max_readers = 16;
    options.identity = {42, 7};
    return options;
  }
  std::unique_ptr<store::Environment> writer() const {
    return store::Environment::open(directory(), options(false));
  }
  std::unique_ptr<store::Environment> reader() const {
    return store::Environment::open(directory(), options(true));
  }

  size_t map_size = 64 << 20;

 private:
  std::filesystem::path root_;
};

}  // namespace datahike::test
