// record := hash:32 bytes hashed:sized tail check:u64
// hashed := format:u8 (1) parent-count:varint parent:uuid* tx:varint time:i64 author:sized
//           message:sized branch:varint xid:varint rows-digest:32 bytes delta
//           delta: the rest, without places, as in delta.cpp
// tail   := keyframe:u8 [root-id:u64 root-hash:32 bytes]   the root only of a keyframe
// hash   := SHA-256(hashed);  the commit's id is its first 16 bytes with the version and variant
//           bits of an RFC 9562 UUID version 8
// check  := XXH3-64(hash tail)
//
// The tail is outside the hash: whether a commit became a keyframe depends on how transactions
// were batched when they were folded, and a node's id on what else is in the store, while a
// commit's identity must not.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/commit.h"

#include <algorithm>

#include "store/digest.h"

namespace datahike::store {
namespace {

constexpr uint8_t kFormat = 1;

void write_hashed(const Commit& commit, Bytes& out) {
  ByteWriter writer(out);
  writer.fixed(kFormat);
  writer.varint(commit.parents.size());
  for (const Uuid& parent : commit.parents) writer.raw(parent);
  writer.varint(commit.tx);
  writer.fixed(commit.time);
  writer.sized(commit.author);
  writer.sized(commit.message);
  writer.varint(commit.branch);
  writer.varint(commit.xid);
  writer.raw(commit.rows_digest);
  encode_delta(commit.delta, WithPlaces::No, out);
}

template <class Array>
void read_array(ByteReader& in, Array& array) {
  const ByteView bytes = in.take(array.size());
  std::copy(bytes.begin(), bytes.end(), array.begin());
}

Commit read_hashed(ByteView bytes) {
  ByteReader in(bytes, "commit");
  Commit commit;
  const auto format = in.fixed<uint8_t>();
  if (format != kFormat) throw FormatError("record format " + std::to_string(format));
  for (uint64_t left = in.varint(); left > 0; --left) read_array(in, commit.parents.emplace_back());
  commit.tx = in.varint();
  commit.time = in.fixed<int64_t>();
  commit.author = in.string();
  commit.message = in.string();
  commit.branch = static_cast<uint32_t>(in.varint());
  commit.xid = in.varint();
  read_array(in, commit.rows_digest);
  commit.delta = decode_delta(in.take(in.left()));
  return commit;
}

tree::Hash digest(ByteView bytes) {
  Sha256 sha;
  sha.update(bytes);
  return sha.finish();
}

Uuid id_of(const tree::Hash& hash) {
  Uuid id;
  std::copy_n(hash.begin(), id.size(), id.begin());
  id[6] = (id[6] & 0x0f) | 0x80;
  id[8] = (id[8] & 0x3f) | 0x80;
  return id;
}

uint64_t check_of(const tree::Hash& hash, ByteView tail) {
  Bytes covered(hash.begin(), hash.end());
  covered.insert(covered.end(), tail.begin(), tail.end());
  return XXH3_64bits(covered.data(), covered.size());
}

Commit read_record(ByteView record, const Uuid& id) {
  ByteReader in(record, "commit");
  tree::Hash hash;
  read_array(in, hash);
  const ByteView hashed = in.sized();
  if (digest(hashed) != hash || id_of(hash) != id) throw CorruptError("hash mismatch");
  const size_t tail_at = in.position();
  if (in.left() < sizeof(uint64_t)) throw CorruptError("truncated");
  const ByteView tail = record.subspan(tail_at, in.left() - sizeof(uint64_t));
  ByteReader rest(tail, "commit"), check(record.subspan(tail_at + tail.size()), "commit");
  if (check.fixed<uint64_t>() != check_of(hash, tail)) throw CorruptError("checksum mismatch");

  Commit commit = read_hashed(hashed);
  commit.id = id;
  commit.hash = hash;
  commit.keyframe = rest.fixed<uint8_t>() != 0;
  if (commit.keyframe) {
    commit.root.id = rest.fixed<uint64_t>();
    read_array(rest, commit.root.hash);
  }
  if (rest.left() > 0) throw CorruptError("bytes after its end");
  return commit;
}

}  // namespace

void seal(Commit& commit) {
  Bytes hashed;
  write_hashed(commit, hashed);
  commit.hash = digest(hashed);
  commit.id = id_of(commit.hash);
}

Bytes encode_commit(const Commit& commit) {
  Bytes hashed, record, tail;
  write_hashed(commit, hashed);
  ByteWriter tail_writer(tail);
  tail_writer.fixed(static_cast<uint8_t>(commit.keyframe));
  if (commit.keyframe) {
    tail_writer.fixed(commit.root.id);
    tail_writer.raw(commit.root.hash);
  }
  ByteWriter writer(record);
  writer.raw(commit.hash);
  writer.sized(hashed);
  writer.raw(tail);
  writer.fixed(check_of(commit.hash, tail));
  return record;
}

Commit decode_commit(ByteView record, const Uuid& id) {
  try {
    return read_record(record, id);
  } catch (const CorruptError& error) {
    throw CorruptError("commit " + format_uuid(id) + " is damaged: " + error.what());
  } catch (const FormatError& error) {
    throw FormatError("commit " + format_uuid(id) + " cannot be read: " + error.what());
  }
}

Commit root_commit(int64_t created_at) {
  Commit commit;
  commit.tx = 1;
  commit.time = created_at;
  commit.rows_digest = digest({});
  commit.keyframe = true;
  seal(commit);
  return commit;
}

}  // namespace datahike::store
