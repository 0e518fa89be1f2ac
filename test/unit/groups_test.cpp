// Groups are numbered as a map of their keys numbers them, whatever values were expected.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "column/vector/groups.h"

namespace datahike::vector {
namespace {

using KeyOf = std::vector<std::pair<bool, int64_t>>;  // NULL, value

class GroupsTest : public testing::Test {
 protected:
  // Chunks of n rows, whose key k is made by value(k, row).
  void check(Groups& groups, size_t keys, unsigned chunks,
             const std::function<std::pair<bool, int64_t>(size_t, unsigned)>& value) {
    for (unsigned chunk = 0; chunk < chunks; ++chunk) {
      const unsigned n = chunk % 3 == 2 ? 100 : kChunkRows;
      std::vector<Vector> vectors(keys);
      std::vector<KeyOf> rows(n);
      std::vector<const Vector*> views;
      for (size_t k = 0; k < keys; ++k) {
        for (unsigned i = 0; i < n; ++i) {
          const auto [null, word] = value(k, i);
          rows[i].push_back({null, null ? 0 : word});
          vectors[k].null[i] = null;
          vectors[k].any_null |= null;
          vectors[k].words[i] = static_cast<uint64_t>(word);
        }
        views.push_back(&vectors[k]);
      }
      std::vector<uint32_t> found(n);
      groups.assign(views, n, found.data());
      for (unsigned i = 0; i < n; ++i) {
        const auto [at, fresh] =
            expected_.emplace(rows[i], static_cast<uint32_t>(expected_.size()));
        ASSERT_EQ(found[i], at->second) << "row " << i << " of chunk " << chunk;
      }
      ASSERT_EQ(groups.size(), expected_.size());
    }
    for (const auto& [key, group] : expected_)
      for (size_t k = 0; k < keys; ++k) {
        ASSERT_EQ(groups.is_null(group, static_cast<unsigned>(k)), key[k].first);
        ASSERT_EQ(static_cast<int64_t>(groups.word(group, static_cast<unsigned>(k))),
                  key[k].second);
      }
  }
  int64_t number(int64_t below) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(below));
  }

  std::mt19937_64 random_{20261129};
  std::map<KeyOf, uint32_t> expected_;
};

TEST_F(GroupsTest, OfTheExpectedValues) {
  Groups groups({false, false});
  groups.expect(std::vector<KeyRange>{{-5, 94}, {0, 9}});
  check(groups, 2, 6, [&](size_t k, unsigned) {
    return std::pair(false, k == 0 ? number(100) - 5 : number(10));
  });
}

TEST_F(GroupsTest, OfSteps) {
  for (const int64_t step : {2, 3, 60, 64, 86400}) {
    expected_.clear();
    Groups groups({false});
    groups.expect(std::vector<KeyRange>{{-70 * step, 900 * step, static_cast<uint64_t>(step)}});
    check(groups, 1, 6,
          [&](size_t, unsigned) { return std::pair(number(40) == 0, (number(971) - 70) * step); });
  }
}

TEST_F(GroupsTest, BetweenAndBeyondTheSteps) {
  for (const int64_t wide : {int64_t{3000}, int64_t{1} << 40, INT64_MAX}) {
    expected_.clear();
    Groups groups({false});
    groups.expect(std::vector<KeyRange>{{0, 6000, 60}});
    unsigned rows = 0;
    check(groups, 1, 9, [&](size_t, unsigned) {
      const bool later = ++rows > 3 * kChunkRows;
      return std::pair(number(40) == 0,
                       later && number(50) == 0 ? number(wide) - wide / 2 : number(101) * 60);
    });
  }
}

TEST_F(GroupsTest, OfAnyValuesWithoutAndWithNulls) {
  for (const int64_t nulls : {0, 1}) {
    expected_.clear();
    Groups groups({false});
    check(groups, 1, 9, [&](size_t, unsigned) {
      return std::pair(nulls && number(3) == 0, number(2000) * 0x123456789abc - INT64_MAX / 2);
    });
  }
}

TEST_F(GroupsTest, FindsWhatHasAGroup) {
  Groups groups({false, false});
  groups.expect(std::vector<KeyRange>{{10, 20}, {-3, 3}});
  check(groups, 2, 1, [&](size_t k, unsigned) {
    return std::pair(false, k == 0 ? 10 + number(5) : number(4) - 3);
  });
  Vector keys[2];
  for (unsigned i = 0; i < kChunkRows; ++i) {
    keys[0].words[i] = static_cast<uint64_t>(number(30) == 0 ? INT64_MIN + 12 : number(30));
    keys[1].words[i] = static_cast<uint64_t>(number(20) - 10);
    keys[1].null[i] = number(10) == 0;
  }
  keys[1].any_null = true;
  const Vector* views[] = {&keys[0], &keys[1]};
  uint32_t found[kChunkRows];
  groups.find(views, kChunkRows, found);
  for (unsigned i = 0; i < kChunkRows; ++i) {
    const KeyOf key{{false, keys[0].ints()[i]}, {false, keys[1].ints()[i]}};
    const auto at = expected_.find(key);
    const bool none = keys[1].null[i] || at == expected_.end();
    ASSERT_EQ(found[i], none ? Groups::kNone : at->second);
  }
}

// Ranges too wide for an array, whose keys are packed in a word; others come in the middle.
TEST_F(GroupsTest, PackedAndBeyondThat) {
  constexpr int64_t kWide = int64_t{1} << 22;
  for (const int64_t beyond : {int64_t{0}, int64_t{5}, kWide, int64_t{1} << 33, INT64_MAX}) {
    for (const bool above : {false, true}) {
      expected_.clear();
      Groups groups({false, false, false});
      groups.expect(std::vector<KeyRange>{{-kWide, kWide}, {}, {100, 131}});
      unsigned rows = 0;
      check(groups, 3, 12, [&](size_t k, unsigned) {
        const bool later = ++rows > 9 * kChunkRows;
        if (number(40) == 0) return std::pair(true, int64_t{0});
        if (k == 1) return std::pair(false, number(1 + rows / 8));
        if (k == 2) return std::pair(false, 100 + number(32));
        const int64_t more = later && number(20) == 0 && beyond ? kWide + number(beyond) : 0;
        return std::pair(false, more ? (above ? more : -more) : number(kWide / 512) * 1024 - kWide);
      });
    }
  }
}

TEST_F(GroupsTest, OfRangesAtTheEndsOfIntegers) {
  for (const auto& [low, high] :
       {std::pair{INT64_MAX - (1 << 21), INT64_MAX}, std::pair{INT64_MIN, INT64_MIN + (1 << 21)},
        std::pair{INT64_MIN, INT64_MAX}, std::pair{INT64_MIN + 1, INT64_MAX},
        std::pair{INT64_MIN, INT64_MAX - 2}, std::pair{int64_t{5}, INT64_MAX}}) {
    expected_.clear();
    Groups groups({false});
    groups.expect(std::vector<KeyRange>{{low, high}});
    check(groups, 1, 9, [&](size_t, unsigned) {
      const int64_t near = number(3000);
      static constexpr int64_t kEnds[] = {INT64_MIN, INT64_MIN + 1, -1,
                                          0,         INT64_MAX - 1, INT64_MAX};
      const int64_t value = number(2) ? low + near : high - near;
      return std::pair(number(9) == 0, number(500) == 0 ? kEnds[number(6)] : value);
    });
  }
}

TEST_F(GroupsTest, OfKeysThatGoDownAndUp) {
  for (const int64_t step : {-7, 7, -40001, 40001}) {
    expected_.clear();
    Groups groups({false, false});
    groups.expect(std::vector<KeyRange>{{0, 1 << 21}, {0, 3}});
    int64_t value = 0;
    check(groups, 2, 30, [&](size_t k, unsigned) {
      if (k == 1) return std::pair(false, number(4));
      return std::pair(false, value += step);
    });
  }
}

TEST_F(GroupsTest, FindsWhatIsPacked) {
  for (const bool wide : {false, true}) {
    expected_.clear();
    const int64_t low = wide ? INT64_MIN + 3 : -1000,
                  high = wide ? INT64_MAX - 3 : int64_t{1} << 30;
    Groups groups({false});
    groups.expect(std::vector<KeyRange>{{low, high}});
    check(groups, 1, 3, [&](size_t, unsigned) { return std::pair(false, low + number(4000)); });
    Vector key;
    key.any_null = true;
    for (unsigned i = 0; i < kChunkRows; ++i) {
      key.words[i] = static_cast<uint64_t>(number(30) == 0   ? INT64_MIN + number(6)
                                           : number(30) == 0 ? INT64_MAX - number(6)
                                                             : low + number(5000));
      key.null[i] = number(10) == 0;
    }
    const Vector* view = &key;
    uint32_t found[kChunkRows];
    groups.find({&view, 1}, kChunkRows, found);
    for (unsigned i = 0; i < kChunkRows; ++i) {
      const auto at = expected_.find(KeyOf{{false, key.ints()[i]}});
      ASSERT_EQ(found[i], key.null[i] || at == expected_.end() ? Groups::kNone : at->second);
    }
  }
}

}  // namespace
}  // namespace datahike::vector
