// How a store comes into being.
#pragma once

#include <string>

#include "store/environment.h"
#include "store/lmdb.h"
#include "store/maps.h"

namespace datahike::store {

// Whether there is a data file with anything in it.
bool store_exists(const std::string& directory);

// Creates the directory and an empty store in it, unless there is one. However this ends, there is
// either no data file or a complete one.
void create_store(const std::string& directory, const Identity& identity);

// Makes the directory and those above it that are missing.
void make_directory(const std::string& path);
std::string parent_of(const std::string& path);
// Makes the names in a directory durable.
void sync_directory(const std::string& path);

// Makes the maps that are missing; writes format version and identity unless they are there.
Maps initialise(const Lmdb& lmdb, const Identity& identity);

Bytes encode_identity(const Identity& identity);

}  // namespace datahike::store
