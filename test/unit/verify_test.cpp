// Verification: a store as it was written passes, and one flipped bit anywhere in what it stores is
// reported.
#include "store/verify.h"

#include <gtest/gtest.h>
#include <lmdb.h>

#include <memory>

#include "fold_world.h"

namespace datahike::store::test {
namespace {

std::vector<Finding> findings(Environment& env, bool deep) {
  std::vector<Finding> found;
  verify(
      env, deep, [&](const Finding& finding) { found.push_back(finding); }, [] {});
  return found;
}

// Damage, as text.
std::vector<std::string> damage(Environment& env, bool deep = true) {
  std::vector<std::string> found;
  for (const Finding& finding : findings(env, deep))
    if (finding.corrupt)
      found.push_back((finding.commit ? format_uuid(*finding.commit) + ": " : "") + finding.detail);
  return found;
}

class StoreVerify : public testing::Test {
 protected:
  // Commits on two branches of which the second begins in the middle of the first.
  void fill(uint64_t seed, int folds, int most_commits) {
    Generator generator(seed);
    fill(generator, folds, most_commits);
  }

  void fill(Generator& generator, int folds, int most_commits) {
    Commit heads[2] = {store_.root(), store_.root()};
    for (int i = 0; i < folds; ++i) {
      if (i == folds / 2) {
        heads[1] = heads[0];
        generator.start(2, contents_);
      }
      const uint32_t branch = i >= folds / 2 && generator.pick(2) ? 2 : 1;
      std::vector<Transaction> made;
      for (uint64_t n = 1 + generator.pick(static_cast<uint64_t>(most_commits)); n > 0; --n)
        made.push_back(generator.next(branch));
      std::vector<const Transaction*> entries;
      for (const Transaction& transaction : made) entries.push_back(&transaction);
      heads[branch - 1] = store_.fold(heads[branch - 1].id, next_tx_, entries);
      next_tx_ += entries.size();
      if (branch == 1) contents_ = made.back().after;
    }
  }

  TestStore store_;
  Contents contents_;
  uint64_t next_tx_ = 2;
};

TEST_F(StoreVerify, AnUndamagedStorePasses) {
  fill(1, 30, 20);
  const auto found = findings(store_.env(), true);
  EXPECT_EQ(found.size(), next_tx_ - 1);  // one for each commit, and nothing else
  for (const Finding& finding : found) EXPECT_FALSE(finding.corrupt) << finding.detail;
  EXPECT_TRUE(damage(store_.env(), false).empty());
}

TEST_F(StoreVerify, ChainsLongerThanAKeyframeIntervalPass) {
  fill(2, 3, 2 * kKeyframeInterval + 44);
  EXPECT_EQ(damage(store_.env()), std::vector<std::string>());
}

TEST_F(StoreVerify, ReportsNothingWhenInterrupted) {
  fill(3, 5, 5);
  int calls = 0;
  EXPECT_THROW(verify(
                   store_.env(), true, [](const Finding&) {},
                   [&] {
                     if (++calls == 10) throw std::runtime_error("enough");
                   }),
               std::runtime_error);
}

// Rows, a commit or a tree that are exchanged for others with a right checksum of their own.
TEST_F(StoreVerify, FindsARowThatWasReplaced) {
  Generator generator(4);
  fill(generator, 4, 4);
  const auto& [table, rows] = *generator.rows().begin();
  std::map<uint64_t, Row> forged = rows;
  const auto segment = store_.env().segment_at_or_after(table, 0);
  const uint64_t first = segment->first_rowid();
  const uint32_t count = segment->rows();
  forged.at(first).number ^= 1;
  {
    auto batch = store_.env().begin_write();
    batch->put_segment(table, build_segment(forged, first, count));
    batch->commit();
  }
  store_.env().refresh();
  const auto found = damage(store_.env());
  ASSERT_FALSE(found.empty());
  EXPECT_NE(found[0].find("rows it added are not those"), std::string::npos) << found[0];
}

TEST_F(StoreVerify, FindsATreeThatWasReplaced) {
  fill(5, 6, 3);
  const Uuid last = *store_.env().commit_by_tx(next_tx_ - 1);
  Commit commit = load_known_commit(store_.env(), last);
  Commit before = commit;
  do before = load_known_commit(store_.env(), first_parent(before));
  while (!before.keyframe);
  commit.root = before.root;
  {
    auto batch = store_.env().begin_write();
    batch->put_commit(commit.id, commit.tx, encode_commit(commit));
    batch->commit();
  }
  store_.env().refresh();
  const auto found = damage(store_.env());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("version tree is not what"), std::string::npos) << found[0];
}

TEST_F(StoreVerify, FindsACommitThatIsMissing) {
  fill(6, 6, 3);
  const Uuid id = *store_.env().commit_by_tx(5);
  {
    auto batch = store_.env().begin_write();
    batch->erase_commits_from(next_tx_ - 1);
    batch->commit();
  }
  EXPECT_TRUE(damage(store_.env(), false).empty()) << "the last one is in nobody's way";
  store_.close();
  MDB_env* raw = nullptr;
  ASSERT_EQ(mdb_env_create(&raw), 0);
  mdb_env_set_maxdbs(raw, 16);
  ASSERT_EQ(mdb_env_open(raw, store_.directory().c_str(), 0, 0600), 0);
  MDB_txn* txn;
  MDB_dbi map;
  ASSERT_EQ(mdb_txn_begin(raw, nullptr, 0, &txn), 0);
  ASSERT_EQ(mdb_dbi_open(txn, "commits", 0, &map), 0);
  MDB_val key{id.size(), const_cast<uint8_t*>(id.data())};
  ASSERT_EQ(mdb_del(txn, map, &key, nullptr), 0);
  ASSERT_EQ(mdb_txn_commit(txn), 0);
  mdb_env_close(raw);
  store_.open();
  const auto found = damage(store_.env(), false);
  ASSERT_FALSE(found.empty());
  EXPECT_NE(found[0].find(format_uuid(id)), std::string::npos) << found[0];
}

// The values of the store's maps, opened behind its back.
class RawStore {
 public:
  explicit RawStore(const std::string& directory) {
    check(mdb_env_create(&env_));
    check(mdb_env_set_maxdbs(env_, 16));
    check(mdb_env_set_mapsize(env_, size_t{512} << 20));
    check(mdb_env_open(env_, directory.c_str(), MDB_NOSYNC, 0600));
  }
  ~RawStore() { mdb_env_close(env_); }

  struct Place {
    const char* map;
    std::string key;
    size_t bytes;
  };
  std::vector<Place> places() {
    std::vector<Place> all;
    for (const char* name :
         {"rows", "nodes", "commits", "txs", "writes", "lineage", "meta", "tombstones"}) {
      MDB_txn* txn;
      check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn));
      MDB_dbi map = open(txn, name);
      MDB_cursor* cursor;
      check(mdb_cursor_open(txn, map, &cursor));
      MDB_val key, value;
      while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
        all.push_back({name, {static_cast<char*>(key.mv_data), key.mv_size}, value.mv_size});
      mdb_cursor_close(cursor);
      check(mdb_txn_commit(txn));
    }
    return all;
  }
  void flip(const Place& place, size_t byte, int bit) {
    MDB_txn* txn;
    check(mdb_txn_begin(env_, nullptr, 0, &txn));
    MDB_dbi map = open(txn, place.map);
    MDB_val key{place.key.size(), const_cast<char*>(place.key.data())}, value;
    check(mdb_get(txn, map, &key, &value));
    std::string bytes(static_cast<char*>(value.mv_data), value.mv_size);
    bytes[byte] = static_cast<char>(bytes[byte] ^ 1 << bit);
    value = {bytes.size(), bytes.data()};
    check(mdb_put(txn, map, &key, &value, 0));
    check(mdb_txn_commit(txn));
  }

 private:
  static void check(int rc) {
    if (rc != 0) throw std::runtime_error(mdb_strerror(rc));
  }
  static MDB_dbi open(MDB_txn* txn, const char* name) {
    MDB_dbi map;
    check(mdb_dbi_open(txn, name, 0, &map));
    return map;
  }
  MDB_env* env_ = nullptr;
};

class EveryFlippedBit : public StoreVerify {
 protected:
  bool is_noticed() {
    try {
      store_.open();
      const bool noticed = !damage(store_.env()).empty();
      store_.close();
      return noticed;
    } catch (const Error&) {  // the store does not even open
      store_.close();
      return true;
    }
  }
};

TEST_F(EveryFlippedBit, IsNoticed) {
  fill(7, 8, 3);
  {
    auto batch = store_.env().begin_write();
    batch->put_meta("what", as_bytes("it is"));
    batch->put_tombstone(Uuid{1, 2, 3}, {3, 4, {store_.root().id}});
    batch->commit();
  }
  store_.close();
  std::mt19937_64 random(8);
  const std::vector<RawStore::Place> places = RawStore(store_.directory()).places();
  std::map<std::string, std::vector<RawStore::Place>> by_map;
  for (const auto& place : places) by_map[place.map].push_back(place);
  ASSERT_EQ(by_map.size(), 8u);
  constexpr int kFlips = 400;  // in each map
  for (const auto& [map, of_map] : by_map) {
    for (int i = 0; i < kFlips; ++i) {
      const RawStore::Place& place = of_map[random() % of_map.size()];
      const size_t byte = random() % place.bytes;
      const int bit = static_cast<int>(random() % 8);
      RawStore(store_.directory()).flip(place, byte, bit);
      EXPECT_TRUE(is_noticed()) << map << ", byte " << byte << " of " << place.bytes << ", bit "
                                << bit;
      RawStore(store_.directory()).flip(place, byte, bit);
    }
  }
  store_.open();
  EXPECT_EQ(damage(store_.env()), std::vector<std::string>());
}

}  // namespace
}  // namespace datahike::store::test
