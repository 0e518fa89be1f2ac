// Commit records and their hash chain. The byte format is the grammar at the head of commit.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/delta.h"
#include "store/environment.h"
#include "tree/node.h"

namespace datahike::store {

// Times are microseconds since 2000-01-01 00:00 UTC, PostgreSQL's timestamptz.
struct Commit {
  Uuid id{};
  std::vector<Uuid>
      parents;       // the first is the branch's previous commit; empty for the root commit
  uint64_t tx = 0;   // strictly increasing within a store; the root commit has 1
  int64_t time = 0;  // strictly increasing along first parents
  std::string author;
  std::string message;
  uint32_t branch = 0;       // id of the branch it was made on
  uint64_t xid = 0;          // PostgreSQL's 64-bit transaction id; 0 for the root commit
  Delta delta;               // against the first parent, without places
  tree::Hash rows_digest{};  // SHA-256 over the canonical form of the rows added, table by table
  bool keyframe = false;     // `root` is this commit's version tree
  tree::NodeRef root;        // empty ref: no table has ever had a row
  tree::Hash hash{};         // covers all of the above but keyframe and root, and parents' ids
};

// Fills id and hash from the other fields: hash = SHA-256 over the hashed part of the record, id =
// its first 16 bytes as an RFC 9562 version 8 UUID.
void seal(Commit& commit);
Bytes encode_commit(const Commit& commit);
Commit decode_commit(ByteView record,
                     const Uuid& id);  // CorruptError naming the id, also if hash differs

// The first commit of every store: empty, no parents.
Commit root_commit(int64_t created_at);

std::string format_uuid(const Uuid& id);
// 8-4-4-4-12 hex digits in either case, with or without hyphens; nullopt if malformed.
std::optional<Uuid> parse_uuid(std::string_view text);

}  // namespace datahike::store
