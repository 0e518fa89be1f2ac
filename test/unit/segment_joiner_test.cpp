// Small segments are joined, and all that is said of the rows stays as it was.
#include "store/segment_joiner.h"

#include <gtest/gtest.h>

#include "fold_world.h"
#include "store/verify.h"

namespace datahike::store::test {
namespace {

constexpr uint32_t kMain = 1;
constexpr uint64_t kTable = 1000;
constexpr uint64_t kAll = UINT64_MAX;  // transactions are settled

Transaction insert(const std::map<uint64_t, Row>& rows, uint64_t first, uint32_t count = 1) {
  Transaction transaction;
  transaction.branch = kMain;
  transaction.entry.xid = rows.at(first).xid;
  transaction.parts = {build_segment(rows, first, count)};
  TableDelta delta;
  delta.table = kTable;
  delta.added = {{first, count}};
  delta.segments = {{first, count, 0, 0, transaction.parts[0].size()}};
  transaction.entry.delta.tables = {delta};
  return transaction;
}

class Joining : public testing::Test {
 protected:
  Joining() : head_(store_.root()) {}

  void add(uint64_t rowid, bool wide = false, size_t text = 3, bool of_next = false) {
    rows_[rowid] = {.entity = of_next                       ? rowid + 1
                              : rowid > 3 && rowid % 5 == 0 ? rowid - 3
                                                            : rowid,
                    .xid = 100 + next_tx_,
                    .number = static_cast<int64_t>(rowid * rowid),
                    .text = rowid % 7 == 0 ? std::optional<std::string>()
                                           : std::string(text, static_cast<char>('a' + rowid % 26)),
                    .wide = wide};
    const Transaction transaction = insert(rows_, rowid);
    head_ = store_.fold(head_.id, next_tx_++, {&transaction});
    store_.env().refresh();
  }

  // All steps. Each is its own batch.
  JoinResult run(SegmentJoiner& joiner, uint64_t settled = kAll) {
    for (int i = 0; !joiner.done(); ++i) {
      EXPECT_LT(i, 10000);
      step(joiner, settled);
    }
    return joiner.result();
  }
  void step(SegmentJoiner& joiner, uint64_t settled = kAll) {
    store_.env().refresh();
    std::unique_ptr<WriteBatch> batch;
    joiner.step(
        store_.env(),
        [&]() -> WriteBatch& {
          if (!batch) batch = store_.env().begin_write();
          return *batch;
        },
        settled);
    if (batch) batch->commit();
    store_.env().refresh();
  }
  JoinResult join_all() {
    SegmentJoiner joiner(SegmentJoiner::Mode::All);
    joiner.add_table(kTable);
    return run(joiner);
  }
  JoinResult join_written(uint64_t settled = kAll) {
    SegmentJoiner joiner(SegmentJoiner::Mode::Tiers);
    for (const SegmentKey& key : store_.env().small_segments_written())
      joiner.add_place(key.table, key.first_rowid);
    return run(joiner, settled);
  }
  size_t segments() { return count_segments(store_.env(), kTable); }
  void expect_whole() {
    expect_rows(store_.env(), {{kTable, rows_}});
    verify(
        store_.env(), true,
        [](const Finding& finding) { EXPECT_FALSE(finding.corrupt) << finding.detail; }, [] {});
  }

  TestStore store_;
  Commit head_;
  uint64_t next_tx_ = 2;
  std::map<uint64_t, Row> rows_;
};

TEST_F(Joining, NeighboursOfManyFoldsBecomeOneSegment) {
  for (uint64_t i = 1; i <= 300; ++i) add(i);
  EXPECT_EQ(segments(), 300u);
  EXPECT_TRUE(has_small_neighbours(store_.env(), kTable));
  const JoinResult result = join_all();
  EXPECT_EQ(segments(), 1u);
  EXPECT_EQ(result.before, 300u);
  EXPECT_EQ(result.after, 1u);
  EXPECT_FALSE(has_small_neighbours(store_.env(), kTable));
  expect_whole();
  EXPECT_EQ(join_all().before, 0u);
}

TEST_F(Joining, HolesAreNoRows) {
  for (uint64_t i = 1; i <= 200; ++i)
    if (i % 9 != 4) add(i);
  add(900);
  join_all();
  EXPECT_EQ(segments(), 1u);
  expect_whole();
  Environment& env = store_.env();
  EXPECT_FALSE(env.segment(kTable, 4));
  EXPECT_FALSE(env.segment(kTable, 500));
  EXPECT_TRUE(env.segment(kTable, 5));
  EXPECT_EQ(env.segment_at_or_after(kTable, 4)->first_rowid(), 1u);
  const SegmentReader segment = *env.segment(kTable, 5);
  const std::vector<uint64_t> holes = segment.holes();
  for (uint32_t row = 0; row < segment.rows(); ++row)
    EXPECT_EQ(holes[row / 64] >> row % 64 & 1, rows_.count(row + 1) == 0);
  Bytes bytes;
  EXPECT_THROW(segment.canonical_row(3, bytes), CorruptError);
}

TEST_F(Joining, RowsThatFallIntoHolesFillThem) {
  for (uint64_t i = 1; i <= 200; ++i)
    if (i < 50 || i > 120 || i % 2) add(i);
  join_all();
  EXPECT_EQ(segments(), 1u);
  for (uint64_t i : {120, 60, 62, 50}) add(i);
  EXPECT_EQ(segments(), 1u);
  expect_whole();
}

// Two sessions take rowids from chunks of their own: a version that the one writes may have the
// rowid before that of the row, which the other one has inserted.
TEST_F(Joining, EntitiesThatComeNextAreNoHoles) {
  for (uint64_t rowid : {1, 2, 4, 5, 6, 7, 9, 12, 13, 14}) add(rowid, false, 3, rowid % 6 == 1);
  join_all();
  EXPECT_LT(segments(), 7);
  expect_whole();
  add(10, false, 3, true);  // where the segment of 9 and 12 has holes
  expect_whole();
}

TEST_F(Joining, OtherColumnsStayApart) {
  for (uint64_t i = 1; i <= 30; ++i) add(i, i > 10 && i <= 20);
  join_all();
  EXPECT_EQ(segments(), 3u);
  expect_whole();
}

TEST_F(Joining, LargeRowsStayAlone) {
  for (uint64_t i = 1; i <= 30; ++i) add(i, false, i % 10 == 0 ? 300 << 10 : 3);
  join_all();
  EXPECT_EQ(segments(), 6u);  // 7 is no multiple of the three
  expect_whole();
}

TEST_F(Joining, SegmentsAreFullWhenTheyAreLargeEnough) {
  for (uint64_t i = 1; i <= 60; ++i) add(i, false, 60 << 10);
  join_all();
  EXPECT_GT(segments(), 2u);
  EXPECT_LT(segments(), 8u);
  expect_whole();
}

TEST_F(Joining, InTheBackgroundARowIsWrittenAFewTimesOnly) {
  uint64_t rows_written = 0;
  for (uint64_t i = 1; i <= 1500; ++i) {
    add(i);
    if (i % 64) continue;
    const size_t before = segments();
    const JoinResult result = join_written();
    rows_written += result.bytes;
    EXPECT_EQ(segments(), before - result.before + result.after);
  }
  join_written();
  EXPECT_LT(segments(), 30u);
  EXPECT_LT(rows_written, 1500u * 8 * 100);
  expect_whole();
}

TEST_F(Joining, InTheBackgroundRowidsBehindYoungRowsStayFree) {
  for (uint64_t i = 1; i <= 40; ++i)
    if (i != 20) add(i);
  const uint64_t settled = rows_[19].xid;  // not yet
  join_written(settled);
  EXPECT_FALSE(store_.env().segment_at_or_after(kTable, 20)->has_holes());
  SegmentJoiner joiner(SegmentJoiner::Mode::Tiers);
  SegmentSurvey survey;
  while (!survey.step(store_.env(), joiner)) {
  }
  run(joiner, settled + 1);
  expect_whole();
}

// Random transactions of several writers, whose rowids interleave; joins in between in either mode;
// commits of the past read as they did.
// Texts and numbers that each segment has in a few bytes, and that take more together. A step ends
// among them, at a place of its own.
TEST_F(Joining, WhatIsNotJoinedIsLookedAtOnce) {
  constexpr uint64_t kSegments = 40, kRowsOfEach = 100;
  std::map<uint64_t, Row> rows;
  SegmentJoiner joiner(SegmentJoiner::Mode::Tiers);
  const auto batch = store_.env().begin_write();
  for (uint64_t segment = 0; segment < kSegments; ++segment) {
    const uint64_t first = 1 + segment * kRowsOfEach, number = segment * segment << 40;
    for (uint64_t row = 0; row < kRowsOfEach; ++row)
      rows[first + row] = {.entity = first + row,
                           .xid = 100,
                           .number = static_cast<int64_t>(number + row * (1000 + segment)),
                           .text = std::string(2000, static_cast<char>('a' + segment % 26)),
                           .wide = false};
    batch->put_segment(kTable, build_segment(rows, first, kRowsOfEach));
    joiner.add_place(kTable, first);
  }
  batch->commit();
  store_.env().refresh();
  for (int i = 0; i < 20 && !joiner.done(); ++i) step(joiner);
  EXPECT_TRUE(joiner.done());
  EXPECT_EQ(segments(), kSegments);
}

TEST_F(Joining, RandomFoldsAndJoins) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    TestStore store;
    Environment& env = store.env();
    Generator generator(seed);
    std::mt19937_64 random(seed);
    std::vector<Transaction> all;
    std::vector<Uuid> ids;
    Commit head = store.root();
    uint64_t next_tx = 2, joined = 0;
    const auto join = [&](SegmentJoiner& joiner, int steps) {
      for (int i = 0; i < steps && !joiner.done(); ++i) {
        env.refresh();
        std::unique_ptr<WriteBatch> batch;
        joiner.step(
            env,
            [&]() -> WriteBatch& {
              if (!batch) batch = env.begin_write();
              return *batch;
            },
            random() % 2 ? 1000 + random() % (10 * next_tx + 1) : kAll);
        if (batch && random() % 8) batch->commit();
        batch.reset();
      }
      joined += joiner.result().before;
      env.refresh();
    };
    for (int i = 0; i < 200; ++i) {
      all.push_back(generator.next(kMain));
      head = store.fold(head.id, next_tx++, {&all.back()});
      ids.push_back(head.id);
      env.refresh();
      if (random() % 20 == 0) {
        SegmentJoiner joiner(SegmentJoiner::Mode::All);
        joiner.add_all_tables(env);
        join(joiner, 1 + static_cast<int>(random() % 10));
      } else if (random() % 8 == 0) {
        SegmentJoiner joiner(SegmentJoiner::Mode::Tiers);
        for (const SegmentKey& key : env.small_segments_written())
          joiner.add_place(key.table, key.first_rowid);
        join(joiner, 100);
      }
      if (i % 50 == 49) expect_rows(env, generator.rows());
    }
    EXPECT_GT(joined, 100u);
    expect_rows(env, generator.rows());
    for (size_t i = 0; i < ids.size(); i += 17)
      EXPECT_TRUE(read_contents(env, ids[i]) == all[i].after) << i;
    verify(
        env, true, [](const Finding& finding) { EXPECT_FALSE(finding.corrupt) << finding.detail; },
        [] {});
  }
}

}  // namespace
}  // namespace datahike::store::test
