// Types of fields of CSV files.
#include "csv/value_type.h"

#include <gtest/gtest.h>

namespace datahike::csv {
namespace {

ValueType type_of(std::initializer_list<const char*> fields) {
  TypeSet types = all_types;
  for (const char* field : fields) types &= possible_types(field);
  return narrowest(types);
}

TEST(CsvValueType, NumbersWithoutLeadingZerosAreIntegers) {
  EXPECT_EQ(type_of({"0", "-1", "+5", "9223372036854775807", "-9223372036854775808"}),
            ValueType::Bigint);
  EXPECT_EQ(type_of({"1", "007"}), ValueType::Text);
  EXPECT_EQ(type_of({"1", "9223372036854775808"}), ValueType::Numeric);
  EXPECT_EQ(type_of({"1 "}), ValueType::Text);
  EXPECT_EQ(type_of({"-"}), ValueType::Text);
}

TEST(CsvValueType, DecimalsAreDoublesWhileTheyFitThem) {
  EXPECT_EQ(type_of({"1", "2.5"}), ValueType::Double);
  EXPECT_EQ(type_of({".5", "5.", "1e10", "-0.000012345678901234567"}), ValueType::Double);
  EXPECT_EQ(type_of({"0.1234567890123456789"}), ValueType::Numeric);
  EXPECT_EQ(type_of({"1e1000"}), ValueType::Text);
  EXPECT_EQ(type_of({"1e309"}), ValueType::Numeric);
  EXPECT_EQ(type_of({"9007199254740993", "0.5"}), ValueType::Numeric);
  EXPECT_EQ(type_of({"NaN", "-inf", "3"}), ValueType::Double);
  EXPECT_EQ(type_of({"."}), ValueType::Text);
  EXPECT_EQ(type_of({"1e"}), ValueType::Text);
}

TEST(CsvValueType, DatesAndTimesAreIso) {
  EXPECT_EQ(type_of({"2024-02-29"}), ValueType::Date);
  EXPECT_EQ(type_of({"2023-02-29"}), ValueType::Text);
  EXPECT_EQ(type_of({"1900-02-29"}), ValueType::Text);
  EXPECT_EQ(type_of({"01/02/2023"}), ValueType::Text);
  EXPECT_EQ(type_of({"2024-02-29", "2024-02-29T23:59:59.123456"}), ValueType::Timestamp);
  EXPECT_EQ(type_of({"2024-02-29 23:59+05:30", "2024-02-29T01:02:03Z"}), ValueType::TimestampTz);
  EXPECT_EQ(type_of({"2024-02-29 23:59", "2024-02-29T01:02:03Z"}), ValueType::Text);
  EXPECT_EQ(type_of({"23:59", "00:00:01.5"}), ValueType::Time);
  EXPECT_EQ(type_of({"24:00"}), ValueType::Text);
  EXPECT_EQ(type_of({"10:00:00."}), ValueType::Text);
  EXPECT_EQ(type_of({"10:00:00.1234567"}), ValueType::Text);
}

TEST(CsvValueType, TheRestIsText) {
  EXPECT_EQ(type_of({}), ValueType::Text);
  EXPECT_EQ(type_of({"true", "FALSE"}), ValueType::Boolean);
  EXPECT_EQ(type_of({"true", "1"}), ValueType::Text);
  EXPECT_EQ(type_of({"6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b"}), ValueType::Uuid);
  EXPECT_EQ(type_of({"6ec0bd7f-11c0-43da-975e-2a8ad9ebae0"}), ValueType::Text);
  EXPECT_EQ(type_of({""}), ValueType::Text);
}

}  // namespace
}  // namespace datahike::csv
