#include "pg/store.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/settings.h"

namespace datahike::pg {

namespace {

// Never closed, not even at exit: closing unmaps LMDB's locks, and a process that may end anywhere
// would leave those it holds locked for good. What it keeps until it is gone, the kernel and the
// next check_readers() give back.
store::Environment* environment = nullptr;

constexpr const char* kInstallation = "installation";

store::Options options(bool read_only) {
  store::Options o;
  o.read_only = read_only;
  if (setting_map_size > 0) o.map_size = static_cast<size_t>(setting_map_size) << 20;
  o.max_readers = static_cast<unsigned>(MaxBackends) + 64;
  o.identity = store_identity();
  return o;
}

// PostgreSQL counts the files that a process has open. LMDB keeps two, and the process keeps them.
void open_environment(bool read_only) {
  if (environment) return;
  environment =
      store::Environment::open(store_directory(MyDatabaseId), options(read_only)).release();
  if (!environment) return;
  ReserveExternalFD();
  ReserveExternalFD();
}

bool open_for_reading() {
  open_environment(true);
  return environment != nullptr;
}

}  // namespace

std::string store_directory(Oid database) {
  return std::string(DataDir) + "/datahike/" + std::to_string(database);
}

store::Identity store_identity() { return {GetSystemIdentifier(), MyDatabaseId}; }

// The store of an earlier installation of the extension is not ours until the worker has adopted
// it. What was found holds until the branches change.
store::Environment* try_store() {
  static uint64_t checked = 0;
  uint64_t generation = extension_generation();
  if (environment && checked == generation) return environment;  // asked for each row
  if (!open_for_reading()) return nullptr;
  if (checked == generation) return environment;
  int64_t branch = call([] { return extension_installed() ? find_branch(kDefaultBranch) : -1; });
  bool ours = serves_installation(*environment, branch);
  if (!ours) {
    environment->refresh();
    ours = serves_installation(*environment, branch);
  }
  if (!ours) return nullptr;
  checked = generation;
  return environment;
}

bool serves_installation(store::Environment& store, int64_t default_branch) {
  std::optional<Bytes> stored = store.meta(kInstallation);
  return stored && ByteReader(*stored, "meta installation").fixed<int64_t>() == default_branch;
}

void adopt_for_installation(store::WriteBatch& batch, int64_t default_branch) {
  Bytes value;
  ByteWriter(value).fixed<int64_t>(default_branch);
  batch.put_meta(kInstallation, value);
}

uint64_t next_tx_of_any_store() {
  if (!open_for_reading()) return 0;
  environment->refresh();
  std::optional<Bytes> next = environment->meta("next_tx");
  return next ? ByteReader(*next, "meta next_tx").fixed<uint64_t>() : 0;
}

store::Environment& open_store() {
  if (store::Environment* env = try_store()) return *env;
  throw CorruptError("the store " + store_directory(MyDatabaseId) +
                     " is missing, but this database has commits in it");
}

store::Environment& open_store_for_writing() {
  open_environment(false);
  return *environment;
}

bool store_works() noexcept {
  if (!environment) return true;
  try {
    environment->refresh();
    environment->release();
    return true;
  } catch (...) {
    return false;
  }
}

void release_store() {
  if (environment && environment->reading()) environment->release();
}

}  // namespace datahike::pg
