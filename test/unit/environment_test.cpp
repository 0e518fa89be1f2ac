#include "store/environment.h"

#include <gtest/gtest.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "temp_store.h"
#include "tree/ordered_map.h"

namespace datahike::store {
namespace {

using test::TempStore;

Bytes text(std::string_view s) { return Bytes(s.begin(), s.end()); }

Uuid uuid(std::initializer_list<uint8_t> start) {
  Uuid id{};
  std::copy(start.begin(), start.end(), id.begin());
  return id;
}

// Commits `count` nodes of `bytes` bytes; returns the id of the first.
uint64_t put_nodes(Environment& env, size_t count, size_t bytes) {
  std::unique_ptr<WriteBatch> batch = env.begin_write();
  uint64_t first = 0;
  for (size_t i = 0; i < count; ++i) {
    uint64_t id = batch->put_node(Bytes(bytes, static_cast<uint8_t>(i)));
    if (i == 0) first = id;
  }
  batch->commit();
  return first;
}

template <class E, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "no error";
}

TEST(Environment, KeepsWhatWasCommitted) {
  TempStore store;
  uint64_t id = 0;
  {
    auto env = store.writer();
    auto batch = env->begin_write();
    id = batch->put_node(text("a node"));
    EXPECT_EQ(as_string_view(batch->node(id)), "a node");
    batch->put_commit(uuid({1}), 17, text("a commit"));
    batch->put_lineage(3, 1000, 2, {1001, 55});
    batch->put_meta("refs", text("a ref"));
    EXPECT_EQ(batch->meta("refs"), text("a ref"));
    EXPECT_EQ(batch->commit_record(uuid({1})), text("a commit"));
    batch->commit();
  }
  auto env = store.reader();
  EXPECT_EQ(as_string_view(env->node(id)), "a node");
  EXPECT_EQ(env->commit(uuid({1})), text("a commit"));
  EXPECT_EQ(env->commit_by_tx(17), uuid({1}));
  EXPECT_EQ(env->lineage(3, 1000, 2)->successor, 1001u);
  EXPECT_EQ(env->lineage(3, 1000, 2)->xid, 55u);
  EXPECT_FALSE(env->lineage(3, 1000, 1));
  EXPECT_FALSE(env->lineage(3, 1001, 2));
  EXPECT_FALSE(env->commit(uuid({2})));
  EXPECT_FALSE(env->commit_by_tx(18));
  EXPECT_EQ(env->meta("refs"), text("a ref"));
  EXPECT_FALSE(env->meta("ref"));
}

TEST(Environment, PutsInAnyOrderAreAsIfMadeAtOnce) {
  constexpr uint64_t kRows = 3000;
  const auto row = [](uint64_t i) { return i * 7919 % kRows; };  // each once, in no order
  TempStore store;
  auto env = store.writer();
  auto batch = env->begin_write();
  for (uint64_t i = 0; i < kRows; ++i) {
    batch->put_lineage(3, row(i), 2, {row(i) + 1, i});
    batch->put_write(row(i), 2, i);
    batch->put_commit(uuid({uint8_t(row(i)), uint8_t(row(i) >> 8)}), i, Bytes(row(i) % 90, 1));
    if (i == kRows / 2) {
      EXPECT_EQ(batch->erase_commit(uuid({uint8_t(row(7)), uint8_t(row(7) >> 8)}), 7), row(7) % 90);
    }
  }
  // The same keys again, in the order in which they come: the last removal and record count.
  for (uint64_t xid : {5000, 5001}) batch->put_lineage(3, 10, 2, {xid, xid});
  for (uint8_t size : {5, 6}) batch->put_commit(uuid({1, 0}), 5000, Bytes(size, 2));
  EXPECT_EQ(batch->commit_record(uuid({1, 0})), Bytes(6, 2));
  batch->commit();
  env->refresh();
  for (uint64_t i = 0; i < kRows; ++i) {
    const Uuid id = uuid({uint8_t(row(i)), uint8_t(row(i) >> 8)});
    const auto written = env->commits_of(row(i));
    ASSERT_EQ(written.size(), 1u);
    EXPECT_EQ(written[0].tx, i);
    if (row(i) != 10) {
      ASSERT_TRUE(env->lineage(3, row(i), 2));
      EXPECT_EQ(env->lineage(3, row(i), 2)->xid, i);
    }
    if (i == 7) {
      EXPECT_FALSE(env->commit(id));
    } else if (row(i) != 1) {
      EXPECT_EQ(env->commit(id), Bytes(row(i) % 90, 1));
      EXPECT_EQ(env->commit_by_tx(i), id);
    }
  }
  const auto removals = env->lineage_on_branches(3, 10);
  ASSERT_EQ(removals.size(), 3u);
  EXPECT_EQ(removals[0].lineage.xid, 5001u) << "the newest first";
  EXPECT_EQ(removals[1].lineage.xid, 5000u);
}

TEST(Environment, LineageKeepsTheRemovalsOfOtherTransactions) {
  TempStore store;
  auto env = store.writer();
  const auto put = [&](const Lineage& removal) {
    auto batch = env->begin_write();
    batch->put_lineage(3, 1000, 2, removal);
    batch->commit();
    env->refresh();
  };
  const auto removals = [&] {
    std::vector<std::pair<uint64_t, uint64_t>> found;
    for (const BranchLineage& at : env->lineage_on_branches(3, 1000))
      found.emplace_back(at.lineage.successor, at.lineage.xid);
    return found;
  };
  using Removals = std::vector<std::pair<uint64_t, uint64_t>>;
  put({1001, 55});
  put({0, 66});
  put({1002, 77});
  EXPECT_EQ(removals(), (Removals{{1002, 77}, {0, 66}, {1001, 55}}));
  EXPECT_EQ(env->lineage(3, 1000, 2)->xid, 77u) << "the newest";
  put({1003, 66});  // a transaction that is folded again
  EXPECT_EQ(removals(), (Removals{{1003, 66}, {1002, 77}, {1001, 55}}));
}

TEST(Environment, NodeIdsGoOnWhereTheLastCommittedBatchEnded) {
  TempStore store;
  uint64_t first = put_nodes(*store.writer(), 3, 10);
  {
    auto env = store.writer();
    env->begin_write()->put_node(text("never committed"));
  }
  auto env = store.writer();
  EXPECT_EQ(env->begin_write()->put_node(text("x")), first + 3);
}

TEST(Environment, AnAbortedBatchLeavesNothing) {
  TempStore store;
  auto env = store.writer();
  {
    auto batch = env->begin_write();
    batch->put_node(text("x"));
    batch->put_meta("refs", text("x"));
    batch->put_commit(uuid({1}), 1, text("x"));
  }
  EXPECT_FALSE(env->meta("refs"));
  EXPECT_FALSE(env->commit(uuid({1})));
  EXPECT_THROW(env->node(1), CorruptError);
  EXPECT_EQ(env->statistics().nodes, 0u);
}

TEST(Environment, OnlyOneBatchAtATime) {
  TempStore store;
  auto env = store.writer();
  auto batch = env->begin_write();
  EXPECT_THROW(env->begin_write(), IoError);
  batch->commit();
  auto next = env->begin_write();
  batch.reset();
  EXPECT_THROW(env->begin_write(), IoError);
}

TEST(Environment, MissingNodesAreNamed) {
  TempStore store;
  auto env = store.writer();
  EXPECT_NE(message_of<CorruptError>([&] { env->node(77); }).find("node 77"), std::string::npos);
  auto batch = env->begin_write();
  EXPECT_NE(message_of<CorruptError>([&] { batch->node(78); }).find("node 78"), std::string::npos);
}

TEST(Environment, ReadsOneSnapshotUntilReleased) {
  TempStore store;
  auto env = store.writer();
  EXPECT_FALSE(env->reading());
  EXPECT_FALSE(env->meta("n"));
  EXPECT_TRUE(env->reading());
  auto batch = env->begin_write();
  batch->put_meta("n", text("1"));
  batch->commit();
  EXPECT_FALSE(env->meta("n"));

  uint64_t generation = env->generation();
  env->release();
  EXPECT_FALSE(env->reading());
  EXPECT_NE(env->generation(), generation);
  EXPECT_EQ(env->meta("n"), text("1"));

  generation = env->generation();
  env->refresh();
  EXPECT_TRUE(env->reading());
  EXPECT_NE(env->generation(), generation);
}

TEST(Environment, TreesWorkOnABatchAndOnTheStore) {
  TempStore store;
  auto env = store.writer();
  tree::NodeRef root;
  for (int round = 0; round < 5; ++round) {
    auto batch = env->begin_write();
    std::vector<tree::Edit> edits;
    for (int i = 0; i < 3000; ++i) {
      Bytes key(8);
      put_big_endian(key.data(), static_cast<uint64_t>(i * 5 + round));
      edits.push_back({key, false, text("value"), {}});
    }
    root = tree::apply_edits(*batch, root, edits);
    batch->commit();
  }
  size_t entries = 0;
  tree::MapCursor cursor(*env, root);
  for (cursor.first(); cursor.valid(); cursor.next()) {
    if (++entries % 100 == 0) env->refresh();  // a cursor does not depend on the transaction
  }
  EXPECT_EQ(entries, 15000u);
}

TEST(Environment, FindsCommitsByPrefix) {
  TempStore store;
  auto env = store.writer();
  auto batch = env->begin_write();
  std::vector<Uuid> ids = {uuid({0x12, 0x34}), uuid({0x12, 0x3f}), uuid({0x12, 0x40}), uuid({0x13}),
                           uuid({0xff, 0xff})};
  for (size_t i = 0; i < ids.size(); ++i) batch->put_commit(ids[i], 10 + i, text("x"));
  batch->commit();

  using Ids = std::vector<Uuid>;
  EXPECT_EQ(env->commits_with_prefix({}, false, 100), ids);
  EXPECT_EQ(env->commits_with_prefix(Bytes{0x12}, false, 100), (Ids{ids[0], ids[1], ids[2]}));
  EXPECT_EQ(env->commits_with_prefix(Bytes{0x12}, false, 2), (Ids{ids[0], ids[1]}));
  EXPECT_EQ(env->commits_with_prefix(Bytes{0x12, 0x30}, true, 100), (Ids{ids[0], ids[1]}));
  EXPECT_EQ(env->commits_with_prefix(Bytes{0x12, 0x35}, true, 100), (Ids{ids[0], ids[1]}));
  EXPECT_EQ(env->commits_with_prefix(Bytes{0x10}, true, 100), (Ids{ids.begin(), ids.end() - 1}));
  EXPECT_EQ(env->commits_with_prefix(Bytes{0x14}, false, 100), Ids{});
  EXPECT_EQ(env->commits_with_prefix(ids[4], false, 100), Ids{ids[4]});
  EXPECT_EQ(env->commits_with_prefix(Bytes(17), false, 100), Ids{});
}

TEST(Environment, ErasesCommitsFromATxOn) {
  TempStore store;
  auto env = store.writer();
  auto batch = env->begin_write();
  for (uint8_t i = 1; i <= 200; ++i) batch->put_commit(uuid({i}), 1000 + i, text("x"));
  batch->erase_commits_from(1100);
  batch->commit();
  EXPECT_TRUE(env->commit_by_tx(1099));
  EXPECT_TRUE(env->commit(uuid({99})));
  EXPECT_FALSE(env->commit_by_tx(1100));
  EXPECT_FALSE(env->commit(uuid({100})));
  EXPECT_EQ(env->statistics().commits, 99u);
}

TEST(Environment, CountsWhatItHolds) {
  TempStore store;
  auto env = store.writer();
  put_nodes(*env, 100, 3000);
  Statistics statistics = env->statistics();
  EXPECT_EQ(statistics.nodes, 100u);
  EXPECT_EQ(statistics.segments, 0u);
  EXPECT_EQ(statistics.map_bytes, store.map_size);
  EXPECT_EQ(statistics.reader_slots, 16u);
  EXPECT_EQ(statistics.readers, 1u);
  EXPECT_GT(statistics.used_bytes, 300'000u);
  EXPECT_GT(statistics.file_bytes, 300'000u);
  EXPECT_LT(statistics.file_bytes, 1'000'000u);
}

TEST(StoreCreation, IsForTheOwnerOnly) {
  TempStore store;
  store.writer();
  struct stat st;
  ASSERT_EQ(stat(store.directory().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  ASSERT_EQ(stat(store.data_file().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST(StoreCreation, AReaderFindsNoStoreUntilThereIsOne) {
  TempStore store;
  EXPECT_EQ(store.reader(), nullptr);
  std::filesystem::create_directories(store.directory());
  EXPECT_EQ(store.reader(), nullptr);
  std::ofstream(store.data_file()).close();
  EXPECT_EQ(store.reader(), nullptr);
  EXPECT_NE(store.writer(), nullptr);
  EXPECT_NE(store.reader(), nullptr);
}

TEST(StoreCreation, GoesOnWhereItWasInterrupted) {
  TempStore store;
  std::filesystem::create_directories(store.directory());
  std::ofstream(store.directory() + "/creating.mdb") << "half a header";
  MDB_env* env = nullptr;  // files without maps
  mdb_env_create(&env);
  ASSERT_EQ(mdb_env_open(env, store.directory().c_str(), 0, 0600), 0);
  mdb_env_close(env);
  EXPECT_EQ(store.reader(), nullptr);
  EXPECT_NE(store.writer(), nullptr);
  EXPECT_NE(store.reader(), nullptr);
}

TEST(StoreCreation, RemovesWhatAnInterruptedOneLeft) {
  TempStore store;
  std::filesystem::create_directories(store.directory());
  std::string staging = store.directory() + "/creating.mdb";
  std::ofstream(staging) << "half a header";
  EXPECT_NE(store.writer(), nullptr);
  EXPECT_FALSE(std::filesystem::exists(staging));
}

TEST(StoreFormat, AnotherVersionIsRefused) {
  TempStore store;
  {
    auto env = store.writer();
    auto batch = env->begin_write();
    batch->put_meta("store/format", Bytes{99, 0, 0, 0});
    batch->commit();
  }
  for (auto open : {&TempStore::reader, &TempStore::writer}) {
    std::string message = message_of<FormatError>([&] { (store.*open)(); });
    EXPECT_NE(message.find("version 99"), std::string::npos) << message;
    EXPECT_NE(message.find("version " + std::to_string(kFormatVersion)), std::string::npos)
        << message;
  }
}

TEST(StoreFormat, AnotherOwnerIsRefused) {
  TempStore store;
  store.writer();
  Options options = store.options(true);
  options.identity.system_id = 43;
  std::string message =
      message_of<FormatError>([&] { Environment::open(store.directory(), options); });
  EXPECT_NE(message.find("system 42"), std::string::npos) << message;
  EXPECT_NE(message.find("system 43"), std::string::npos) << message;
  options = store.options(true);
  options.identity.database = 8;
  EXPECT_THROW(Environment::open(store.directory(), options), FormatError);
}

TEST(StoreFormat, WhoAsksForNoOwnerGetsWhosoeverItIs) {
  TempStore store;
  store.writer();
  Options options = store.options(true);
  options.identity = {};
  EXPECT_NE(Environment::open(store.directory(), options), nullptr);
}

TEST(StoreFormat, WhatIsNoStoreIsRefused) {
  TempStore store;
  std::filesystem::create_directories(store.directory());
  std::ofstream(store.data_file()) << std::string(100'000, 'x');
  EXPECT_THROW(store.reader(), CorruptError);
  EXPECT_THROW(store.writer(), CorruptError);
}

TEST(StoreDamage, ATruncatedFileIsRefused) {
  TempStore store;
  put_nodes(*store.writer(), 100, 10'000);
  for (uintmax_t size : {1'000'000, 500'000, 8193, 8192, 8191, 4096, 1}) {
    std::filesystem::resize_file(store.data_file(), size);
    EXPECT_THROW(store.reader(), CorruptError) << size;
    EXPECT_THROW(store.writer(), CorruptError) << size;
  }
}

// Where a transaction gives back the last pages it took, LMDB leaves them unwritten. It does once
// it has pages of earlier transactions to reuse, hence the first batches.
TEST(StoreDamage, AFileWithUnwrittenPagesAtItsEndIsNotTakenForATruncatedOne) {
  TempStore store;
  {
    auto env = store.writer();
    for (int i = 0; i < 5; ++i) put_nodes(*env, 1, 10);
    auto batch = env->begin_write();
    batch->put_commit(uuid({1}), 1, Bytes(1'000'000));
    batch->erase_commits_from(1);
    batch->commit();
  }
  EXPECT_NO_THROW(store.writer());
}

TEST(StoreFull, AFullMapIsAnErrorAndNothingIsLost) {
  TempStore store;
  store.map_size = 1 << 20;
  auto env = store.writer();
  uint64_t first = put_nodes(*env, 10, 10'000);
  std::string message = message_of<FullError>([&] { put_nodes(*env, 200, 10'000); });
  EXPECT_NE(message.find("1048576"), std::string::npos) << message;
  EXPECT_NE(message.find("datahike.map_size"), std::string::npos) << message;
  EXPECT_EQ(env->node(first + 9).size(), 10'000u);
  env->release();
  EXPECT_EQ(put_nodes(*env, 1, 100), first + 10);

  env.reset();
  store.map_size = 8 << 20;
  env = store.writer();
  EXPECT_EQ(env->node(first + 9).size(), 10'000u);
  EXPECT_EQ(put_nodes(*env, 200, 10'000), first + 11);
}

}  // namespace
}  // namespace datahike::store
