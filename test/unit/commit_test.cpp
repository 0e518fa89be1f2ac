#include "store/commit.h"

#include <gtest/gtest.h>

#include <set>

namespace datahike::store {
namespace {

Commit sample() {
  Commit commit;
  commit.parents = {root_commit(7).id, root_commit(8).id};
  commit.tx = 300;
  commit.time = -5;
  commit.author = "ada";
  commit.message = "first light";
  commit.branch = 3;
  commit.xid = 1ull << 40;
  TableDelta table;
  table.table = 16400;
  table.added = {{10, 2}};
  table.removed = {{4, 10}, {5, 0}};
  commit.delta.tables = {table};
  commit.rows_digest.fill(9);
  commit.keyframe = true;
  commit.root = {.id = 77, .hash = {}};
  commit.root.hash.fill(5);
  seal(commit);
  return commit;
}

TEST(Commit, RoundTrips) {
  const Commit commit = sample();
  const Commit read = decode_commit(encode_commit(commit), commit.id);
  EXPECT_EQ(read.id, commit.id);
  EXPECT_EQ(read.hash, commit.hash);
  EXPECT_EQ(read.parents, commit.parents);
  EXPECT_EQ(read.tx, commit.tx);
  EXPECT_EQ(read.time, commit.time);
  EXPECT_EQ(read.author, commit.author);
  EXPECT_EQ(read.message, commit.message);
  EXPECT_EQ(read.branch, commit.branch);
  EXPECT_EQ(read.xid, commit.xid);
  EXPECT_EQ(read.rows_digest, commit.rows_digest);
  ASSERT_EQ(read.delta.tables.size(), 1u);
  EXPECT_EQ(read.delta.tables[0].added, commit.delta.tables[0].added);
  EXPECT_EQ(read.delta.tables[0].removed, commit.delta.tables[0].removed);
  EXPECT_TRUE(read.keyframe);
  EXPECT_EQ(read.root.id, commit.root.id);
  EXPECT_EQ(read.root.hash, commit.root.hash);
}

TEST(Commit, EveryFlippedBitIsDetectedAndNamed) {
  for (bool keyframe : {true, false}) {
    Commit commit = sample();
    commit.keyframe = keyframe;
    const Bytes record = encode_commit(commit);
    for (size_t bit = 0; bit < record.size() * 8; ++bit) {
      Bytes damaged = record;
      damaged[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      try {
        decode_commit(damaged, commit.id);
        FAIL() << "bit " << bit;
      } catch (const CorruptError& error) {
        EXPECT_NE(std::string(error.what()).find(format_uuid(commit.id)), std::string::npos);
      }
    }
  }
}

TEST(Commit, EveryTruncationIsDetected) {
  const Commit commit = sample();
  const Bytes record = encode_commit(commit);
  for (size_t n = 0; n < record.size(); ++n)
    EXPECT_THROW(decode_commit(ByteView(record).first(n), commit.id), CorruptError);
}

TEST(Commit, RecordUnderAnotherIdIsDetected) {
  const Commit commit = sample();
  EXPECT_THROW(decode_commit(encode_commit(commit), root_commit(7).id), CorruptError);
}

TEST(Commit, IdDependsOnContentButNotOnKeyframe) {
  const Commit commit = sample();
  std::set<Uuid> ids{commit.id};
  const auto changed = [&](auto change) {
    Commit other = sample();
    change(other);
    seal(other);
    return other.id;
  };
  EXPECT_EQ(changed([](Commit& c) { c.keyframe = false; }), commit.id);
  EXPECT_EQ(changed([](Commit& c) { c.root.id = 1; }), commit.id);
  ids.insert(changed([](Commit& c) { c.parents.pop_back(); }));
  ids.insert(changed([](Commit& c) { ++c.tx; }));
  ids.insert(changed([](Commit& c) { ++c.time; }));
  ids.insert(changed([](Commit& c) { c.author = "bob"; }));
  ids.insert(changed([](Commit& c) { c.message += "!"; }));
  ids.insert(changed([](Commit& c) { ++c.branch; }));
  ids.insert(changed([](Commit& c) { ++c.xid; }));
  ids.insert(changed([](Commit& c) { c.delta.tables[0].removed.pop_back(); }));
  ids.insert(changed([](Commit& c) { c.rows_digest[31] ^= 1; }));
  EXPECT_EQ(ids.size(), 10u);
}

TEST(Commit, RootCommitsOfTwoStoresDiffer) {
  EXPECT_NE(root_commit(7).id, root_commit(8).id);
  EXPECT_EQ(root_commit(7).id, root_commit(7).id);
}

TEST(CommitId, IsAVersion8Uuid) {
  const std::string text = format_uuid(sample().id);
  EXPECT_EQ(text[14], '8');
  EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos);
}

TEST(CommitId, ParsesWhatItFormats) {
  const Uuid id = sample().id;
  EXPECT_EQ(parse_uuid(format_uuid(id)), id);
}

TEST(CommitId, ParsesEitherCaseAndNoHyphens) {
  const auto id = parse_uuid("00112233-4455-8677-8899-aabbccddeeff");
  ASSERT_TRUE(id);
  EXPECT_EQ(parse_uuid("00112233-4455-8677-8899-AABBCCDDEEFF"), id);
  EXPECT_EQ(parse_uuid("00112233445586778899aabbccddeeff"), id);
  EXPECT_EQ(format_uuid(*id), "00112233-4455-8677-8899-aabbccddeeff");
}

TEST(CommitId, RefusesMalformedText) {
  EXPECT_FALSE(parse_uuid(""));
  EXPECT_FALSE(parse_uuid("00112233-4455-8677-8899-aabbccddeef"));
  EXPECT_FALSE(parse_uuid("00112233-4455-8677-8899-aabbccddeefg"));
  EXPECT_FALSE(parse_uuid("001122334-455-8677-8899-aabbccddeeff"));
  EXPECT_FALSE(parse_uuid("00112233-44558677-8899-aabbccddeeff0"));
  EXPECT_FALSE(parse_uuid("{0112233-4455-8677-8899-aabbccddeeff"));
}

}  // namespace
}  // namespace datahike::store
