// Damaged segments: an error or, where the checksum was not asked, some value; never a crash.
// Run with AddressSanitizer to see reads outside the segment.
#include <gtest/gtest.h>

#include <cstring>

#include "segment_oracle.h"
#include "store/segment_format.h"

namespace datahike::test {
namespace {

// Calls every accessor on every row and column, each on its own as one may throw.
class Reading {
 public:
  explicit Reading(const SegmentReader& reader) : reader_(reader) {
    for (uint32_t row = 0; row < std::min(reader.rows(), 100u); ++row) read(row);
    read(reader.rows() - 1);
    for (int column = 0; column < reader.columns(); ++column) {
      attempt([&] { reader_.spec(column); });
      attempt([&] { reader_.zone(column); });
      attempt([&] {
        std::vector<uint64_t> run(reader_.rows());
        reader_.bits(column, 0, run);
      });
    }
    for (int16_t number = 0; number < 20; ++number) reader.find(number);
  }

 private:
  void read(uint32_t row) {
    attempt([&] { reader_.entity(row); });
    attempt([&] { reader_.xid(row); });
    attempt([&] {
      Bytes out;
      reader_.canonical_row(row, out);
    });
    for (int column = 0; column < reader_.columns(); ++column) {
      attempt([&] { reader_.is_null(column, row); });
      attempt([&] { reader_.bits(column, row); });
      attempt([&] {
        column::Scratch scratch;
        sum_of(reader_.bytes(column, row, scratch));
      });
      attempt([&] {
        const store::ColumnReader one = reader_.column_reader(column);
        if (one.is_null(row)) return;
        column::Scratch scratch;
        if (one.spec().kind <= Kind::Float64)
          sum_ = sum_ + one.bits(row);
        else
          sum_of(one.bytes(row, scratch));
      });
      attempt([&] { reader_.decimal_digits(column); });
    }
  }
  template <class Act>
  void attempt(Act act) {
    try {
      act();
    } catch (const CorruptError&) {
    }
  }
  void sum_of(ByteView value) {
    for (uint8_t b : value) sum_ = sum_ + b;
  }

  SegmentReader reader_;
  volatile uint64_t sum_ = 0;
};

void expect_detected(const Bytes& damaged, const std::string& what) {
  try {
    const SegmentReader reader{ByteView(damaged)};
    Reading all(reader);
    EXPECT_THROW(reader.verify(), CorruptError) << what;
  } catch (const CorruptError&) {
  } catch (const FormatError&) {
  }
}

TEST(DamagedSegment, TruncationAtEveryLengthIsDetected) {
  std::mt19937_64 rng(1);
  for (uint32_t rows : {1u, 5u, 40u}) {
    const Bytes segment = build(random_table(rng, rows), 1);
    for (size_t length = 0; length < segment.size(); ++length) {
      const Bytes truncated(segment.begin(), segment.begin() + static_cast<long>(length));
      EXPECT_THROW(SegmentReader{ByteView(truncated)}, CorruptError) << length;
    }
  }
}

TEST(DamagedSegment, BytesAfterTheEndAreDetected) {
  Bytes segment = build(column_of(Kind::Int32, {uint64_t{1}}), 1);
  segment.push_back(0);
  EXPECT_THROW(SegmentReader{ByteView(segment)}, CorruptError);
}

TEST(DamagedSegment, EveryFlippedBitIsDetectedAndNeverCrashes) {
  std::mt19937_64 rng(2);
  for (int i = 0; i < 12; ++i) {
    Bytes segment = build(random_table(rng, static_cast<uint32_t>(1 + rng() % 20)), 1);
    const size_t step = 1 + segment.size() / 400;
    for (size_t at = 0; at < segment.size(); at += at < 150 ? 1 : step) {
      const uint8_t flip = static_cast<uint8_t>(1 << rng() % 8);
      segment[at] ^= flip;
      expect_detected(segment, "byte " + std::to_string(at));
      segment[at] ^= flip;
    }
  }
}

TEST(DamagedSegment, ManyDamagedBytesNeverCrash) {
  std::mt19937_64 rng(3);
  for (int i = 0; i < 1500; ++i) {
    Bytes segment = build(random_table(rng, static_cast<uint32_t>(1 + rng() % 20)), 1);
    const Bytes intact = segment;
    for (int flips = 0; flips < 8; ++flips) {
      // From the directory on, so that most of them get past the constructor.
      const size_t from = store::segment_format::kEntityEncodingAt;
      segment[from + rng() % (segment.size() - from)] = static_cast<uint8_t>(rng() >> rng() % 64);
    }
    if (segment != intact) expect_detected(segment, "run " + std::to_string(i));
  }
}

TEST(DamagedSegment, AnotherFormatVersionIsNamed) {
  Bytes segment = build(column_of(Kind::Int32, {uint64_t{1}}), 1);
  segment[store::segment_format::kVersionAt] = 9;
  try {
    SegmentReader{ByteView(segment)};
    FAIL();
  } catch (const FormatError& e) {
    EXPECT_NE(std::strstr(e.what(), "version 9"), nullptr);
  }
}

}  // namespace
}  // namespace datahike::test
