// Redaction: what is erased is in no byte of the file, everything else is as it was, commits keep
// their ids, and damage is told from redaction.
#include "store/redaction.h"

#include <gtest/gtest.h>

#include <fstream>

#include "fold_world.h"
#include "store/eraser.h"
#include "store/free_pages.h"
#include "store/unused_bytes.h"
#include "store/verify.h"

namespace datahike::store::test {
namespace {

constexpr uint64_t kTable = 4000;  // the generator has tables 1000 to 3000
constexpr uint64_t kFirstRowid = 10'000'000;
constexpr int64_t kNumber = 0x5EC2E7'0123'4567;

class Redacting : public testing::Test {
 protected:
  Redacting() : head_(store_.root()) {}

  static std::string marker(uint64_t rowid) { return "secret-of-" + std::to_string(rowid) + "!"; }

  // On no line: what stays of one would tell the numbers on it that have gone.
  static int64_t number_of(uint64_t rowid) {
    return kNumber + static_cast<int64_t>(rowid * 0x9E3779B97F4A7C15 >> 20);
  }

  void fold(const Transaction& transaction) {
    head_ = store_.fold(head_.id, next_tx_++, {&transaction});
    ids_.push_back(head_.id);
  }

  // A commit that adds rows with markers to the table. The log has them in pieces of `piece` rows.
  void add_rows(uint32_t count, uint32_t piece, size_t padding = 0) {
    Transaction transaction;
    transaction.branch = 1;
    transaction.parts.resize(1);
    transaction.entry.xid = 1'000'000 + next_tx_ * 10;
    TableDelta delta;
    delta.table = kTable;
    delta.added.push_back({next_rowid_, count});
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t rowid = next_rowid_ + i;
      rows_[rowid] = {.entity = rowid,
                      .xid = transaction.entry.xid,
                      .number = number_of(rowid),
                      .text = marker(rowid) + std::string(padding, 'p')};
    }
    for (uint32_t at = 0; at < count; at += piece) {
      const uint32_t rows = std::min(piece, count - at);
      const Bytes segment = build_segment(rows_, next_rowid_ + at, rows);
      delta.segments.push_back(
          {next_rowid_ + at, rows, 0, transaction.parts[0].size(), segment.size()});
      transaction.parts[0].insert(transaction.parts[0].end(), segment.begin(), segment.end());
    }
    next_rowid_ += count;
    transaction.entry.delta.tables.push_back(std::move(delta));
    fold(transaction);
  }

  void add_noise(int commits) {
    for (int i = 0; i < commits; ++i) fold(generator_.next(1));
  }

  // All rows of the table that satisfy `test` and have not been erased.
  template <class Test>
  std::vector<Redaction> request(Test&& test) {
    std::vector<Redaction> redactions(1);
    Redaction& redaction = redactions[0];
    redaction.request[0] = static_cast<uint8_t>(++requests_);
    redaction.who = "somebody";
    redaction.table_name = "t";
    redaction.table = kTable;
    for (const auto& [rowid, row] : rows_)
      if (!gone_.contains(rowid) && test(rowid)) redaction.rows.add(rowid);
    redaction.entities = count_rowids(redaction.rows);
    store_.env().refresh();
    find_redacted_commits(store_.env(), redactions, [] {});
    return redactions;
  }

  void record(const std::vector<Redaction>& redactions) {
    const Bytes handed_over = encode_request(redactions);
    auto batch = store_.env().begin_write();
    put_redactions(store_.env(), *batch, decode_request(handed_over));
    batch->commit();
    store_.env().refresh();
    for (const Redaction& redaction : redactions)
      for (auto at = redaction.rows.at_or_after(0); at; at = redaction.rows.at_or_after(*at + 1))
        gone_.add(*at);
  }

  void erase(int most_steps = INT_MAX) {
    Eraser eraser(store_.env());
    for (int i = 0; i < most_steps; ++i) {
      auto batch = store_.env().begin_write();
      const bool done = eraser.step(store_.env(), *batch);
      batch->commit();
      store_.env().refresh();
      if (done) return;
    }
  }

  template <class Test>
  void purge(Test&& test) {
    record(request(test));
    erase();
  }

  // As compact() does, in a worker that has been started since.
  void compact() {
    store_.close();
    store_.open();
    for (int i = 0; i < 2; ++i) {
      auto batch = store_.env().begin_write();
      batch->commit();
    }
    FreePages progress;
    while (punch_free_pages(store_.env(), progress)) {
    }
    clear_unused_bytes(store_.env());
  }

  std::vector<Finding> findings(bool deep = true) {
    std::vector<Finding> found;
    store_.env().refresh();
    verify(
        store_.env(), deep, [&](const Finding& finding) { found.push_back(finding); }, [] {});
    return found;
  }
  std::string damage(bool deep = true) {
    std::string found;
    for (const Finding& finding : findings(deep))
      if (finding.corrupt) found += finding.detail + "\n";
    return found;
  }

  // The rows that are in segments, by their texts.
  void expect_remaining() {
    std::set<std::string> stored, expected;
    column::Scratch scratch;
    for (uint64_t at = 0;;) {
      const auto segment = store_.env().segment_at_or_after(kTable, at);
      if (!segment) break;
      segment->verify();
      for (uint32_t i = 0; i < segment->rows(); ++i)
        stored.insert(std::string(as_string_view(segment->bytes(segment->find(2), i, scratch))));
      at = segment->last_rowid() + 1;
    }
    for (const auto& [rowid, row] : rows_)
      if (!gone_.contains(rowid)) expected.insert(*row.text);
    EXPECT_EQ(stored, expected);
  }

  std::string file() {
    std::ifstream in(store_.directory() + "/data.mdb", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Of how many erased rows (or rows that are there) the file has the text or the number.
  size_t count_in_file(bool erased) {
    const std::string bytes = file();
    size_t count = 0;
    for (const auto& [rowid, row] : rows_) {
      if (gone_.contains(rowid) != erased) continue;
      const std::string number(reinterpret_cast<const char*>(&row.number), sizeof row.number);
      count +=
          bytes.find(marker(rowid)) != std::string::npos || bytes.find(number) != std::string::npos;
    }
    return count;
  }

  TestStore store_;
  Generator generator_{7};
  Commit head_;
  uint64_t next_tx_ = 2, next_rowid_ = kFirstRowid;
  std::vector<Uuid> ids_;
  std::map<uint64_t, Row> rows_;
  tree::RowidSet gone_;
  int requests_ = 0;
};

TEST_F(Redacting, ErasesRowsAndKeepsEverythingElse) {
  add_noise(5);
  add_rows(100, 100);
  add_noise(5);
  add_rows(40, 3);
  const Contents before = read_contents(store_.env(), head_.id);
  const auto first = kFirstRowid + 10;
  purge([&](uint64_t rowid) { return rowid % 7 == 0 || (rowid >= first && rowid < first + 30); });
  expect_remaining();
  EXPECT_EQ(damage(), "");
  EXPECT_EQ(read_contents(store_.env(), head_.id), before);
  for (size_t i = 0; i < ids_.size(); ++i) EXPECT_EQ(store_.env().commit_by_tx(i + 2), ids_[i]);
  size_t redacted = 0, records = 0;
  for (const Finding& finding : findings()) {
    redacted += finding.redacted && finding.commit;
    records += finding.redacted && !finding.commit;
  }
  EXPECT_EQ(redacted, 2u);
  EXPECT_EQ(records, 1u);
  EXPECT_EQ(damage(false), "");
  store_.close();
  store_.open();
  EXPECT_EQ(damage(), "");
  add_noise(5);
  EXPECT_EQ(damage(), "");
}

TEST_F(Redacting, NoByteStays) {
  for (int i = 0; i < 12; ++i) {
    add_rows(1 + static_cast<uint32_t>(i), 2);  // small segments, several to a page
    add_noise(2);
  }
  add_rows(3000, 3000);     // as columns: the numbers are packed, the texts lie there
  add_rows(5, 1, 300'000);  // a segment each, of many pages
  EXPECT_GT(count_in_file(false), 3000u) << "the test would not notice";
  const size_t all = rows_.size();
  purge([](uint64_t rowid) { return rowid % 3 == 0; });
  purge([](uint64_t rowid) { return rowid % 3 == 1 && rowid % 2 == 0; });
  compact();
  EXPECT_EQ(count_in_file(true), 0u);
  EXPECT_GT(count_in_file(false), all / 3);
  expect_remaining();
  EXPECT_EQ(damage(), "");
  add_noise(3);
  store_.close();
  store_.open();
  EXPECT_EQ(damage(), "");
  expect_remaining();
}

TEST_F(Redacting, GoesOnWhereItWasCutShort) {
  add_rows(2000, 2000);
  add_rows(40, 1, 1'000'000);  // more than one step
  record(request([](uint64_t rowid) { return rowid % 2 == 0; }));
  EXPECT_EQ(damage(), "") << "what is recorded and not erased is no damage";
  EXPECT_TRUE(first_unerased(store_.env()));
  erase(1);
  EXPECT_EQ(damage(), "");
  EXPECT_TRUE(first_unerased(store_.env())) << "the test needs more steps";
  record(request([](uint64_t rowid) { return rowid % 4 == 1; }));
  store_.close();
  store_.open();
  erase();
  EXPECT_FALSE(first_unerased(store_.env()));
  expect_remaining();
  EXPECT_EQ(damage(), "");
}

TEST_F(Redacting, TheSameCommitSeveralTimes) {
  add_rows(50, 50);
  add_rows(50, 50);
  for (uint64_t i = 0; i < 10; ++i) purge([&](uint64_t rowid) { return rowid % 11 == i; });
  expect_remaining();
  EXPECT_EQ(damage(), "");
  purge([](uint64_t) { return true; });
  expect_remaining();
  EXPECT_EQ(damage(), "");
  EXPECT_FALSE(store_.env().segment_at_or_after(kTable, 0));
}

TEST_F(Redacting, CoversNoDamageUp) {
  add_rows(50, 50);
  std::map<uint64_t, Row> forged = rows_;
  forged.at(kFirstRowid + 7).number ^= 1;
  {
    auto batch = store_.env().begin_write();
    batch->put_segment(kTable, build_segment(forged, kFirstRowid, 50));
    batch->commit();
  }
  EXPECT_THROW(request([](uint64_t rowid) { return rowid == kFirstRowid + 7; }), CorruptError);
  EXPECT_THROW(request([](uint64_t rowid) { return rowid == kFirstRowid; }), CorruptError);
}

TEST_F(Redacting, FindsARowThatWasReplacedAfterwards) {
  add_rows(50, 50);
  purge([](uint64_t rowid) { return rowid == kFirstRowid + 20; });
  std::map<uint64_t, Row> forged = rows_;
  forged.at(kFirstRowid + 7).number ^= 1;
  {
    auto batch = store_.env().begin_write();
    batch->put_segment(kTable, build_segment(forged, kFirstRowid, 20));
    batch->put_segment(kTable, build_segment(forged, kFirstRowid + 21, 29));
    batch->commit();
  }
  EXPECT_NE(damage().find("not those it was made with"), std::string::npos) << damage();
}

TEST_F(Redacting, FindsARowThatIsMissingWithoutARecord) {
  add_rows(50, 50);
  purge([](uint64_t rowid) { return rowid == kFirstRowid + 20; });
  {
    auto batch = store_.env().begin_write();
    batch->put_segment(kTable, build_segment(rows_, kFirstRowid, 19));
    batch->commit();
  }
  EXPECT_NE(damage().find("is missing"), std::string::npos) << damage();
}

TEST_F(Redacting, FindsARowThatCameBack) {
  add_rows(50, 50);
  purge([](uint64_t rowid) { return rowid == kFirstRowid + 49; });
  {
    auto batch = store_.env().begin_write();
    batch->put_segment(kTable, build_segment(rows_, kFirstRowid + 49, 1));
    batch->commit();
  }
  EXPECT_NE(damage().find("which has been erased"), std::string::npos) << damage();
}

// Records are hashed and chained: none can be changed or left out.
TEST_F(Redacting, FindsChangedRecords) {
  add_rows(50, 50);
  purge([](uint64_t rowid) { return rowid == kFirstRowid + 20; });
  purge([](uint64_t rowid) { return rowid == kFirstRowid + 30; });
  const std::string prefix = "redacted/record/";
  const auto key = [&](uint8_t number) {
    std::string key = prefix + std::string(8, '\0');
    key.back() = static_cast<char>(number);
    return key;
  };
  const auto put = [&](const std::string& at, ByteView value) {
    auto batch = store_.env().begin_write();
    batch->put_meta(at, value);
    batch->commit();
    store_.env().refresh();
  };
  for (uint8_t number : {1, 2}) {
    const Bytes record = *store_.env().meta(key(number));
    for (size_t at = 0; at < record.size(); at += 3) {
      Bytes changed = record;
      changed[at] ^= 16;
      put(key(number), changed);  // with a right checksum
      EXPECT_NE(damage(false), "") << int{number} << " " << at;
    }
    put(key(number), record);
  }
  const Bytes rows = *store_.env().meta("redacted/rows");
  tree::RowidSet more = tree::decode_rowid_set(rows);
  more.add(kFirstRowid + 40);
  put("redacted/rows", tree::encode_rowid_set(more));
  EXPECT_NE(damage(false), "");
  put("redacted/rows", rows);
  EXPECT_EQ(damage(), "");
  const Bytes first = *store_.env().meta(key(1));
  put(key(1), *store_.env().meta(key(2)));
  EXPECT_NE(damage(false), "");
  put(key(1), first);
  {
    auto batch = store_.env().begin_write();
    batch->erase(Map::Meta, as_bytes(key(2)));
    batch->commit();
    store_.env().refresh();
  }
  EXPECT_NE(damage(false), "");
}

}  // namespace
}  // namespace datahike::store::test
