// Entries of map meta:
//
//   "redacted/rows"          -> rowid set       all that has been erased; grammar in tree/rowid_set
//   "redacted/record/" n     -> record hash:u8[32]    n: number:u64be
//   "redacted/unerased"      -> number:u64      of the first record whose rows may still be stored
//
//   record  := number:varint body previous:u8[32]     hash := SHA-256(record)
//   body    := request:uuid time:i64 who:sized name:sized table:varint entities:varint
//              rows:sized count:varint commit*
//   commit  := id:uuid rows:varint before:u8[32] after:u8[32]
//   request := body*                            how one is handed to the writer
//
// The predicate is not recorded: it may name what was to be erased.
#include "store/redaction.h"

#include <algorithm>

#include "store/digest.h"
#include "store/horizon.h"
#include "store/version.h"

namespace datahike::store {

namespace {

constexpr const char* kRowsKey = "redacted/rows";
constexpr const char* kUnerasedKey = "redacted/unerased";
constexpr std::string_view kRecordPrefix = "redacted/record/";

std::string record_key(uint64_t number) {
  std::string key(kRecordPrefix);
  uint8_t big_endian[8];
  put_big_endian(big_endian, number);
  key.append(reinterpret_cast<const char*>(big_endian), sizeof big_endian);
  return key;
}

template <class Array>
void read_array(ByteReader& in, Array& array) {
  std::ranges::copy(in.take(array.size()), array.begin());
}

void write_body(const Redaction& redaction, ByteWriter& out) {
  out.raw(redaction.request);
  out.fixed(redaction.time);
  out.sized(redaction.who);
  out.sized(redaction.table_name);
  out.varint(redaction.table);
  out.varint(redaction.entities);
  out.sized(tree::encode_rowid_set(redaction.rows));
  out.varint(redaction.commits.size());
  for (const RedactedCommit& commit : redaction.commits) {
    out.raw(commit.commit);
    out.varint(commit.rows);
    out.raw(commit.before);
    out.raw(commit.after);
  }
}

Redaction read_body(ByteReader& in) {
  Redaction redaction;
  read_array(in, redaction.request);
  redaction.time = in.fixed<int64_t>();
  redaction.who = in.string();
  redaction.table_name = in.string();
  redaction.table = in.varint();
  redaction.entities = in.varint();
  redaction.rows = tree::decode_rowid_set(in.sized());
  for (uint64_t left = in.varint(); left > 0; --left) {
    RedactedCommit& commit = redaction.commits.emplace_back();
    read_array(in, commit.commit);
    commit.rows = in.varint();
    read_array(in, commit.before);
    read_array(in, commit.after);
  }
  return redaction;
}

// Seals the record.
Bytes encode_record(Redaction& redaction) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.varint(redaction.number);
  write_body(redaction, out);
  out.raw(redaction.previous);
  redaction.hash = tree::sha256(bytes);
  out.raw(redaction.hash);
  return bytes;
}

Redaction decode_record(uint64_t number, ByteView bytes) {
  const std::string name = "redaction record " + std::to_string(number);
  ByteReader in(bytes, "redaction record");
  const uint64_t own = in.varint();
  Redaction redaction = read_body(in);
  redaction.number = own;
  read_array(in, redaction.previous);
  const tree::Hash hash = tree::sha256(bytes.first(in.position()));
  read_array(in, redaction.hash);
  if (in.left() > 0 || own != number || hash != redaction.hash)
    throw CorruptError(name + " is damaged");
  return redaction;
}

void add_all(tree::RowidSet& set, const tree::RowidSet& more) {
  for (const auto& [high, container] : more.containers())
    tree::any_bit(high, container.words, [&](uint64_t rowid) {
      set.add(rowid);
      return false;
    });
}

bool is_in(const std::vector<const tree::RowidSet*>& sets, uint64_t rowid) {
  return std::ranges::any_of(
      sets, [=](const tree::RowidSet* set) { return set && set->contains(rowid); });
}

// How many of the set's rowids the delta adds to the table.
uint64_t count_added(const Delta& delta, uint64_t table, const tree::RowidSet& rows) {
  uint64_t count = 0;
  for (const TableDelta& change : delta.tables) {
    if (change.table != table) continue;
    for (const tree::RowidRange& range : change.added)
      for (auto at = rows.at_or_after(range.first); at && *at - range.first < range.count;
           at = rows.at_or_after(*at + 1))
        ++count;
  }
  return count;
}

}  // namespace

Bytes encode_request(const std::vector<Redaction>& redactions) {
  Bytes bytes;
  ByteWriter out(bytes);
  for (const Redaction& redaction : redactions) write_body(redaction, out);
  return bytes;
}

std::vector<Redaction> decode_request(ByteView bytes) {
  std::vector<Redaction> redactions;
  ByteReader in(bytes, "request to erase rows");
  while (in.left() > 0) redactions.push_back(read_body(in));
  return redactions;
}

uint64_t count_rowids(const tree::RowidSet& rows) {
  uint64_t count = 0;
  for (const auto& [high, container] : rows.containers()) count += container.count;
  return count;
}

std::optional<tree::RowidSet> redacted_rows(Environment& env) {
  const std::optional<Bytes> stored = env.meta(kRowsKey);
  if (!stored) return std::nullopt;
  return tree::decode_rowid_set(*stored);
}

std::vector<Redaction> read_redactions(Environment& env) {
  std::vector<Redaction> redactions;
  tree::RowidSet all;
  for (uint64_t number = 1;; ++number) {
    const std::optional<Bytes> stored = env.meta(record_key(number));
    if (!stored) break;
    redactions.push_back(decode_record(number, *stored));
    const tree::Hash before = number > 1 ? redactions[redactions.size() - 2].hash : tree::Hash{};
    if (redactions.back().previous != before)
      throw CorruptError("redaction record " + std::to_string(number) +
                         " does not follow the one before it");
    add_all(all, redactions.back().rows);
  }
  const tree::RowidSet rows = redacted_rows(env).value_or(tree::RowidSet());
  if (tree::encode_rowid_set(rows) != tree::encode_rowid_set(all))
    throw CorruptError("the erased rows are not those of the redaction records");
  return redactions;
}

RedactedDigests::RedactedDigests(const std::vector<Redaction>& redactions) {
  for (const Redaction& redaction : redactions)
    for (const RedactedCommit& commit : redaction.commits) {
      Known& known = known_[commit.commit];
      known.steps.push_back(&commit);
      known.redactions.push_back(&redaction);
    }
}

const tree::Hash& RedactedDigests::expected(const Uuid& commit, const tree::Hash& recorded) const {
  const auto known = known_.find(commit);
  if (known == known_.end()) return recorded;
  const tree::Hash* at = &recorded;
  for (const RedactedCommit* step : known->second.steps) {
    if (step->before != *at)
      throw CorruptError("the redaction records do not begin with the rows it was made with");
    at = &step->after;
  }
  return *at;
}

const std::vector<const Redaction*>* RedactedDigests::of(const Uuid& commit) const {
  const auto known = known_.find(commit);
  return known == known_.end() ? nullptr : &known->second.redactions;
}

tree::Hash RemainingRows::digest(const Delta& delta,
                                 const std::vector<const tree::RowidSet*>& without) {
  Sha256 sha;
  Bytes buffer;
  for (const TableDelta& table : delta.tables)
    for (const tree::RowidRange& range : table.added)
      for (uint64_t at = range.first, end = at + range.count; at < end;) {
        if (is_in(without, at)) {
          ++at;
          continue;
        }
        const auto segment = env_.segment(table.table, at);
        if (!segment)
          throw CorruptError("row " + std::to_string(at) + " of table " +
                             std::to_string(table.table) + " is missing");
        const uint64_t to = std::min(end, segment->last_rowid() + 1);
        for (; at < to; ++at)
          if (!is_in(without, at))
            segment->canonical_row(static_cast<uint32_t>(at - segment->first_rowid()), buffer);
        sha.update(buffer);
        buffer.clear();
        pause_();
      }
  return sha.finish();
}

void find_redacted_commits(Environment& env, std::vector<Redaction>& redactions,
                           const std::function<void()>& pause) {
  const std::vector<Redaction> past = read_redactions(env);
  const RedactedDigests digests(past);
  const std::optional<tree::RowidSet> gone = redacted_rows(env);
  RemainingRows rows(env, pause);
  env.scan(Map::Txs, {}, [&](ByteView, ByteView value) {
    pause();
    Uuid id{};
    if (value.size() == id.size()) std::ranges::copy(value, id.begin());
    const Commit commit = load_known_commit(env, id);
    std::vector<const tree::RowidSet*> without = {gone ? &*gone : nullptr};
    tree::Hash now{};
    for (Redaction& redaction : redactions) {
      const uint64_t count = count_added(commit.delta, redaction.table, redaction.rows);
      if (count == 0) continue;
      if (without.size() == 1) {
        now = rows.digest(commit.delta, without);
        if (now != digests.expected(id, commit.rows_digest))
          throw CorruptError("commit " + format_uuid(id) +
                             " is damaged: the rows it added are not those it was made with");
      }
      without.push_back(&redaction.rows);
      RedactedCommit& redacted = redaction.commits.emplace_back();
      redacted = {id, count, now, rows.digest(commit.delta, without)};
      now = redacted.after;
    }
    return true;
  });
}

void put_redactions(Environment& env, WriteBatch& batch, std::vector<Redaction> redactions) {
  const std::vector<Redaction> past = read_redactions(env);
  tree::RowidSet rows = redacted_rows(env).value_or(tree::RowidSet());
  uint64_t number = past.size();
  tree::Hash previous = past.empty() ? tree::Hash{} : past.back().hash;
  if (!first_unerased(env) && !redactions.empty()) put_first_unerased(batch, number + 1);
  for (Redaction& redaction : redactions) {
    redaction.number = ++number;
    redaction.previous = previous;
    batch.put_meta(record_key(number), encode_record(redaction));
    previous = redaction.hash;
    add_all(rows, redaction.rows);
    // Their index entries name rowids that no row has.
    batch.put_meta(erased_rows_key(redaction.table), {});
  }
  batch.put_meta(kRowsKey, tree::encode_rowid_set(rows));
}

bool has_redaction(Environment& env, const Uuid& request) {
  const std::vector<Redaction> redactions = read_redactions(env);
  return std::ranges::any_of(redactions, [&](const Redaction& r) { return r.request == request; });
}

std::optional<uint64_t> first_unerased(Environment& env) {
  const std::optional<Bytes> stored = env.meta(kUnerasedKey);
  if (!stored) return std::nullopt;
  const auto number = ByteReader(*stored, "first record that is not erased").fixed<uint64_t>();
  if (number == 0) return std::nullopt;
  return number;
}

void put_first_unerased(WriteBatch& batch, std::optional<uint64_t> number) {
  Bytes value;
  ByteWriter(value).fixed<uint64_t>(number.value_or(0));
  batch.put_meta(kUnerasedKey, value);
}

}  // namespace datahike::store
