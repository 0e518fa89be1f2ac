#include "pg/store.h"

#include "pg/bridge.h"
#include "pg/settings.h"

namespace datahike::pg {

namespace {

std::unique_ptr<store::Environment> environment;

store::Options options(bool read_only) {
  store::Options o;
  o.read_only = read_only;
  if (setting_map_size > 0) o.map_size = static_cast<size_t>(setting_map_size) << 20;
  o.max_readers = static_cast<unsigned>(MaxBackends) + 64;
  o.identity = {GetSystemIdentifier(), MyDatabaseId};
  return o;
}

}  // namespace

std::string store_directory(Oid database) {
  return std::string(DataDir) + "/datahike/" + std::to_string(database);
}

store::Environment* try_store() {
  if (!environment)
    environment = store::Environment::open(store_directory(MyDatabaseId), options(true));
  return environment.get();
}

store::Environment& open_store() {
  if (store::Environment* env = try_store()) return *env;
  throw CorruptError("the store " + store_directory(MyDatabaseId) +
                     " is missing, but this database has commits in it");
}

store::Environment& open_store_for_writing() {
  if (!environment)
    environment = store::Environment::open(store_directory(MyDatabaseId), options(false));
  return *environment;
}

void release_store() {
  if (environment && environment->reading()) environment->release();
}

}  // namespace datahike::pg
