// References to rows as a dump has them: they read back, and nothing reads them as values.
#include "datom/row_names.h"

#include <gtest/gtest.h>

#include "datom/encoding.h"

namespace datahike::datom {
namespace {

constexpr int64_t kRow = kFirstRow + 7;

RowName ada() { return {"public", "person", {{"id", "5"}, {"nick", std::nullopt}}, 0}; }

std::string as_ada(std::string_view reference) {
  return decode(reference).integer == kRow ? encode_row_name(ada()) : std::string(reference);
}

TEST(RowNames, ReadBack) {
  const RowName read = decode_row_name(encode_row_name(ada()));
  EXPECT_EQ(read.schema, "public");
  EXPECT_EQ(read.table, "person");
  EXPECT_EQ(read.key, ada().key);
  RowName gone;
  gone.entity = kRow;
  EXPECT_FALSE(decode_row_name(encode_row_name(gone)).is_known());
  EXPECT_EQ(decode_row_name(encode_row_name(gone)).entity, kRow);
}

TEST(RowNames, NullAndTheTextNullDiffer) {
  RowName text = ada();
  text.key[1].second = "";
  EXPECT_NE(encode_row_name(text), encode_row_name(ada()));
}

TEST(RowNames, AreNoValues) {
  try {
    decode(encode_row_name(ada()));
    FAIL();
  } catch (const FactError& e) {
    EXPECT_STREQ(e.sqlstate, "55000");
    EXPECT_NE(std::string(e.what()).find("public.person with (id, nick) = (5, NULL)"),
              std::string::npos);
  }
}

TEST(RowNames, ReplaceReferencesWithinTuplesOfTuples) {
  const Value inner = Value::tuple({Value::ref(kRow), Value::nil(), Value::long_(0)});
  const std::string before = encode(Value::tuple({Value::string(std::string("a\0b", 3)), inner}));
  EXPECT_TRUE(refers_to_rows(before));
  EXPECT_FALSE(has_row_names(before));
  const std::string named = replace_references(before, as_ada);
  EXPECT_TRUE(has_row_names(named));
  EXPECT_THROW(decode(named), FactError);
  EXPECT_EQ(replace_references(named,
                               [](std::string_view reference) {
                                 return reference[0] == kRowName ? encode(Value::ref(kRow))
                                                                 : std::string(reference);
                               }),
            before);
}

TEST(RowNames, OtherValuesStayAsTheyAre) {
  for (const Value& v : {Value::ref(5), Value::long_(kRow), Value::string("x"),
                         Value::tuple({Value::ref(5), Value::long_(kRow)})}) {
    EXPECT_FALSE(refers_to_rows(encode(v)));
    EXPECT_FALSE(may_be_row_name(v));
    EXPECT_EQ(replace_references(encode(v), as_ada), encode(v));
  }
}

TEST(RowNames, CutOffTheyAreCorrupt) {
  const std::string whole = encode_row_name(ada());
  for (size_t i = 1; i < whole.size(); ++i) {
    try {  // behind a whole column it is a name, of fewer columns
      EXPECT_LT(decode_row_name(whole.substr(0, i)).key.size(), ada().key.size());
    } catch (const CorruptError&) {
    }
  }
}

}  // namespace
}  // namespace datahike::datom
