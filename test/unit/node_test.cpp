#include "tree/node.h"

#include <gtest/gtest.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <random>

#include "memory_nodes.h"

namespace datahike::tree {
namespace {

using test::MemoryNodes;

Bytes text(std::string_view s) { return Bytes(s.begin(), s.end()); }

Node sample_node() {
  Node node;
  NodeRef child{7, sha256(as_bytes("child"))};
  node.entries.push_back({text("a"), text("one"), {}});
  node.entries.push_back({text("ab"), {}, child});
  node.entries.push_back({Bytes(300, 'k'), Bytes(5000, 'v'), {9, sha256(as_bytes("other"))}});
  return node;
}

TEST(Node, ComesBackAsWritten) {
  MemoryNodes store;
  Node node = sample_node();
  NodeRef ref = write_node(store, node);
  Node read = decode_node(store.node(ref.id), ref.id);
  ASSERT_EQ(read.entries.size(), node.entries.size());
  EXPECT_EQ(read.level, node.level);
  for (size_t i = 0; i < node.entries.size(); ++i) {
    EXPECT_EQ(read.entries[i].key, node.entries[i].key);
    EXPECT_EQ(read.entries[i].value, node.entries[i].value);
    EXPECT_EQ(read.entries[i].child.id, node.entries[i].child.id);
    EXPECT_EQ(read.entries[i].child.hash, node.entries[i].child.hash);
  }
}

TEST(Node, Sha256MatchesThePublishedExample) {  // FIPS 180-2, appendix B.1
  EXPECT_EQ(sha256(as_bytes("abc"))[0], 0xba);
  EXPECT_EQ(sha256(as_bytes("abc"))[31], 0xad);
}

TEST(Node, HashIgnoresIdsOnly) {
  MemoryNodes store;
  Node node = sample_node();
  NodeRef ref = write_node(store, node);
  EXPECT_EQ(node_hash(store.node(ref.id), ref.id), ref.hash);

  node.entries[1].child.id = 12345;
  EXPECT_EQ(write_node(store, node).hash, ref.hash);
  node.entries[1].child.hash[5] ^= 1;
  EXPECT_NE(write_node(store, node).hash, ref.hash);
  node = sample_node();
  node.entries[0].value.push_back('!');
  EXPECT_NE(write_node(store, node).hash, ref.hash);
  node = sample_node();
  node.entries[1].child = {};
  EXPECT_NE(write_node(store, node).hash, ref.hash);
}

// Reads everything a node has to say, as any user of it might.
void read_all(ByteView bytes, uint64_t id) {
  NodeView view(bytes, id);
  for (size_t i = 0; i < view.size(); ++i) view.entry(i);
  decode_node(bytes, id);
}

void expect_corrupt(const Bytes& bytes, uint64_t id) {
  try {
    read_all(bytes, id);
    ADD_FAILURE() << "damage went unnoticed";
  } catch (const CorruptError& e) {
    EXPECT_NE(std::string(e.what()).find("node " + std::to_string(id)), std::string::npos);
  }
}

TEST(Node, EveryTruncationIsNoticed) {
  MemoryNodes store;
  NodeRef ref = write_node(store, sample_node());
  const Bytes whole = store.nodes[ref.id];
  for (size_t n = 0; n < whole.size(); ++n) {
    expect_corrupt(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n)), 42);
  }
}

TEST(Node, EveryFlippedBitIsNoticed) {
  MemoryNodes store;
  Node node = sample_node();
  node.entries.pop_back();
  NodeRef ref = write_node(store, node);
  for (size_t bit = 0; bit < store.nodes[ref.id].size() * 8; ++bit) {
    Bytes damaged = store.nodes[ref.id];
    damaged[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    expect_corrupt(damaged, 42);
  }
}

// Damage that the checksum cannot show: bytes that were wrong when they were written.
TEST(Node, WrongBytesUnderARightChecksumLeadNowhere) {
  MemoryNodes store;
  NodeRef ref = write_node(store, sample_node());
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    Bytes damaged = store.nodes[ref.id];
    for (int i = 0; i < 3; ++i) {
      size_t at = 8 + random() % (round % 2 ? 60 : damaged.size() - 8);
      damaged[at] = static_cast<uint8_t>(random());
    }
    uint64_t checksum = XXH3_64bits(damaged.data() + 8, damaged.size() - 8);
    std::memcpy(damaged.data(), &checksum, 8);
    try {
      read_all(damaged, 42);  // the sanitizers see to it that nothing outside is read
    } catch (const CorruptError&) {
    }
  }
}

}  // namespace
}  // namespace datahike::tree
