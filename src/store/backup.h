// A backup: a store of its own with everything that one state of another has, and the names that
// its commits had in PostgreSQL.
//
//   meta "refs" := ref*
//   ref         := kind:u8 ('b' branch, 't' tag) name:sized commit:u8[16]
//
// It is written entry by entry, in key order, so it has no free pages.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/environment.h"

namespace datahike::store {

struct PublishedRef {
  char kind = 'b';
  std::string name;
  Uuid commit{};
  bool operator==(const PublishedRef&) const = default;
};

// Copies what `env` reads at present into a new store in `directory`, which must not exist yet, or
// be empty: IoError otherwise. Writers go on meanwhile. The store is there when this returns, whole
// and synced; after an error or a crash it is not, though the directory may be. `pause` is called
// often and may throw.
void backup_store(Environment& env, const std::string& directory, const Identity& identity,
                  const std::vector<PublishedRef>& refs, const std::function<void()>& pause);
// Puts the names into the store itself, for those who read it without its server: what they name
// must be in it already.
void publish_refs(WriteBatch& batch, const std::vector<PublishedRef>& refs);
bool are_published(Environment& env, const std::vector<PublishedRef>& refs);  // exactly these
// The refs of a backup, or of a store as last published; CorruptError if they are damaged. Empty
// where there are none.
std::vector<PublishedRef> read_published_refs(Environment& env);

}  // namespace datahike::store
