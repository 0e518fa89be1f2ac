// Rows that a query has no room for: what files give back, and answers with little memory.
#include "datalog/row_set.h"

#include "datalog_world.h"

namespace datahike::datalog {
namespace {

TEST(RowFile, GivesBackValuesOfAllKinds) {
  const Values values{Value(),
                      Value::boolean(true),
                      Value::integer(-5),
                      Value::real(-0.0),
                      Value::real(std::numeric_limits<double>::infinity()),
                      Value::character(U'ß'),
                      Value::instant(-1),
                      Value::uuid("0123456789abcdef"),
                      Value::bytes(std::string("\0\xff", 2)),
                      edn::read("123456789012345678901234567890N"),
                      edn::read("1.500M"),
                      edn::read("\"text\""),
                      edn::read("\"text\""),
                      edn::read(":a/text"),
                      edn::read("text"),
                      edn::read("(1 [2 #{3 \"x\"} {:k (nil)}])"),
                      edn::read("#my/tag [1.50M]")};
  RowFile file(std::make_shared<MemoryFile>(), 2, 5, true);
  Columns columns(2);
  for (size_t i = 0; i < values.size(); ++i) {
    columns[0].push_integer(static_cast<int64_t>(i));
    columns[1].push_back(values[i]);
  }
  file.append(columns, 0, values.size());
  file.flush();
  ASSERT_EQ(file.rows(), values.size());
  size_t row = 0;
  for (size_t number = 0; number < file.blocks(); ++number) {
    const Columns block = file.read_number(number);
    for (size_t i = 0; i < block[0].size(); ++i, ++row) {
      EXPECT_EQ(block[0][i], Value::integer(static_cast<int64_t>(row)));
      EXPECT_EQ(block[1][i].kind(), values[row].kind());
      EXPECT_EQ(edn::write(block[1][i]), edn::write(values[row]));
    }
  }
  EXPECT_EQ(row, values.size());
}

TEST(RowFile, IsReadBackwardsWithoutNumbers) {
  RowFile file(std::make_shared<MemoryFile>(), 1, 16, false);
  for (int64_t i = 0; i < 100; ++i) {
    const Column one(1, Value::integer(i));
    file.append_row(std::span(&one, 1), 0);
  }
  file.flush();
  int64_t sum = 0;
  size_t blocks = 0;
  for (uint64_t at = file.last_block(); at != RowFile::kNone; ++blocks) {
    const Columns block = file.read(at, &at);
    for (const Value& v : block[0]) sum += v.as_integer();
  }
  EXPECT_EQ(sum, 4950);
  EXPECT_EQ(blocks, 7u);
}

class Collected : public RowSet::Reader {
 public:
  void whole(const Relation& rows) override { some(rows); }
  void some(const Relation& rows) override {
    for (size_t row = 0; row < rows.rows; ++row)
      found.emplace_back(rows.columns[0][row].as_integer(), rows.columns[1][row].as_integer());
  }
  void end() override { ++ends; }
  std::vector<std::pair<int64_t, int64_t>> found;
  int ends = 0;
};

Relation pairs(Budget& budget, int64_t from, int64_t to, int64_t keys) {
  Relation rows(budget, {0, 1});
  for (int64_t i = from; i < to; ++i) {
    rows.columns[0].push_integer(i % keys);
    rows.columns[1].push_integer(i);
  }
  rows.rows = static_cast<size_t>(to - from);
  rows.charge();
  return rows;
}

// Each row once, whatever the keys are, within the memory.
TEST(RowSet, ShowsEachRowOnce) {
  NoFunctions host;
  for (int64_t keys : {1, 3, 1000, 1000000}) {
    for (const std::vector<Var>& key : {std::vector<Var>{0, 1}, {0}, {}}) {
      Budget budget(100000, nullptr);
      RowSet set(budget, host, {0, 1}, key);
      for (int64_t at = 0; at < 20000; at += 1000) {
        set.add(pairs(budget, at, at + 1000, keys));
        set.add(pairs(budget, at / 2, at / 2 + 1000, keys));
      }
      ASSERT_TRUE(set.is_in_files());
      Collected all;
      set.read(all);
      std::sort(all.found.begin(), all.found.end(),
                [](auto a, auto b) { return a.second < b.second; });
      ASSERT_EQ(all.found.size(), 20000u);
      for (int64_t i = 0; i < 20000; ++i)
        ASSERT_EQ(all.found[static_cast<size_t>(i)], std::pair(i % keys, i));
      EXPECT_EQ(all.ends > 0, key.empty() || (key.size() == 1 && keys <= 3));
    }
  }
}

TEST(RowSet, HoldsWhatFits) {
  NoFunctions host;
  Budget budget(1 << 20, nullptr);
  RowSet set(budget, host, {0, 1}, {0, 1});
  set.add(pairs(budget, 0, 1000, 7));
  set.add(pairs(budget, 500, 1500, 7));
  EXPECT_FALSE(set.is_in_files());
  EXPECT_EQ(set.take().rows, 1500u);
}

}  // namespace
}  // namespace datahike::datalog
