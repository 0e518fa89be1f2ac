// Text columns: numbers and hashes of the selected rows' strings, and these.
#include "column/vector/evaluator.h"

namespace datahike::vector {

void Evaluator::text_numbers(int column, TextNumbers& numbers, Vector& out) {
  make_selection();
  if (const Column& c = program_.columns[column]; c.build >= 0)
    return build_text_numbers(c, numbers, out);
  const uint32_t* code = code_count(column) > 0 ? codes_of_selected(column) : nullptr;
  if (code && numbers.codes_of != pieces_) {
    numbers.of_code.assign(code_count(column), TextNumbers::kUnknown);
    numbers.codes_of = pieces_;
  }
  compact_nulls(column, out);
  if (!code) {
    const uint16_t* of_selected = all_chosen_ ? nullptr : this->chosen();
    const ByteView* texts = strings(column);
    ByteView chosen[kChunkRows];
    for (unsigned i = 0; i < selected_; ++i)
      chosen[i] =
          out.any_null && out.null[i] ? ByteView() : texts[of_selected ? of_selected[i] : i];
    numbers.number_all(chosen, selected_, out.any_null ? out.null : nullptr, out.words);
    return;
  }
  const auto fill = [&] {
    bool unknown = false;
    for (unsigned i = 0; i < selected_; ++i) {
      const bool null = out.any_null && out.null[i];
      const uint32_t number = null ? 0 : numbers.of_code[code[i]];
      out.words[i] = number;
      unknown |= number == TextNumbers::kUnknown;
    }
    return !unknown;
  };
  if (fill()) return;
  number_codes(column, code, numbers, out);
  fill();
}

const uint32_t* Evaluator::selected_codes(int column) {
  make_selection();
  if (program_.columns[column].build >= 0 || code_count(column) == 0 || null_bits(column))
    return nullptr;
  return codes_of_selected(column);
}

// Numbers the strings of codes of the selected rows that have none yet, all at once.
void Evaluator::number_codes(int column, const uint32_t* code, TextNumbers& numbers,
                             const Vector& nulls) {
  uint32_t fresh[kChunkRows];
  unsigned count = 0;
  for (unsigned i = 0; i < selected_; ++i) {
    if (nulls.any_null && nulls.null[i]) continue;
    const uint32_t c = code[i];
    if (numbers.of_code[c] != TextNumbers::kUnknown) continue;
    numbers.of_code[c] = TextNumbers::kAsked;
    fresh[count++] = c;
  }
  const ByteView* coded = coded_strings(column);
  ByteView texts[kChunkRows];
  uint64_t found[kChunkRows];
  for (unsigned i = 0; i < count; ++i) texts[i] = coded[fresh[i]];
  numbers.number_all(texts, count, nullptr, found);
  for (unsigned i = 0; i < count; ++i) numbers.of_code[fresh[i]] = static_cast<uint32_t>(found[i]);
}

void Evaluator::text_hashes(int column, TextHashes& hashes, uint64_t* out) {
  make_selection();
  if (const Column& c = program_.columns[column]; c.build >= 0) return build_hashes(c, out);
  const uint16_t* of_selected = all_chosen_ ? nullptr : chosen();
  const uint32_t* code = code_count(column) > 0 ? codes(column) : nullptr;
  if (code && hashes.codes_of != pieces_) {
    const ByteView* coded = coded_strings(column);
    hashes.of_code.resize(code_count(column));
    for (uint32_t c = 0; c < code_count(column); ++c) hashes.of_code[c] = text_hash(coded[c]);
    hashes.codes_of = pieces_;
  }
  const ByteView* texts = code ? nullptr : strings(column);
  const uint64_t* nulls = null_bits(column);
  for (unsigned i = 0; i < selected_; ++i) {
    const unsigned row = of_selected ? of_selected[i] : i;
    if (nulls && nulls[row / 64] >> row % 64 & 1)
      out[i] = 0;
    else
      out[i] = code ? hashes.of_code[code[row]] : text_hash(texts[row]);
  }
}

void Evaluator::text_values(int column, ByteView* texts, Vector& out) {
  make_selection();
  const uint16_t* of_selected = all_chosen_ ? nullptr : chosen();
  const uint32_t* code = code_count(column) > 0 ? codes(column) : nullptr;
  const ByteView* all_texts = code ? coded_strings(column) : strings(column);
  compact_nulls(column, out);
  for (unsigned i = 0; i < selected_; ++i) {
    const unsigned row = of_selected ? of_selected[i] : i;
    if (out.any_null && out.null[i])
      texts[i] = {};
    else
      texts[i] = all_texts[code ? code[row] : row];
  }
}

}  // namespace datahike::vector
