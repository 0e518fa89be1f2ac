#include "store/delta.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

namespace datahike::store {
namespace {

Bytes encode(const Delta& delta, WithPlaces places) {
  Bytes bytes;
  encode_delta(delta, places, bytes);
  return bytes;
}

void expect_equal(const Delta& a, const Delta& b) {
  ASSERT_EQ(a.tables.size(), b.tables.size());
  for (size_t i = 0; i < a.tables.size(); ++i) {
    const TableDelta &x = a.tables[i], &y = b.tables[i];
    EXPECT_EQ(x.table, y.table);
    EXPECT_EQ(x.cleared, y.cleared);
    EXPECT_EQ(x.schema, y.schema);
    EXPECT_EQ(x.added, y.added);
    EXPECT_EQ(x.removed, y.removed);
    EXPECT_EQ(x.segments, y.segments);
  }
}

TableDelta one_row_update(uint64_t table, uint64_t old_rowid, uint64_t new_rowid) {
  TableDelta delta;
  delta.table = table;
  delta.added = {{new_rowid, 1}};
  delta.removed = {{old_rowid, new_rowid}};
  delta.segments = {{new_rowid, 1, 0, 0, 150}};
  return delta;
}

TableDelta delta_of_everything() {
  TableDelta delta;
  delta.table = 20000;
  delta.cleared = true;
  delta.schema = {1, 2, 3};
  delta.added = {{100, 3}, {103, 5}, {1000, 70000}};
  delta.removed = {{5, 0}, {6, 0}, {7, 100}, {8, 101}, {9, 7}, {101, 0}};
  // The first spans two adjacent ranges; 106 and 107 are adopted.
  delta.segments = {{100, 6, 0, 10, 200}, {1000, 65536, 3, 0, 99999}, {66536, 4464, 3, 99999, 9}};
  return delta;
}

// A random delta that keeps the rules of delta.h.
Delta random_delta(std::mt19937_64& random) {
  const auto pick = [&](uint64_t n) { return random() % n; };
  Delta delta;
  uint64_t id = 0;
  for (uint64_t t = pick(4); t > 0; --t) {
    TableDelta table;
    table.table = id += 1 + pick(100000);
    table.cleared = pick(8) == 0;
    table.schema.resize(pick(3) * 5, 7);
    uint64_t at = pick(1u << 20);
    for (uint64_t n = pick(5); n > 0; --n) {
      const uint64_t count = 1 + pick(300);
      table.added.push_back({at, count});
      uint64_t used = 0;
      while (used < count && pick(10) > 0) {
        const uint64_t rows = 1 + pick(count - used);
        table.segments.push_back({at + used, static_cast<uint32_t>(rows),
                                  static_cast<uint32_t>(pick(3)), pick(1000000), pick(1000)});
        used += rows + pick(2);
      }
      at += count + pick(1000);
    }
    uint64_t rowid = 1 + pick(1u << 20);
    for (uint64_t n = pick(30); n > 0; --n) {
      const uint64_t successor = pick(2) ? 0 : pick(4) ? 65536 + pick(1u << 22) : kMovedPartition;
      for (uint64_t run = 1 + pick(4), i = 0; i < run; ++i)
        table.removed.push_back({rowid++, successor > kMovedPartition ? successor + i : successor});
      rowid += pick(100);
    }
    delta.tables.push_back(std::move(table));
  }
  return delta;
}

TEST(Delta, RoundTripsEverythingItCanHold) {
  const Delta delta{{one_row_update(16384, 5, 2000000), delta_of_everything()}};
  expect_equal(decode_delta(encode(delta, WithPlaces::Yes)), delta);
}

TEST(Delta, LeavesPlacesOutOnDemand) {
  Delta delta{{delta_of_everything()}};
  const Bytes bytes = encode(delta, WithPlaces::No);
  delta.tables[0].segments.clear();
  expect_equal(decode_delta(bytes), delta);
}

TEST(Delta, RoundTripsTheGreatestRowid) {
  const uint64_t last = (uint64_t{1} << 63) - 2;
  Delta delta{{one_row_update(UINT64_MAX, 1, last)}};
  expect_equal(decode_delta(encode(delta, WithPlaces::Yes)), delta);
}

TEST(Delta, RoundTripsRandomDeltas) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const Delta delta = random_delta(random);
    expect_equal(decode_delta(encode(delta, WithPlaces::Yes)), delta);
  }
}

TEST(Delta, OneRowUpdateIsSmall) {
  const Delta cold{{one_row_update(16400, 1500000, 1700000)}};
  EXPECT_LE(encode(cold, WithPlaces::No).size(), 15u);
  EXPECT_LE(encode(cold, WithPlaces::Yes).size(), 20u);
  const Delta hot{{one_row_update(16400, 1699990, 1700000)}};
  EXPECT_LE(encode(hot, WithPlaces::No).size(), 12u);
}

TEST(Delta, UpdateOfEveryRowIsSmall) {
  TableDelta table{
      .table = 16400, .schema = {}, .added = {{2000001, 1000000}}, .removed = {}, .segments = {}};
  for (uint64_t i = 0; i < 1000000; ++i) table.removed.push_back({1 + i, 2000001 + i});
  const Delta delta{{table}};
  const Bytes bytes = encode(delta, WithPlaces::No);
  EXPECT_LE(bytes.size(), 150u);
  expect_equal(decode_delta(bytes), delta);
}

TEST(Delta, EveryTruncationIsCorrupt) {
  const Bytes bytes =
      encode({{one_row_update(16384, 5, 2000000), delta_of_everything()}}, WithPlaces::Yes);
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_THROW(decode_delta(ByteView(bytes).first(n)), CorruptError) << n;
}

TEST(Delta, TrailingBytesAreCorrupt) {
  Bytes bytes = encode({{one_row_update(16384, 5, 2000000)}}, WithPlaces::Yes);
  bytes.push_back(0);
  EXPECT_THROW(decode_delta(bytes), CorruptError);
}

// Flipped bits give another delta that keeps the rules, or CorruptError: never a crash, and never
// much more memory than the bytes are worth.
TEST(Delta, DamageIsCorruptOrStillWellFormed) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = encode(random_delta(random), WithPlaces::Yes);
    for (uint64_t n = 1 + random() % 3; n > 0; --n)
      bytes[random() % bytes.size()] ^= static_cast<uint8_t>(1 << random() % 8);
    try {
      const Delta delta = decode_delta(bytes);
      expect_equal(decode_delta(encode(delta, WithPlaces::Yes)), delta);
    } catch (const CorruptError&) {
    }
  }
}

TEST(Delta, RefusesToEncodeRowidsOutOfOrder) {
  TableDelta table = delta_of_everything();
  std::swap(table.removed[0], table.removed[1]);
  EXPECT_THROW(encode({{table}}, WithPlaces::No), std::logic_error);
  table = delta_of_everything();
  std::swap(table.added[0], table.added[2]);
  EXPECT_THROW(encode({{table}}, WithPlaces::No), std::logic_error);
}

TEST(Delta, RefusesPlacesOutsideTheAddedRows) {
  TableDelta table = one_row_update(16384, 5, 2000000);
  table.segments[0].rows = 2;
  EXPECT_THROW(encode({{table}}, WithPlaces::Yes), CorruptError);
  table.segments = {{1999999, 1, 0, 0, 10}};
  EXPECT_THROW(encode({{table}}, WithPlaces::Yes), CorruptError);
}

TEST(Delta, VisitsPlacesAndAdoptedRowsInOrder) {
  std::vector<std::array<uint64_t, 3>> seen;
  visit_added(delta_of_everything(),
              [&](uint64_t first, uint64_t count, const SegmentPlace* place) {
                seen.push_back({first, count, place != nullptr});
              });
  const std::vector<std::array<uint64_t, 3>> expected = {
      {100, 6, 1}, {106, 2, 0}, {1000, 65536, 1}, {66536, 4464, 1}};
  EXPECT_EQ(seen, expected);
}

TEST(Delta, MovesToAnotherPartitionRoundTripAsOneRun) {
  TableDelta table = one_row_update(16400, 100000, 200000);
  for (uint64_t i = 0; i < 60000; ++i) table.removed.push_back({100001 + i, kMovedPartition});
  const Delta delta{{table}};
  const Bytes bytes = encode(delta, WithPlaces::Yes);
  EXPECT_LE(bytes.size(), 30u);
  expect_equal(decode_delta(bytes), delta);
}

TEST(Delta, CountsAnUpdateOnce) {
  const ChangeCounts counts = count_changes({.table = 1,
                                             .schema = {},
                                             .added = {{100, 5}},
                                             .removed = {{1, 0}, {2, 100}, {3, 101}},
                                             .segments = {}});
  EXPECT_EQ(counts.inserted, 3u);
  EXPECT_EQ(counts.updated, 2u);
  EXPECT_EQ(counts.deleted, 1u);
}

TEST(Delta, CountsAMoveToAnotherPartitionAsADelete) {
  TableDelta table;
  table.removed = {{1, kMovedPartition}};
  EXPECT_EQ(count_changes(table).deleted, 1u);
  EXPECT_EQ(count_changes(table).updated, 0u);
}

TEST(Delta, WhatATransactionMadeAndTookIsNotWhatItMadeAndRemovedAgain) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 500; ++round) {
    TableDelta table;
    std::vector<uint64_t> made, taken;
    for (uint64_t rowid = 100; rowid < 140; ++rowid) {
      const bool added = random() % 3 != 0, removed = random() % 4 == 0;
      // Ranges may touch.
      if (added && (table.added.empty() || random() % 5 == 0 ||
                    table.added.back().first + table.added.back().count != rowid))
        table.added.push_back({rowid, 1});
      else if (added)
        ++table.added.back().count;
      if (removed) table.removed.push_back({rowid, 0});
      if (added && !removed) made.push_back(rowid);
      if (removed && !added) taken.push_back(rowid);
    }
    const auto rows_of = [](const std::vector<tree::RowidRange>& ranges) {
      std::vector<uint64_t> rows;
      for (const tree::RowidRange& range : ranges)
        for (uint64_t i = 0; i < range.count; ++i) rows.push_back(range.first + i);
      return rows;
    };
    ASSERT_EQ(rows_of(rows_made(table)), made);
    ASSERT_EQ(rows_of(rows_taken(table)), taken);
  }
}

}  // namespace
}  // namespace datahike::store
