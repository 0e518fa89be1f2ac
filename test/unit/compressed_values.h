// Values compressed as PostgreSQL does it: by lz4, and by a pglz that looks for the longest copy.
#pragma once

#include <lz4.h>

#include <algorithm>
#include <string>

#include "column/bytes.h"

namespace datahike::test {

inline Bytes with_head(size_t size, uint32_t method, const Bytes& data) {
  Bytes out;
  ByteWriter writer(out);
  writer.fixed<uint32_t>(static_cast<uint32_t>(size) | method << 30);
  writer.raw(data);
  return out;
}

inline Bytes by_lz4(const std::string& text) {
  Bytes data(static_cast<size_t>(LZ4_compressBound(static_cast<int>(text.size()))));
  data.resize(static_cast<size_t>(
      LZ4_compress_default(text.data(), reinterpret_cast<char*>(data.data()),
                           static_cast<int>(text.size()), static_cast<int>(data.size()))));
  return with_head(text.size(), 1, data);
}

inline Bytes by_pglz(const std::string& text) {
  Bytes data;
  size_t flags_at = 0;
  int items = 8;
  for (size_t at = 0; at < text.size();) {
    if (items == 8) {
      flags_at = data.size();
      data.push_back(0);
      items = 0;
    }
    size_t best = 0, offset = 0;
    for (size_t back = 1; back <= std::min<size_t>(at, 4095) && best < 273; ++back) {
      size_t length = 0;
      while (length < 273 && at + length < text.size() &&
             text[at + length] == text[at + length - back])
        ++length;
      if (length > best) best = length, offset = back;
    }
    if (best < 3) {
      data.push_back(static_cast<uint8_t>(text[at++]));
    } else {
      data[flags_at] |= static_cast<uint8_t>(1 << items);
      const size_t brief = std::min<size_t>(best, 18) - 3;
      data.push_back(static_cast<uint8_t>((offset >> 8) << 4 | brief));
      data.push_back(static_cast<uint8_t>(offset));
      if (best >= 18) data.push_back(static_cast<uint8_t>(best - 18));
      at += best;
    }
    ++items;
  }
  return with_head(text.size(), 0, data);
}

}  // namespace datahike::test
