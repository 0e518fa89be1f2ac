#include "column/nested.h"

namespace datahike::column {

std::shared_ptr<Nested> encode_nested(Values values, uint8_t below) {
  auto nested = std::make_shared<Nested>();
  nested->values = std::move(values);
  nested->zone = zone_of(Kind::Int64, nested->values.words(), 0);
  nested->plan = choose_encoding(nested->values, nested->zone, below);
  return nested;
}

void write_nested(const Nested& nested, Bytes& out) {
  out.push_back(nested.plan.encoding);
  kEncodings[nested.plan.encoding]->encode(nested.values, nested.zone, nested.plan, out);
}

NestedReader read_nested(ByteView body, uint32_t rows, uint8_t below) {
  if (body.empty() || body[0] >= kEncodingCount || kEncodings[body[0]]->depth >= below)
    throw CorruptError("column: damaged nested encoding");
  return {kEncodings[body[0]], {Kind::Int64, rows, body.subspan(1)}};
}

}  // namespace datahike::column
