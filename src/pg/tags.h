// The heap table datahike.tag: names of commits that never move.
#pragma once

#include "pg/pg.h"
#include "store/environment.h"

namespace datahike::pg {

struct Tag {
  std::string name;
  store::Uuid commit{};
  uint64_t tx = 0;
  int64_t created_at = 0;
  Oid owner = InvalidOid;
};
std::optional<Tag> find_tag(const char* name);
std::vector<Tag> all_tags();      // by name
void insert_tag(const Tag& tag);  // PgError 23505 where the name is taken
void delete_tag(const char* name);

}  // namespace datahike::pg
