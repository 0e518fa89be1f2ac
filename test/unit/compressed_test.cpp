// Values that PostgreSQL compressed: they are kept as they are, and read as what they stand for.
#include <gtest/gtest.h>

#include <random>

#include "column/decompress.h"
#include "column/encoding.h"
#include "compressed_values.h"
#include "segment_oracle.h"
#include "store/segment_copier.h"
#include "store/segment_format.h"
#include "store/segment_strings.h"

namespace datahike::test {
namespace {

std::string decompressed(ByteView value) {
  std::string text(column::decompressed_size(value), '\0');
  column::decompress(value, reinterpret_cast<uint8_t*>(text.data()));
  return text;
}

std::string random_text(std::mt19937_64& rng) {
  const size_t length = 1 + rng() % 3000;
  const unsigned letters = 1 + rng() % 30;
  std::string text;
  while (text.size() < length) {
    if (!text.empty() && rng() % 3 == 0) {
      const size_t from = rng() % text.size();
      text += text.substr(from, rng() % 400);
    } else {
      text += static_cast<char>('a' + rng() % letters);
    }
  }
  return text;
}

TEST(Decompress, GivesBackWhatWasCompressed) {
  std::mt19937_64 rng(1);
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_text(rng);
    ASSERT_EQ(decompressed(by_pglz(text)), text);
    ASSERT_EQ(decompressed(by_lz4(text)), text);
  }
  for (size_t length : {1, 2, 3, 4, 17, 18, 19, 273, 274, 100000}) {
    const std::string text(length, 'x');
    EXPECT_EQ(decompressed(by_pglz(text)), text);
    EXPECT_EQ(decompressed(by_lz4(text)), text);
  }
}

// As AddressSanitizer shows, nothing is read or written outside.
TEST(Decompress, DamagedBytesAreRefusedOrGiveOtherBytes) {
  std::mt19937_64 rng(2);
  for (int i = 0; i < 4000; ++i) {
    const std::string text = random_text(rng);
    Bytes value = rng() % 2 ? by_pglz(text) : by_lz4(text);
    for (int flips = static_cast<int>(1 + rng() % 4); flips > 0; --flips)
      value[rng() % value.size()] ^= static_cast<uint8_t>(1 << rng() % 8);
    if (rng() % 4 == 0) value.resize(rng() % value.size());
    value.shrink_to_fit();
    try {
      decompressed(value);
    } catch (const CorruptError&) {
    }
  }
}

TEST(Decompress, AFewDamagedBytesAskForNoGigabyte) {
  EXPECT_THROW(column::decompressed_size(with_head((1 << 30) - 1, 0, Bytes(100))), CorruptError);
  EXPECT_THROW(column::decompressed_size(with_head((1 << 30) - 1, 1, Bytes(100))), CorruptError);
  EXPECT_THROW(column::decompressed_size(with_head(100, 2, Bytes(100))), CorruptError);
  EXPECT_THROW(column::decompressed_size(Bytes(3)), CorruptError);
}

// Rows of which some byte strings are compressed.
void add_rows(SegmentBuilder& builder, const Table& table, unsigned percent, std::mt19937_64& rng) {
  for (const Row& row : table.rows) {
    builder.begin_row(row.entity, row.xid);
    for (size_t c = 0; c < row.cells.size(); ++c) {
      const auto* text = std::get_if<std::string>(&row.cells[c]);
      if (text && !text->empty() && table.specs[c].kind == Kind::Bytes && rng() % 100 < percent)
        builder.add_compressed(rng() % 2 ? by_pglz(*text) : by_lz4(*text));
      else if (text)
        builder.add_bytes(as_bytes(*text));
      else if (const uint64_t* bits = std::get_if<uint64_t>(&row.cells[c]))
        builder.add_bits(*bits);
      else
        builder.add_null();
    }
  }
}

Bytes build_compressed(const Table& table, unsigned percent, std::mt19937_64& rng) {
  SegmentBuilder builder(table.specs);
  add_rows(builder, table, percent, rng);
  return builder.finish(1000);
}

TEST(CompressedColumn, IsReadAsWhatItStandsFor) {
  std::mt19937_64 rng(3);
  for (int i = 0; i < 300; ++i) {
    const Table table = random_table(rng, static_cast<uint32_t>(1 + rng() % 300));
    const Bytes plain = build(table, 1000);
    const Bytes segment = build_compressed(table, i % 3 ? 60 : 100, rng);
    const SegmentReader reader(segment);
    reader.verify();
    expect_holds(reader, table, 1000);
    for (uint32_t row = 0; row < reader.rows(); ++row) {
      Bytes canonical, expected;
      reader.canonical_row(row, canonical);
      SegmentReader(plain).canonical_row(row, expected);
      ASSERT_EQ(canonical, expected);
    }
  }
}

TEST(CompressedColumn, StringsOfARunLieOneBehindTheOther) {
  std::mt19937_64 rng(4);
  std::vector<Cell> cells;
  for (int i = 0; i < 500; ++i)
    cells.push_back(i % 7 == 3 ? Cell() : Cell(std::to_string(i) + random_text(rng)));
  const Table table = column_of(Kind::Bytes, cells);
  const Bytes segment = build_compressed(table, 50, rng);
  const SegmentReader reader(segment);
  store::StringScratch scratch;
  for (uint32_t first : {0u, 100u, 499u}) {
    std::vector<ByteView> strings(reader.rows() - first);
    store::read_strings(reader, 0, first, strings, scratch);
    for (uint32_t i = 0; i < strings.size(); ++i) {
      const auto* text = std::get_if<std::string>(&cells[first + i]);
      if (text != nullptr) {
        ASSERT_EQ(as_string_view(strings[i]), *text);
      }
      if (i > 0) {
        ASSERT_EQ(strings[i].data(), strings[i - 1].data() + strings[i - 1].size());
      }
    }
  }
}

TEST(CompressedColumn, OfRowsThatAreNotWantedNothingIsDecompressed) {
  std::mt19937_64 rng(9);
  std::vector<Cell> cells;
  for (int i = 0; i < 200; ++i) cells.push_back(std::to_string(i) + random_text(rng));
  const Bytes segment = build_compressed(column_of(Kind::Bytes, cells), 100, rng);
  uint64_t wanted[4];
  for (uint64_t& word : wanted) word = rng();
  store::StringScratch scratch;
  std::vector<ByteView> strings(180);
  store::read_strings(SegmentReader(segment), 0, 20, strings, scratch, wanted);
  for (size_t i = 0; i < strings.size(); ++i) {
    const bool is_wanted = wanted[i / 64] >> i % 64 & 1;
    EXPECT_EQ(as_string_view(strings[i]), is_wanted ? std::get<std::string>(cells[20 + i]) : "");
  }
}

TEST(CompressedColumn, CopiesStayCompressed) {
  std::mt19937_64 rng(5);
  std::vector<Cell> cells;
  for (int i = 0; i < 200; ++i) cells.push_back(random_text(rng));
  const Table table = column_of(Kind::Bytes, cells);
  const Bytes segment = build_compressed(table, 100, rng);
  const SegmentReader reader(segment);
  std::vector<Bytes> made;
  store::SegmentCopier copier([&](Bytes copy) { made.push_back(std::move(copy)); });
  copier.add(reader, 0, 10);
  copier.add(reader, 20, 100);
  copier.finish();
  ASSERT_EQ(made.size(), 1u);
  const SegmentReader copy(made[0]);
  EXPECT_TRUE(copy.has_holes());
  for (uint32_t row = 0; row < copy.rows(); ++row) {
    if (copy.is_hole(row)) continue;
    column::ShortScratch a, b;
    const store::StoredBytes was = reader.stored(0, row, a), is = copy.stored(0, row, b);
    EXPECT_TRUE(is.compressed);
    EXPECT_TRUE(std::ranges::equal(was.bytes, is.bytes));
  }
}

TEST(CompressedColumn, TheSameValueIsStoredOnce) {
  std::mt19937_64 rng(6);
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(rng() % 64);
  SegmentBuilder builder({{.number = 1, .kind = Kind::Bytes}, {.number = 2, .kind = Kind::Int32}});
  for (uint64_t i = 0; i < 100; ++i) {
    builder.begin_row(0, 1);
    builder.add_compressed(by_lz4(i % 2 ? text + text : text + text + text));
    builder.add_bits(i);
  }
  EXPECT_LT(builder.finish(1).size(), 3 * text.size());
}

// A library that does not know such columns refuses them by the version.
TEST(CompressedColumn, HasVersionsOfItsOwn) {
  std::mt19937_64 rng(7);
  const Table table = column_of(Kind::Bytes, {"a", "b"});
  EXPECT_EQ(build_compressed(table, 0, rng)[store::segment_format::kVersionAt], 2);
  EXPECT_EQ(build_compressed(table, 100, rng)[store::segment_format::kVersionAt], 4);
  for (unsigned percent : {0, 100}) {
    SegmentBuilder builder(table.specs);
    add_rows(builder, table, percent, rng);
    builder.add_holes(3);
    add_rows(builder, table, percent, rng);
    EXPECT_EQ(builder.finish(1)[store::segment_format::kVersionAt], percent ? 5 : 3);
  }
}

TEST(CompressedColumn, DamageIsDetectedAndNeverCrashes) {
  std::mt19937_64 rng(8);
  for (int i = 0; i < 500; ++i) {
    std::vector<Cell> cells;
    for (size_t n = 1 + rng() % 20; n > 0; --n) cells.push_back(random_text(rng));
    Bytes segment = build_compressed(column_of(Kind::Bytes, cells), 70, rng);
    for (int flips = 0; flips < 8; ++flips) {
      const size_t from = store::segment_format::kEntityEncodingAt;
      const size_t at = flips % 2 ? from + rng() % (segment.size() - from)
                                  : from + rng() % std::min<size_t>(100, segment.size() - from);
      segment[at] ^= static_cast<uint8_t>(1 << rng() % 8);
    }
    try {
      const SegmentReader reader{ByteView(segment)};
      for (int c = 0; c < reader.columns(); ++c)
        for (uint32_t row = 0; row < std::min<uint32_t>(reader.rows(), 30); ++row) {
          try {
            Bytes out;
            reader.canonical_row(row, out);
          } catch (const CorruptError&) {
          }
          if (reader.spec(c).kind != Kind::Bytes) continue;
          store::StringScratch scratch;
          std::vector<ByteView> strings(1);
          store::read_strings(reader, c, row, strings, scratch);
        }
    } catch (const CorruptError&) {
    } catch (const FormatError&) {
    }
  }
}

}  // namespace
}  // namespace datahike::test
