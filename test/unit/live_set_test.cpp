#include "tree/live_set.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "memory_nodes.h"

namespace datahike::tree {
namespace {

using test::MemoryNodes;
using Random = std::mt19937_64;
using Oracle = std::set<uint64_t>;

enum class Shape { Sparse, Dense, Runs, Full, Single };

Container random_container(Random& random, Shape shape) {
  Container c;
  switch (shape) {
    case Shape::Sparse:
      for (int i = 0; i < 300; ++i) c.add(static_cast<uint16_t>(random()));
      break;
    case Shape::Dense:
      for (int i = 0; i < 40000; ++i) c.add(static_cast<uint16_t>(random()));
      break;
    case Shape::Runs:
      c.add_range(0, 9);
      for (int i = 0; i < 50; ++i) {
        uint16_t first = static_cast<uint16_t>(random());
        c.add_range(first, static_cast<uint16_t>(std::min(65535, first + 500)));
      }
      break;
    case Shape::Full:
      c.add_range(0, 65535);
      break;
    case Shape::Single:
      c.add(static_cast<uint16_t>(random()));
      break;
  }
  return c;
}

constexpr Shape kShapes[] = {Shape::Sparse, Shape::Dense, Shape::Runs, Shape::Full, Shape::Single};

TEST(Container, ComesBackInEveryForm) {
  Random random(1);
  for (Shape shape : kShapes) {
    Container c = random_container(random, shape);
    Bytes bytes = encode_container(c);
    Container read = decode_container(bytes);
    EXPECT_EQ(read.words, c.words);
    EXPECT_EQ(read.count, c.count);
    for (uint32_t low = 0; low < 65536; ++low) {
      ASSERT_EQ(encoded_container_contains(bytes, static_cast<uint16_t>(low)),
                c.contains(static_cast<uint16_t>(low)));
    }
  }
}

TEST(Container, UsesTheSmallestForm) {
  Container c;
  EXPECT_EQ(encode_container(c).size(), 1u);
  c.add(5);
  EXPECT_EQ(encode_container(c).size(), 3u);
  c.add_range(100, 60000);
  EXPECT_EQ(encode_container(c).size(), 9u);
  for (uint32_t low = 0; low < 65536; low += 2) c.remove(static_cast<uint16_t>(low));
  EXPECT_EQ(encode_container(c).size(), 8193u);
}

TEST(Container, AddingAndRemovingCount) {
  Container c;
  c.add(3);
  c.add(3);
  c.add_range(2, 70);
  EXPECT_EQ(c.count, 69u);
  c.remove(70);
  c.remove(70);
  EXPECT_EQ(c.count, 68u);
  EXPECT_FALSE(c.contains(70));
}

TEST(Container, DamageIsNoticedOrHarmless) {
  Random random(2);
  for (Shape shape : kShapes) {
    const Bytes whole = encode_container(random_container(random, shape));
    for (int round = 0; round < 2000; ++round) {
      Bytes damaged = whole;
      if (round % 2) damaged.resize(random() % damaged.size());
      if (!damaged.empty()) damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
      try {
        encoded_container_contains(damaged, static_cast<uint16_t>(random()));
        EXPECT_LE(decode_container(damaged).count, 65536u);
      } catch (const CorruptError&) {
      }
    }
  }
}

TEST(Container, RefusesFormsThatAreNotCanonical) {
  EXPECT_THROW(decode_container(Bytes{}), CorruptError);
  EXPECT_THROW(decode_container(Bytes{9}), CorruptError);
  EXPECT_THROW(decode_container(Bytes{1, 5, 0, 5, 0}), CorruptError);              // twice
  EXPECT_THROW(decode_container(Bytes{1, 5, 0, 5}), CorruptError);                 // half
  EXPECT_THROW(decode_container(Bytes{2, 5, 0, 1, 0, 7, 0, 1, 0}), CorruptError);  // adjacent
  EXPECT_THROW(decode_container(Bytes{2, 5, 0, 255, 255}), CorruptError);          // too long
  EXPECT_THROW(decode_container(Bytes(100, 3)), CorruptError);
}

Oracle members(NodeSource& store, const NodeRef& root) {
  Oracle set;
  ContainerCursor cursor(store, root);
  Container c;
  for (cursor.first(); cursor.valid(); cursor.next()) {
    cursor.load(&c);
    EXPECT_EQ(c.count, cursor.count());
    for (uint32_t low = 0; low < 65536; ++low) {
      if (c.contains(static_cast<uint16_t>(low))) set.insert(cursor.high() << 16 | low);
    }
  }
  return set;
}

struct Update {
  std::vector<RowidRange> added;
  std::vector<uint64_t> removed;
};

// Ranges of a few rowids to some containers, within 2 million rowids far up the number line.
Update random_update(Random& random, size_t ranges, size_t removals) {
  constexpr uint64_t kBase = uint64_t{1} << 40, kSpan = 2'000'000;
  std::map<uint64_t, uint64_t> added;
  for (size_t i = 0; i < ranges; ++i) {
    added[kBase + random() % kSpan] = 1 + random() % (i == 0 ? 150'000 : 50);
  }
  Update update;
  for (auto [first, count] : added) {
    if (!update.added.empty()) {
      RowidRange& previous = update.added.back();
      previous.count = std::min(previous.count, first - previous.first);
    }
    update.added.push_back({first, count});
  }
  Oracle removed;
  for (size_t i = 0; i < removals; ++i) removed.insert(kBase + random() % kSpan);
  update.removed.assign(removed.begin(), removed.end());
  return update;
}

void apply_to_oracle(Oracle& oracle, const Update& update) {
  for (RowidRange r : update.added) {
    for (uint64_t i = 0; i < r.count; ++i) oracle.insert(r.first + i);
  }
  for (uint64_t rowid : update.removed) oracle.erase(rowid);
}

TEST(LiveSet, HoldsWhatRandomUpdatesLeave) {
  MemoryNodes store;
  Random random(3);
  Oracle oracle;
  NodeRef root;
  for (int round = 0; round < 30; ++round) {
    Update update = random_update(random, 1 + random() % 50, random() % 3000);
    Oracle old = oracle;
    apply_to_oracle(oracle, update);
    int64_t gained = 0;
    root = update_live_set(store, root, update.added, update.removed, &gained);
    ASSERT_EQ(gained, static_cast<int64_t>(oracle.size()) - static_cast<int64_t>(old.size()));
    ASSERT_EQ(live_count(store, root), oracle.size());
    for (int i = 0; i < 100; ++i) {
      uint64_t rowid = update.added[0].first + random() % 300'000;
      ASSERT_EQ(contains(store, root, rowid), oracle.count(rowid) == 1);
    }
  }
  EXPECT_EQ(members(store, root), oracle);
}

TEST(LiveSet, SameMembersHaveTheSameHash) {
  MemoryNodes store;
  std::vector<RowidRange> all = {{0, 200'000}}, halves[2] = {{{0, 100'000}}, {{100'000, 100'000}}};
  std::vector<uint64_t> removed = {5, 70'000, 150'000};
  NodeRef at_once = update_live_set(store, {}, all, removed, nullptr);
  NodeRef step = update_live_set(store, {}, halves[1], {}, nullptr);
  for (uint64_t rowid : removed) {
    step = update_live_set(store, step, rowid < 100'000 ? halves[0] : halves[1],
                           std::vector<uint64_t>{rowid}, nullptr);
  }
  EXPECT_NE(step.hash, at_once.hash);
  step = update_live_set(store, step, {}, removed, nullptr);
  EXPECT_EQ(step.hash, at_once.hash);
}

TEST(LiveSet, ChangingNothingWritesNothing) {
  MemoryNodes store;
  std::vector<RowidRange> added = {{10, 100'000}};
  NodeRef root = update_live_set(store, {}, added, std::vector<uint64_t>{50, 60}, nullptr);
  size_t writes = store.writes;
  int64_t gained = 7;
  std::vector<RowidRange> members = {{20, 5}, {70'000, 100}};
  NodeRef same =
      update_live_set(store, root, members, std::vector<uint64_t>{3, 50, 1 << 20}, &gained);
  EXPECT_EQ(same.id, root.id);
  EXPECT_EQ(gained, 0);
  EXPECT_EQ(store.writes, writes);
}

TEST(LiveSet, RemovingAllMembersLeavesTheEmptySet) {
  MemoryNodes store;
  std::vector<RowidRange> added = {{65'000, 1000}};
  std::vector<uint64_t> removed;
  for (uint64_t i = 0; i < 1000; ++i) removed.push_back(65'000 + i);
  int64_t gained = 0;
  NodeRef root = update_live_set(store, {}, added, {}, nullptr);
  root = update_live_set(store, root, {}, removed, &gained);
  EXPECT_TRUE(root.empty());
  EXPECT_EQ(gained, -1000);
}

TEST(LiveSet, CursorVisitsContainersBothWays) {
  MemoryNodes store;
  std::vector<RowidRange> added;
  std::vector<uint64_t> highs;
  for (uint64_t high = 3; high < 6000; high += 3) {
    highs.push_back(high);
    added.push_back({high << 16 | 17, 2});
  }
  NodeRef root = update_live_set(store, {}, added, {}, nullptr);
  std::vector<uint64_t> seen;
  ContainerCursor cursor(store, root);
  for (cursor.first(); cursor.valid(); cursor.next()) seen.push_back(cursor.high());
  EXPECT_EQ(seen, highs);
  seen.clear();
  for (cursor.last(); cursor.valid(); cursor.prev()) seen.insert(seen.begin(), cursor.high());
  EXPECT_EQ(seen, highs);
  cursor.seek(301);
  EXPECT_EQ(cursor.high(), 303u);
  cursor.seek(uint64_t{1} << 60);
  EXPECT_FALSE(cursor.valid());
}

TEST(LiveSet, DiffReportsEveryChangedRowid) {
  MemoryNodes store;
  Random random(4);
  Oracle before, after;
  Update first = random_update(random, 200, 100), second = random_update(random, 30, 5000);
  apply_to_oracle(before, first);
  after = before;
  apply_to_oracle(after, second);
  NodeRef b = update_live_set(store, {}, first.added, first.removed, nullptr);
  NodeRef a = update_live_set(store, b, second.added, second.removed, nullptr);

  Oracle gained, lost, expected_gained, expected_lost;
  uint64_t previous = 0;
  diff_live_sets(store, b, a, [&](uint64_t rowid, bool in_after) {
    EXPECT_GT(rowid, previous);
    previous = rowid;
    (in_after ? gained : lost).insert(rowid);
    return true;
  });
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::inserter(expected_gained, expected_gained.end()));
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::inserter(expected_lost, expected_lost.end()));
  EXPECT_EQ(gained, expected_gained);
  EXPECT_EQ(lost, expected_lost);

  int reported = 0;
  diff_live_sets(store, b, a, [&](uint64_t, bool) { return ++reported < 5; });
  EXPECT_EQ(reported, 5);
}

TEST(LiveSet, DiffOfOneRowidInManyReadsFewNodes) {
  MemoryNodes store;
  std::vector<RowidRange> added = {{0, 100'000'000}};
  NodeRef before = update_live_set(store, {}, added, {}, nullptr);
  NodeRef after = update_live_set(store, before, {}, std::vector<uint64_t>{50'000'000}, nullptr);
  store.reads = 0;
  int reported = 0;
  diff_live_sets(store, before, after, [&](uint64_t rowid, bool in_after) {
    EXPECT_EQ(rowid, 50'000'000u);
    EXPECT_FALSE(in_after);
    return ++reported > 0;
  });
  EXPECT_EQ(reported, 1);
  EXPECT_LT(store.reads, 20u);
}

TEST(LiveSet, DamagedContainerNodesGiveErrors) {
  MemoryNodes store;
  std::vector<RowidRange> added;
  for (uint64_t i = 0; i < 30'000; ++i) added.push_back({2 * i, 1});
  NodeRef root = update_live_set(store, {}, added, {}, nullptr);
  ASSERT_GT(store.nodes.size(), 1u);
  for (auto& [id, bytes] : store.nodes) {
    if (id != root.id) bytes[bytes.size() / 2] ^= 1;
  }
  Container c;
  EXPECT_THROW(find_container(store, root, 0, &c), CorruptError);
  EXPECT_THROW(contains(store, root, 4), CorruptError);
}

}  // namespace
}  // namespace datahike::tree
