#include "tree/ordered_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "memory_nodes.h"

namespace datahike::tree {
namespace {

using test::MemoryNodes;
using Oracle = std::map<Bytes, Bytes>;
using Random = std::mt19937_64;

Bytes key_of(uint64_t n) {
  Bytes key(8);
  put_big_endian(key.data(), n);
  return key;
}

// Keys of different lengths that share prefixes; values from none to some KB.
Bytes random_key(Random& random, uint64_t range) {
  Bytes key = key_of(random() % range);
  if (key[7] % 3 == 0) key.resize(8 + key[7] % 64, key[6]);
  if (key[7] % 97 == 0) key.resize(500, 'x');
  return key;
}

Bytes random_value(Random& random) {
  size_t size = random() % 20 == 0 ? random() % 3000 : random() % 30;
  return Bytes(size, static_cast<uint8_t>(random()));
}

std::vector<Edit> random_edits(Random& random, size_t count, uint64_t range) {
  std::map<Bytes, Edit> edits;
  for (size_t i = 0; i < count; ++i) {
    Edit edit{random_key(random, range), random() % 3 == 0, {}, {}};
    if (!edit.remove) edit.value = random_value(random);
    edits[edit.key] = edit;
  }
  std::vector<Edit> out;
  for (auto& [key, edit] : edits) out.push_back(std::move(edit));
  return out;
}

void apply_to_oracle(Oracle& oracle, const std::vector<Edit>& edits) {
  for (const Edit& edit : edits) {
    if (edit.remove) {
      oracle.erase(edit.key);
    } else {
      oracle[edit.key] = edit.value;
    }
  }
}

NodeRef build(NodeSink& store, const Oracle& oracle) {
  std::vector<Edit> edits;
  for (auto& [key, value] : oracle) edits.push_back({key, false, value, {}});
  return apply_edits(store, {}, edits);
}

Oracle sequence(uint64_t count) {
  Oracle oracle;
  for (uint64_t i = 0; i < count; ++i) oracle[key_of(i * 10)] = key_of(i);
  return oracle;
}

void expect_equal(NodeSource& store, const NodeRef& root, const Oracle& oracle) {
  MapCursor cursor(store, root);
  auto expected = oracle.begin();
  for (cursor.first(); cursor.valid(); cursor.next(), ++expected) {
    ASSERT_NE(expected, oracle.end());
    ASSERT_EQ(cursor.entry().key, expected->first);
    ASSERT_EQ(cursor.entry().value, expected->second);
  }
  ASSERT_EQ(expected, oracle.end());
  auto backwards = oracle.rbegin();
  for (cursor.last(); cursor.valid(); cursor.prev(), ++backwards) {
    ASSERT_NE(backwards, oracle.rend());
    ASSERT_EQ(cursor.entry().key, backwards->first);
  }
  ASSERT_EQ(backwards, oracle.rend());
}

TEST(OrderedMap, EmptyTreeHasNothing) {
  MemoryNodes store;
  EXPECT_TRUE(apply_edits(store, {}, {}).empty());
  EXPECT_FALSE(get(store, {}, key_of(1)));
  MapCursor cursor(store, {});
  cursor.first();
  EXPECT_FALSE(cursor.valid());
  cursor.last();
  EXPECT_FALSE(cursor.valid());
  cursor.seek(key_of(1));
  EXPECT_FALSE(cursor.valid());
  cursor.seek_at_most(key_of(1));
  EXPECT_FALSE(cursor.valid());
}

TEST(OrderedMap, HoldsWhatRandomBatchesLeave) {
  MemoryNodes store;
  Random random(2);
  Oracle oracle;
  NodeRef root;
  for (size_t batch : {3000, 1, 1, 500, 2, 0, 1000, 40, 1, 3000}) {
    std::vector<Edit> edits = random_edits(random, batch, 5000);
    root = apply_edits(store, root, edits);
    apply_to_oracle(oracle, edits);
    expect_equal(store, root, oracle);
    ASSERT_EQ(root.hash, build(store, oracle).hash);
  }
}

TEST(OrderedMap, SameContentHasSameHashWhateverTheOrderOfEdits) {
  Random random(3);
  for (uint64_t count : {1, 2, 50, 300, 2000}) {
    MemoryNodes store;
    Oracle oracle;
    while (oracle.size() < count) oracle[random_key(random, 100000)] = random_value(random);
    std::vector<Edit> edits;
    for (auto& [key, value] : oracle) edits.push_back({key, false, value, {}});
    std::shuffle(edits.begin(), edits.end(), random);
    NodeRef root;
    for (const Edit& edit : edits) root = apply_edits(store, root, std::span(&edit, 1));
    ASSERT_EQ(root.hash, build(store, oracle).hash) << count;
  }
}

TEST(OrderedMap, ShrinksBackToTheSameRoots) {
  MemoryNodes store;
  Random random(4);
  Oracle oracle = sequence(20000);
  NodeRef root = build(store, oracle);
  while (!oracle.empty()) {
    std::vector<Edit> edits;
    size_t keep = oracle.size() / 3;
    for (auto& [key, value] : oracle) {
      if (edits.size() + keep < oracle.size() || random() % 2) edits.push_back({key, true, {}, {}});
    }
    root = apply_edits(store, root, edits);
    apply_to_oracle(oracle, edits);
    ASSERT_EQ(root.hash, build(store, oracle).hash);
  }
  EXPECT_TRUE(root.empty());
}

TEST(OrderedMap, EditsThatChangeNothingWriteNothing) {
  MemoryNodes store;
  NodeRef root = build(store, sequence(5000));
  size_t writes = store.writes;
  std::vector<Edit> edits = {{key_of(10), false, key_of(1), {}},
                             {key_of(11), true, {}, {}},
                             {key_of(49990), false, key_of(4999), {}},
                             {key_of(60000), true, {}, {}}};
  NodeRef same = apply_edits(store, root, edits);
  EXPECT_EQ(same.id, root.id);
  EXPECT_EQ(store.writes, writes);
}

TEST(OrderedMap, RemovingAnEntryWithoutValueRemovesIt) {
  MemoryNodes store;
  std::vector<Edit> put = {{key_of(1), false, {}, {}}};
  std::vector<Edit> remove = {{key_of(1), true, {}, {}}};
  EXPECT_TRUE(apply_edits(store, apply_edits(store, {}, put), remove).empty());
}

TEST(OrderedMap, OneEditWritesFewNodes) {
  MemoryNodes store;
  NodeRef root = build(store, sequence(100000));
  Random random(5);
  size_t most = 0, total = 0;
  for (int i = 0; i < 200; ++i) {
    std::vector<Edit> edit = {{key_of(random() % 1000000), random() % 2 == 0, key_of(i), {}}};
    store.writes = store.reads = 0;
    root = apply_edits(store, root, edit);
    most = std::max(most, store.writes);
    total += store.writes;
    ASSERT_LT(store.reads, 60u);
  }
  EXPECT_LT(most, 30u);
  EXPECT_LT(total / 200, 8u);
}

TEST(OrderedMap, NodesHaveAboutFourKilobytes) {
  MemoryNodes store;
  build(store, sequence(100000));
  size_t bytes = 0;
  for (auto& [id, node] : store.nodes) bytes += node.size();
  EXPECT_GT(bytes / store.nodes.size(), 2500u);
  EXPECT_LT(bytes / store.nodes.size(), 4500u);
}

TEST(OrderedMap, KeepsChildrenOfLeafEntries) {
  MemoryNodes store;
  NodeRef one = build(store, sequence(10)), two = build(store, sequence(11));
  std::vector<Edit> edits = {{key_of(1), false, {}, one}};
  NodeRef root = apply_edits(store, {}, edits);
  EXPECT_EQ(get(store, root, key_of(1))->child.id, one.id);
  edits[0].child = two;
  NodeRef changed = apply_edits(store, root, edits);
  EXPECT_EQ(get(store, changed, key_of(1))->child.id, two.id);
  EXPECT_NE(changed.hash, root.hash);
}

class OrderedMapLookup : public testing::Test {
 protected:
  void SetUp() override {
    Random random(6);
    while (oracle_.size() < 3000) oracle_[random_key(random, 20000)] = random_value(random);
    root_ = build(store_, oracle_);
    for (auto& [key, value] : oracle_) probes_.push_back(key);
    for (int i = 0; i < 3000; ++i) probes_.push_back(random_key(random, 22000));
    probes_.push_back({});
    probes_.push_back(Bytes(600, 0xff));
  }
  void expect_at(const MapCursor& cursor, Oracle::const_iterator expected) {
    ASSERT_EQ(cursor.valid(), expected != oracle_.end());
    if (!cursor.valid()) return;
    ASSERT_EQ(cursor.entry().key, expected->first);
    ASSERT_EQ(Bytes(cursor.key().begin(), cursor.key().end()), expected->first);
  }
  MemoryNodes store_;
  Oracle oracle_;
  NodeRef root_;
  std::vector<Bytes> probes_;
};

TEST_F(OrderedMapLookup, GetFindsWhatIsThere) {
  for (const Bytes& key : probes_) {
    auto expected = oracle_.find(key);
    std::optional<Entry> found = get(store_, root_, key);
    ASSERT_EQ(found.has_value(), expected != oracle_.end());
    if (found) {
      ASSERT_EQ(found->value, expected->second);
    }
  }
}

TEST_F(OrderedMapLookup, SeekFindsTheFirstAtOrAfter) {
  MapCursor cursor(store_, root_);
  for (const Bytes& key : probes_) {
    cursor.seek(key);
    expect_at(cursor, oracle_.lower_bound(key));
  }
}

TEST_F(OrderedMapLookup, SeekAtMostFindsTheLastAtOrBefore) {
  MapCursor cursor(store_, root_);
  for (const Bytes& key : probes_) {
    auto expected = oracle_.upper_bound(key);
    cursor.seek_at_most(key);
    expect_at(cursor, expected == oracle_.begin() ? oracle_.end() : std::prev(expected));
  }
}

TEST_F(OrderedMapLookup, SeekLastWhereFindsTheLastOfThePrefix) {
  MapCursor cursor(store_, root_);
  for (const Bytes& key : probes_) {
    auto expected = oracle_.lower_bound(key);
    store_.reads = 0;
    cursor.seek_last_where([&](ByteView k) { return compare_keys(k, key) < 0; });
    ASSERT_LT(store_.reads, 10u);
    expect_at(cursor, expected == oracle_.begin() ? oracle_.end() : std::prev(expected));
  }
}

TEST_F(OrderedMapLookup, WalksBothWaysFromAnywhere) {
  MapCursor cursor(store_, root_);
  Random random(7);
  for (int i = 0; i < 50; ++i) {
    cursor.seek(probes_[random() % probes_.size()]);
    auto expected = cursor.valid() ? oracle_.find(cursor.entry().key) : oracle_.end();
    for (int step = 0; step < 200 && cursor.valid(); ++step) {
      if (random() % 3 == 0) {
        expected = expected == oracle_.begin() ? oracle_.end() : std::prev(expected);
        cursor.prev();
      } else {
        ++expected;
        cursor.next();
      }
      expect_at(cursor, expected);
    }
  }
}

struct Change {
  Bytes key;
  bool before, after;
  bool operator==(const Change&) const = default;
};

std::vector<Change> changes_of(NodeSource& store, const NodeRef& before, const NodeRef& after) {
  std::vector<Change> changes;
  diff(store, before, after, [&](const Difference& d) {
    changes.push_back(
        {(d.before ? d.before : d.after)->key, d.before != nullptr, d.after != nullptr});
    return true;
  });
  return changes;
}

std::vector<Change> changes_of(const Oracle& before, const Oracle& after) {
  std::map<Bytes, Change> changes;
  for (auto& [key, value] : before) {
    auto other = after.find(key);
    if (other == after.end() || other->second != value) {
      changes[key] = {key, true, other != after.end()};
    }
  }
  for (auto& [key, value] : after) {
    if (!before.count(key)) changes[key] = {key, false, true};
  }
  std::vector<Change> out;
  for (auto& [key, change] : changes) out.push_back(change);
  return out;
}

TEST(OrderedMapDiff, ReportsWhatABruteForceComparisonFinds) {
  MemoryNodes store;
  Random random(8);
  Oracle oracle;
  NodeRef root;
  for (size_t batch : {4000, 1, 10, 300, 4000, 1, 0}) {
    std::vector<Edit> edits = random_edits(random, batch, 8000);
    Oracle old = oracle;
    apply_to_oracle(oracle, edits);
    NodeRef next = apply_edits(store, root, edits);
    ASSERT_EQ(changes_of(store, root, next), changes_of(old, oracle));
    ASSERT_EQ(changes_of(store, next, root), changes_of(oracle, old));
    ASSERT_EQ(changes_of(store, {}, next), changes_of({}, oracle));
    ASSERT_EQ(changes_of(store, next, {}), changes_of(oracle, {}));
    root = next;
  }
}

TEST(OrderedMapDiff, SkipsWhatIsShared) {
  MemoryNodes store;
  Oracle oracle = sequence(100000);
  NodeRef before = build(store, oracle);
  std::vector<Edit> edits = {{key_of(5), false, key_of(0), {}},
                             {key_of(500000), true, {}, {}},
                             {key_of(2000000), false, key_of(0), {}}};
  NodeRef after = apply_edits(store, before, edits);
  store.reads = 0;
  EXPECT_EQ(changes_of(store, before, after).size(), 3u);
  EXPECT_LT(store.reads, 60u);
  store.reads = 0;
  EXPECT_TRUE(changes_of(store, before, build(store, oracle)).empty());
  EXPECT_EQ(store.reads, 0u);
}

TEST(OrderedMapDiff, StopsWhenTold) {
  MemoryNodes store;
  int reported = 0;
  diff(store, {}, build(store, sequence(1000)), [&](const Difference&) { return ++reported < 3; });
  EXPECT_EQ(reported, 3);
}

TEST(OrderedMap, DamagedTreesGiveErrorsAndEnd) {
  MemoryNodes pristine;
  Oracle oracle = sequence(3000);
  NodeRef root = build(pristine, oracle);
  std::vector<Edit> edits = {{key_of(3), false, {}, {}}};
  Random random(9);
  for (int round = 0; round < 300; ++round) {
    MemoryNodes store = pristine;
    auto victim =
        std::next(store.nodes.begin(), static_cast<ptrdiff_t>(random() % store.nodes.size()));
    if (round % 3 == 0) {
      store.nodes.erase(victim);
    } else if (round % 3 == 1) {
      victim->second[random() % victim->second.size()] ^= 0x10;
    } else {
      // A whole node in another's place: its checksum is right, so it must be its level that is
      // noticed, or the walk must at least end.
      victim->second = pristine.nodes[root.id];
    }
    auto walk = [&] {
      MapCursor cursor(store, root);
      for (cursor.first(); cursor.valid(); cursor.next()) cursor.entry();
    };
    if (victim->first == root.id && round % 3 == 2) continue;
    EXPECT_THROW(walk(), CorruptError);
    try {
      get(store, root, key_of(random() % 30000));
      apply_edits(store, root, edits);
      changes_of(store, root, {});
    } catch (const CorruptError&) {
    }
  }
}

}  // namespace
}  // namespace datahike::tree
