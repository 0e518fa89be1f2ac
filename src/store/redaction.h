// Redaction: what purge() erases from every commit, and how that can be told from damage. The
// grammar of the entries in map meta is at the head of redaction.cpp.
//
// Erased row versions leave the segments; commit records, deltas, live sets and lineage stay as
// they are, so commit ids stay what they were. Who reads a live set leaves out the rowids of
// redacted_rows(). A record says what was erased, and of each commit that had added some of it the
// digest of its rows before and after: verification recomputes the latter.
//
// What the record proves: that the rest of a commit's rows is what it was when they were erased.
// Before that they were compared with the digest that the commit's id covers. Afterwards the id
// cannot vouch for them alone, for it covers rows that nobody has any more: who can write to the
// store's file can write a record too, as he can write another commit. Records are chained by their
// hashes, so the newest one's hash, kept elsewhere, shows that none was added or changed before it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/delta.h"
#include "store/environment.h"
#include "tree/rowid_set.h"

namespace datahike::store {

// A commit that had added some of the erased row versions.
struct RedactedCommit {
  Uuid commit{};
  uint64_t rows = 0;             // row versions erased of it
  tree::Hash before{}, after{};  // digests of the rows it added, without those erased so far
};

// What one purge() erased of one table.
struct Redaction {
  uint64_t number = 0;  // from 1 on
  Uuid request{};       // chosen by who asked for it
  int64_t time = 0;
  std::string who;  // a role's name
  std::string table_name;
  uint64_t table = 0;
  uint64_t entities = 0;  // rows, each of which may have had several versions
  tree::RowidSet rows;
  std::vector<RedactedCommit> commits;
  tree::Hash previous{};  // hash of the record before; all zero in the first
  tree::Hash hash{};      // covers all of the above
};

// Without number and hashes: how a purge is handed to the one who writes.
Bytes encode_request(const std::vector<Redaction>& redactions);
std::vector<Redaction> decode_request(ByteView bytes);  // CorruptError

// Every rowid that has been erased; nullopt: none has. CorruptError.
std::optional<tree::RowidSet> redacted_rows(Environment& env);
// All records, by number. CorruptError where one is damaged, missing or not the successor of the
// one before it.
std::vector<Redaction> read_redactions(Environment& env);
uint64_t count_rowids(const tree::RowidSet& rows);

// The newest digest of each commit that has been redacted.
class RedactedDigests {
 public:
  explicit RedactedDigests(const std::vector<Redaction>& redactions);
  // The digest that the rows of a commit must have; `recorded` is that of the commit itself.
  // CorruptError where the records contradict it or each other.
  const tree::Hash& expected(const Uuid& commit, const tree::Hash& recorded) const;
  // The records that concern the commit, oldest first; nullptr: none does.
  const std::vector<const Redaction*>* of(const Uuid& commit) const;

 private:
  struct Known {
    std::vector<const RedactedCommit*> steps;
    std::vector<const Redaction*> redactions;
  };
  std::unordered_map<Uuid, Known, HashUuid> known_;
};

// Digests rows as commits do, leaving out some.
class RemainingRows {
 public:
  explicit RemainingRows(Environment& env, const std::function<void()>& pause)
      : env_(env), pause_(pause) {}
  // Digest of the rows that the delta adds without those in any of `without`. CorruptError naming
  // one that is missing.
  tree::Hash digest(const Delta& delta, const std::vector<const tree::RowidSet*>& without);

 private:
  Environment& env_;
  const std::function<void()>& pause_;
};

// Fills in `commits`: goes through all commits of the store. Their rows must be what they were
// made with, or left with by redactions before; CorruptError otherwise: damage is not covered up.
void find_redacted_commits(Environment& env, std::vector<Redaction>& redactions,
                           const std::function<void()>& pause);

// Writes the records. From when the batch is durable on the rows count as erased, and `eraser.h`
// has to take them out of the segments.
void put_redactions(Environment& env, WriteBatch& batch, std::vector<Redaction> redactions);
bool has_redaction(Environment& env, const Uuid& request);

// The record from which on rows may still be in segments; nullopt: all are gone.
std::optional<uint64_t> first_unerased(Environment& env);
void put_first_unerased(WriteBatch& batch, std::optional<uint64_t> number);

}  // namespace datahike::store
