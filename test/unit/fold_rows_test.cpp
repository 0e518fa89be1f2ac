// How a fold writes rows: packing, redo after a crash, damage, adoption.
#include <gtest/gtest.h>

#include "fold_world.h"

namespace datahike::store::test {
namespace {

constexpr uint32_t kMain = 1, kSide = 2;
constexpr uint64_t kTable = 1000;

std::vector<const Transaction*> pointers(const std::vector<Transaction>& all, size_t from,
                                         size_t to) {
  std::vector<const Transaction*> entries;
  for (size_t i = from; i < to; ++i) entries.push_back(&all[i]);
  return entries;
}

std::map<uint64_t, Row> plain_rows(uint64_t first, uint64_t count, size_t text_length = 3) {
  std::map<uint64_t, Row> rows;
  for (uint64_t i = first; i < first + count; ++i) {
    // Texts differ in every byte position, so that no encoding makes them small.
    std::string text;
    for (size_t n = 0; n < text_length; ++n) text += static_cast<char>('a' + (i * 31 + n * n) % 26);
    rows[i] = {.entity = i, .xid = 9, .number = static_cast<int64_t>(i * i), .text = text};
  }
  return rows;
}

// A transaction that inserts rows first .. first+count-1 as one segment.
Transaction insert(const std::map<uint64_t, Row>& rows, uint64_t first, uint32_t count,
                   uint32_t branch = kMain) {
  Transaction transaction;
  transaction.branch = branch;
  transaction.entry.xid = 100 + first;
  transaction.parts = {build_segment(rows, first, count)};
  TableDelta delta;
  delta.table = kTable;
  delta.added = {{first, count}};
  delta.segments = {{first, count, 0, 0, transaction.parts[0].size()}};
  transaction.entry.delta.tables = {delta};
  return transaction;
}

TEST(FoldRows, NeighboursOfManyTransactionsBecomeOneSegment) {
  TestStore store;
  const auto rows = plain_rows(1, 600);
  std::vector<Transaction> all;
  for (uint64_t i = 0; i < 600; ++i) all.push_back(insert(rows, 1 + (i * 7) % 600, 1));

  store.fold(store.root().id, 2, pointers(all, 0, 600));

  expect_rows(store.env(), {{kTable, rows}});
  EXPECT_EQ(count_segments(store.env(), kTable), 1u);
}

TEST(FoldRows, GapsSeparateSegments) {
  TestStore store;
  auto rows = plain_rows(1, 10);
  rows.erase(5);
  std::vector<Transaction> all;
  for (const auto& row : rows) all.push_back(insert(rows, row.first, 1));

  store.fold(store.root().id, 2, pointers(all, 0, all.size()));

  expect_rows(store.env(), {{kTable, rows}});
  EXPECT_EQ(count_segments(store.env(), kTable), 2u);
}

TEST(FoldRows, OtherColumnsSeparateSegments) {
  TestStore store;
  auto rows = plain_rows(1, 9);
  for (uint64_t rowid : {4, 5, 6}) rows[rowid].wide = true;
  std::vector<Transaction> all;
  for (const auto& row : rows) all.push_back(insert(rows, row.first, 1));

  store.fold(store.root().id, 2, pointers(all, 0, all.size()));

  expect_rows(store.env(), {{kTable, rows}});
  EXPECT_EQ(count_segments(store.env(), kTable), 3u);
}

TEST(FoldRows, LargeSegmentsAreStoredAsTheyAre) {
  TestStore store;
  const auto rows = plain_rows(1, 10000);
  const std::vector<Transaction> all = {insert(rows, 1, 4999), insert(rows, 5000, 1),
                                        insert(rows, 5001, 5000)};

  store.fold(store.root().id, 2, pointers(all, 0, 3));

  expect_rows(store.env(), {{kTable, rows}});
  EXPECT_EQ(count_segments(store.env(), kTable), 3u);
  const ByteView stored = store.env().segment(kTable, 5001)->raw();
  EXPECT_TRUE(std::ranges::equal(stored, all[2].parts[0]));
}

TEST(FoldRows, PackedSegmentsStayNearTheirTargetSize) {
  TestStore store;
  const auto rows = plain_rows(1, 1200, 2000);
  std::vector<Transaction> all;
  for (uint64_t i = 1; i <= 1200; i += 10) all.push_back(insert(rows, i, 10));

  store.fold(store.root().id, 2, pointers(all, 0, all.size()));

  expect_rows(store.env(), {{kTable, rows}});
  EXPECT_EQ(count_segments(store.env(), kTable), 3u);
}

// More than the packer holds back at once, so that neighbours meet in different flushes.
TEST(FoldRows, MoreThanFitsInMemoryIsWrittenInTurns) {
  TestStore store;
  const auto rows = plain_rows(1, 400, 60000);
  std::vector<Transaction> all;
  for (uint64_t i = 0; i < 400; ++i) all.push_back(insert(rows, 1 + (i * 7) % 400, 1));

  store.fold(store.root().id, 2, pointers(all, 0, 400));
  expect_rows(store.env(), {{kTable, rows}});

  std::reverse(all.begin(), all.end());
  store.fold(store.root().id, 2, pointers(all, 0, 400));
  expect_rows(store.env(), {{kTable, rows}});
}

// The fold that died had fewer log entries, or other neighbours; both must give the same answers.
TEST(FoldRows, RedoWithOtherGroupingLosesAndDoublesNothing) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    TestStore store;
    Generator generator(seed);
    std::vector<Transaction> all;
    for (int i = 0; i < 160; ++i) all.push_back(generator.next(kMain));
    const Commit head = store.fold(store.root().id, 2, pointers(all, 0, 40));
    store.fold(head.id, 42, pointers(all, 40, 90));
    store.fold(head.id, 42, pointers(all, 40, 41 + 10 * seed));

    std::vector<Uuid> ids;
    store.fold(head.id, 42, pointers(all, 40, 160), &ids);

    expect_rows(store.env(), generator.rows());
    for (size_t i = 40; i < 160; ++i)
      ASSERT_TRUE(read_contents(store.env(), ids[i - 40]) == all[i].after);
  }
}

TEST(FoldRows, RedoOfAPartKeepsTheOtherRowsOfASegment) {
  TestStore store;
  const auto rows = plain_rows(1, 300);
  std::vector<Transaction> all;
  for (uint64_t i = 1; i <= 300; ++i) all.push_back(insert(rows, i, 1));
  store.fold(store.root().id, 2, pointers(all, 0, 300));
  ASSERT_EQ(count_segments(store.env(), kTable), 1u);

  store.fold(store.root().id, 2, pointers(all, 100, 200));

  expect_rows(store.env(), {{kTable, rows}});
}

// Compaction may have merged what the fold that died wrote, or cut it elsewhere.
class RedoOverOtherSegments : public testing::Test {
 protected:
  void store_as(std::initializer_list<uint32_t> sizes) {
    auto batch = store_.env().begin_write();
    uint64_t first = 1;
    for (uint32_t size : sizes) {
      batch->put_segment(kTable, build_segment(rows_, first, size));
      first += size;
    }
    batch->commit();
  }

  const std::map<uint64_t, Row> rows_ = plain_rows(1, 6000);
  TestStore store_;
};

TEST_F(RedoOverOtherSegments, LargeInsideALargerOneKeepsTheRest) {
  store_as({6000});
  const Transaction large = insert(rows_, 501, 5000);
  store_.fold(store_.root().id, 2, {&large});
  expect_rows(store_.env(), {{kTable, rows_}});
  EXPECT_EQ(count_segments(store_.env(), kTable), 3u);
}

TEST_F(RedoOverOtherSegments, SmallOnesAfterALargeOneReplaceItsRest) {
  store_as({6000});
  const Transaction large = insert(rows_, 501, 5500), small = insert(rows_, 1, 500);
  store_.fold(store_.root().id, 2, {&large, &small});
  expect_rows(store_.env(), {{kTable, rows_}});
}

TEST_F(RedoOverOtherSegments, PlaceAcrossTwoSegmentsReplacesBoth) {
  store_as({10, 10, 5980});
  const Transaction first = insert(rows_, 1, 8), second = insert(rows_, 9, 4);
  store_.fold(store_.root().id, 2, {&first, &second});
  expect_rows(store_.env(), {{kTable, rows_}});
}

TEST(FoldRows, DamagedLogIsRefusedByName) {
  const auto rows = plain_rows(1, 20);
  const Transaction intact = insert(rows, 1, 20);
  for (size_t at = 0; at < intact.parts[0].size(); at += 3) {
    TestStore store;
    Transaction damaged = intact;
    damaged.parts[0][at] ^= 0x10;
    try {
      store.fold(store.root().id, 2, {&damaged});
      FAIL() << "byte " << at;
    } catch (const CorruptError& error) {
      EXPECT_NE(std::string(error.what()).find("transaction 101"), std::string::npos);
    } catch (const FormatError&) {  // the version byte
    }
  }
}

TEST(FoldRows, TruncatedOrMisplacedSegmentIsRefused) {
  const auto rows = plain_rows(1, 20);
  TestStore store;
  Transaction truncated = insert(rows, 1, 20);
  truncated.parts[0].pop_back();
  EXPECT_THROW(store.fold(store.root().id, 2, {&truncated}), CorruptError);
  Transaction misplaced = insert(rows, 1, 20);
  misplaced.entry.delta.tables[0].added = {{2, 20}};
  misplaced.entry.delta.tables[0].segments[0].first_rowid = 2;
  EXPECT_THROW(store.fold(store.root().id, 2, {&misplaced}), CorruptError);
}

TEST(FoldRows, RowInTheLogTwiceIsRefused) {
  TestStore store;
  const auto rows = plain_rows(1, 20);
  const std::vector<Transaction> all = {insert(rows, 1, 10), insert(rows, 10, 2)};
  EXPECT_THROW(store.fold(store.root().id, 2, pointers(all, 0, 2)), CorruptError);
}

TEST(FoldRows, LastRowRemovedLeavesNoLiveSet) {
  TestStore store;
  Transaction first = insert(plain_rows(7, 1), 7, 1), last;
  first.entry.delta.tables[0].schema = {'n'};
  last.branch = kMain;
  last.entry.delta.tables.resize(1);
  last.entry.delta.tables[0].table = kTable;
  last.entry.delta.tables[0].removed = {{7, 0}};

  const Commit head = store.fold(store.root().id, 2, {&first, &last});

  EXPECT_TRUE(find_table(store.env(), head.root, kTable).live.empty());
  EXPECT_EQ(find_table(store.env(), head.root, kTable).rows, 0u);
  EXPECT_EQ(find_schema(store.env(), head.root, kTable), Bytes{'n'});
}

TEST(FoldRows, MergeAdoptsRowsOfAnotherBranch) {
  TestStore store;
  const auto rows = plain_rows(1, 8);
  const Transaction on_side = insert(rows, 1, 5, kSide), on_main = insert(rows, 6, 2);
  const Commit side = store.fold(store.root().id, 2, {&on_side});
  Transaction merge = insert(rows, 8, 1);
  merge.entry.extra_parents = {side.id};
  merge.entry.delta.tables[0].added = {{2, 3}, {8, 1}};

  const Commit head = store.fold(store.root().id, 3, {&on_main, &merge});

  const std::set<uint64_t> expected = {2, 3, 4, 6, 7, 8};
  EXPECT_EQ(read_contents(store.env(), head.id).live.at(kTable), expected);
  expect_rows(store.env(), {{kTable, rows}});
  std::vector<uint64_t> log;
  walk_log(store.env(), head.id, [&](const Commit& commit) {
    log.push_back(commit.tx);
    return true;
  });
  EXPECT_EQ(log, (std::vector<uint64_t>{4, 3, 2, 1}));
}

TEST(FoldRows, AdoptingAMissingRowIsRefused) {
  TestStore store;
  Transaction merge = insert(plain_rows(1, 8), 8, 1);
  merge.entry.delta.tables[0].added = {{2, 3}, {8, 1}};
  EXPECT_THROW(store.fold(store.root().id, 2, {&merge}), CorruptError);
}

// The digest, and with it the commit id, covers what rows say, not how segments encode them.
TEST(FoldRows, CommitIdIsTheSameForOtherSegments) {
  const auto rows = plain_rows(1, 10);
  TestStore one, two;
  Transaction whole = insert(rows, 1, 10), halves = insert(rows, 1, 4);
  const Bytes rest = build_segment(rows, 5, 6);
  TableDelta& delta = halves.entry.delta.tables[0];
  delta.added = {{1, 10}};
  delta.segments.push_back({5, 6, 0, halves.parts[0].size(), rest.size()});
  halves.parts[0].insert(halves.parts[0].end(), rest.begin(), rest.end());

  const Commit a = one.fold(one.root().id, 2, {&whole});
  const Commit b = two.fold(two.root().id, 2, {&halves});

  EXPECT_EQ(a.id, b.id);
  auto changed_rows = rows;
  changed_rows[3].number = 0;
  TestStore three;
  const Transaction changed = insert(changed_rows, 1, 10);
  EXPECT_NE(three.fold(three.root().id, 2, {&changed}).id, a.id);
}

}  // namespace
}  // namespace datahike::store::test
