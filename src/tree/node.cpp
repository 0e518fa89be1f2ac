// The encoded form of a node (integers little-endian, lengths and ordinals LEB128):
//
//   node  := checksum:u64  XXH3-64 of all bytes after it
//            body_size:u32 body ids
//   body  := level:u8 count:u32 offset:u32[count] entry[count]
//            an offset is where the entry starts in the body
//   entry := key:sized value:sized ordinal [hash:u8[32] if ordinal > 0]
//            ordinal: 0 = no child, n = the n-th child of the node; hash: the child's
//   ids   := id:u64[children]
//
// The body alone decides the content hash, SHA-256(body): ids stay outside because the same content
// gets other ids in another store. Offsets make a look-up a binary search that decodes no more than
// the keys it compares.
#include "tree/node.h"

#include <openssl/evp.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <memory>
#include <string>

namespace datahike::tree {

namespace {

constexpr size_t kHeadBytes = sizeof(uint64_t) + sizeof(uint32_t);  // before the body
constexpr size_t kOffsetsAt = sizeof(uint8_t) + sizeof(uint32_t);   // in the body
constexpr size_t kTypicalBytes = 4096;

[[noreturn]] void corrupt(uint64_t id, const std::string& what) {
  throw CorruptError("node " + std::to_string(id) + ": " + what);
}

template <class T>
T load(ByteView bytes, size_t at) {
  T v;
  std::memcpy(&v, bytes.data() + at, sizeof v);
  return v;
}

template <class T>
void store(Bytes& bytes, size_t at, T v) {
  std::memcpy(bytes.data() + at, &v, sizeof v);
}

// Appends an entry to the body and its child's id to the ids.
void encode_entry(const Entry& entry, Bytes& body, Bytes& ids) {
  ByteWriter out(body);
  out.sized(ByteView(entry.key));
  out.sized(ByteView(entry.value));
  if (entry.child.empty()) {
    out.varint(0);
    return;
  }
  ByteWriter(ids).fixed(entry.child.id);
  out.varint(ids.size() / sizeof(uint64_t));
  out.raw(entry.child.hash);
}

}  // namespace

Hash sha256(ByteView bytes) {
  // Fetching the algorithm and allocating a context cost more than hashing a small node.
  static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm(
      EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free);
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Hash hash;
  if (!algorithm || !context || !EVP_DigestInit_ex2(context.get(), algorithm.get(), nullptr) ||
      !EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) ||
      !EVP_DigestFinal_ex(context.get(), hash.data(), nullptr)) {
    throw IoError("libcrypto cannot compute SHA-256");
  }
  return hash;
}

NodeRef write_node(NodeSink& sink, const Node& node) {
  size_t count = node.entries.size();
  size_t offsets_at = kHeadBytes + kOffsetsAt;
  Bytes encoded(offsets_at + count * sizeof(uint32_t));
  Bytes ids;
  encoded.reserve(2 * kTypicalBytes);
  store(encoded, kHeadBytes, node.level);
  store(encoded, kHeadBytes + sizeof node.level, static_cast<uint32_t>(count));
  for (size_t i = 0; i < count; ++i) {
    store(encoded, offsets_at + i * sizeof(uint32_t),
          static_cast<uint32_t>(encoded.size() - kHeadBytes));
    encode_entry(node.entries[i], encoded, ids);
  }
  size_t body_bytes = encoded.size() - kHeadBytes;
  store(encoded, sizeof(uint64_t), static_cast<uint32_t>(body_bytes));
  Hash hash = sha256(ByteView(encoded).subspan(kHeadBytes));
  ByteWriter(encoded).raw(ids);
  store(encoded, 0,
        XXH3_64bits(encoded.data() + sizeof(uint64_t), encoded.size() - sizeof(uint64_t)));
  return NodeRef{sink.put_node(encoded), hash};
}

// Where the parts of one entry are.
struct NodeView::Fields {
  ByteView key, value, hash;
  uint64_t ordinal = 0;
};

NodeView::NodeView(ByteView bytes, uint64_t id) : id_(id) {
  if (bytes.size() < kHeadBytes) corrupt(id, "truncated");
  if (XXH3_64bits(bytes.data() + sizeof(uint64_t), bytes.size() - sizeof(uint64_t)) !=
      load<uint64_t>(bytes, 0)) {
    corrupt(id, "checksum does not match");
  }
  size_t body_size = load<uint32_t>(bytes, sizeof(uint64_t));
  if (body_size > bytes.size() - kHeadBytes || body_size < kOffsetsAt) corrupt(id, "bad size");
  body_ = bytes.subspan(kHeadBytes, body_size);
  ids_ = bytes.subspan(kHeadBytes + body_size);
  level_ = body_[0];
  count_ = load<uint32_t>(body_, 1);
  if (count_ == 0) corrupt(id, "no entries");
  if (count_ > (body_size - kOffsetsAt) / sizeof(uint32_t)) corrupt(id, "bad number of entries");
}

NodeView::Fields NodeView::fields(size_t i) const {
  Fields f;
  try {
    ByteReader in(body_, "entry");
    in.take(load<uint32_t>(body_, kOffsetsAt + sizeof(uint32_t) * i));
    f.key = in.sized();
    f.value = in.sized();
    f.ordinal = in.varint();
    if (f.ordinal > 0) f.hash = in.take(sizeof(Hash));
  } catch (const CorruptError& e) {
    corrupt(id_, e.what());
  }
  if (f.ordinal > ids_.size() / sizeof(uint64_t)) corrupt(id_, "child without id");
  return f;
}

ByteView NodeView::key(size_t i) const {
  // The hot path of every look-up: as fields(), but reads no further than the key.
  size_t at = load<uint32_t>(body_, kOffsetsAt + sizeof(uint32_t) * i);
  if (at < body_.size() && body_[at] < 0x80 && body_[at] < body_.size() - at) {
    return body_.subspan(at + 1, body_[at]);
  }
  return fields(i).key;
}

ByteView NodeView::value(size_t i) const { return fields(i).value; }

NodeRef NodeView::child(size_t i) const { return child(fields(i)); }

NodeRef NodeView::child(const Fields& f) const {
  NodeRef ref;
  if (f.ordinal == 0) {
    if (level_ > 0) corrupt(id_, "entry of an inner node without child");
    return ref;
  }
  ref.id = load<uint64_t>(ids_, (f.ordinal - 1) * sizeof(uint64_t));
  std::memcpy(ref.hash.data(), f.hash.data(), sizeof(Hash));
  if (ref.empty()) corrupt(id_, "child without id");
  return ref;
}

Entry NodeView::entry(size_t i) const {
  Fields f = fields(i);
  return Entry{Bytes(f.key.begin(), f.key.end()), Bytes(f.value.begin(), f.value.end()), child(f)};
}

Node decode_node(ByteView bytes, uint64_t id) {
  NodeView view(bytes, id);
  Node node;
  node.level = view.level();
  node.entries.reserve(view.size());
  for (size_t i = 0; i < view.size(); ++i) {
    if (i > 0 && compare_keys(view.key(i - 1), view.key(i)) >= 0) corrupt(id, "keys out of order");
    node.entries.push_back(view.entry(i));
  }
  return node;
}

Hash node_hash(ByteView bytes, uint64_t id) {
  NodeView view(bytes, id);  // so that damage is reported as damage, not as another hash
  return sha256(bytes.subspan(kHeadBytes, load<uint32_t>(bytes, sizeof(uint64_t))));
}

}  // namespace datahike::tree
