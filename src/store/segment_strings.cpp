#include "store/segment_strings.h"

#include <algorithm>
#include <bit>

#include "column/byte_list.h"
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
                  std::vector<column::Scratch>& scratch) {
  const Body body = body_of(segment, column);
  if (body.encoding == &column::kPlain && segment.nulls(column) == 0)
    return column::read_byte_lists(body.values, segment.rows(), first, out);
  scratch.resize(std::max(scratch.size(), out.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    const uint32_t row = first + static_cast<uint32_t>(i);
    out[i] = segment.is_null(column, row) ? ByteView() : segment.bytes(column, row, scratch[i]);
  }
}

}  // namespace datahike::store
