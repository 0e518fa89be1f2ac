#include "store/segment_strings.h"

#include <algorithm>
#include <bit>

#include "column/byte_list.h"
#include "column/decompress.h"
#include "store/segment_format.h"

namespace datahike::store {

using namespace segment_format;

namespace {

struct Body {
  const column::Encoding* encoding;
  ByteView values;
};

Body body_of(const SegmentReader& segment, int column) {
  const uint8_t* data = segment.raw().data();
  const uint8_t* entry = data + kDirectoryAt + static_cast<size_t>(column) * kEntryBytes;
  const uint32_t begin = load<uint32_t>(entry - sizeof(uint32_t));
  const uint32_t end = load<uint32_t>(entry + kEntryEndAt);
  return {column::kEncodings[entry[2] >> 4],
          {data + begin, end - begin - optional_bytes(entry[3], segment.rows())}};
}

constexpr size_t kKeptBytes = 16 << 20;

// Memory for so many bytes. That of a much larger value is not kept.
uint8_t* room_for(size_t bytes, StringScratch& scratch) {
  if (scratch.capacity < bytes || scratch.capacity > std::max(kKeptBytes, 4 * bytes)) {
    scratch.decompressed.reset();
    scratch.capacity = 0;
    const size_t size = std::max<size_t>(bytes + bytes / 4, 1);
    scratch.decompressed.reset(new uint8_t[size]);
    scratch.capacity = size;
  }
  return scratch.decompressed.get();
}

// The strings one behind the other, those that are not compressed, too.
void read_decompressed(const SegmentReader& segment, int column, uint32_t first,
                       std::span<ByteView> out, StringScratch& scratch, const uint64_t* wanted) {
  const ColumnReader reader = segment.column_reader(column);
  column::ShortScratch brief;  // constant, plain and dictionary need none
  const auto stored = [&](size_t i) {
    const uint32_t row = first + static_cast<uint32_t>(i);
    if (wanted && !(wanted[i / 64] >> i % 64 & 1)) return StoredBytes{};
    return reader.is_null(row) ? StoredBytes{} : reader.stored(row, brief);
  };
  const auto size_of = [](const StoredBytes& value) {
    return value.compressed ? column::decompressed_size(value.bytes) : value.bytes.size();
  };
  size_t bytes = 0;
  for (size_t i = 0; i < out.size(); ++i) bytes += size_of(stored(i));
  uint8_t* at = room_for(bytes, scratch);
  for (size_t i = 0; i < out.size(); ++i) {
    const StoredBytes value = stored(i);
    const size_t size = size_of(value);
    if (value.compressed)
      column::decompress(value.bytes, at);
    else
      std::copy(value.bytes.begin(), value.bytes.end(), at);
    out[i] = {at, size};
    at += size;
  }
}

}  // namespace

void read_coded(const SegmentReader& segment, int column, std::span<ByteView> out) {
  const Body body = body_of(segment, column);
  if (body.encoding != &column::kDictionary) {
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = segment.coded(column, static_cast<uint32_t>(i));
    return;
  }
  const uint32_t count = segment.code_count(column);  // checks the sizes, too
  const uint64_t codes = column::packed_bytes(segment.rows(), std::bit_width(count - 1));
  column::read_byte_lists(body.values.subspan(sizeof count + codes), count, 0, out);
}

void read_strings(const SegmentReader& segment, int column, uint32_t first, std::span<ByteView> out,
                  StringScratch& scratch, const uint64_t* wanted) {
  const Body body = body_of(segment, column);
  if (body.encoding == &column::kPlain && segment.nulls(column) == 0)
    return column::read_byte_lists(body.values, segment.rows(), first, out);
  if (segment.may_be_compressed(column))
    return read_decompressed(segment, column, first, out, scratch, wanted);
  std::vector<column::ShortScratch>& brief = scratch.brief;
  brief.resize(std::max(brief.size(), out.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    const uint32_t row = first + static_cast<uint32_t>(i);
    out[i] =
        segment.is_null(column, row) ? ByteView() : segment.stored(column, row, brief[i]).bytes;
  }
}

}  // namespace datahike::store
