// Copying a store for another database of the same cluster.
#pragma once

#include <functional>
#include <string>

#include "store/environment.h"

namespace datahike::store {

// Makes a copy of the store in `from`, which nobody writes meanwhile, in the directory `to`, where
// there is none; it belongs to `to_identity`. Durable when it returns, and however this ends there
// is either no data file in `to` or a complete one. Calls `interrupted` now and then, which may
// throw. Errors: FormatError (the store is not `from_identity`'s), CorruptError, IoError,
// FullError. REQUIRES: the store exists. This process may have it open.
void copy_store(const std::string& from, const Identity& from_identity, const std::string& to,
                const Identity& to_identity, const std::function<void()>& interrupted);

}  // namespace datahike::store
