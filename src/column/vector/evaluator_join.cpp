// Joins: finding the matches of a chunk's rows, and reading the build side's columns.
#include <algorithm>
#include <numeric>

#include "column/vector/hash.h"
#include "column/vector/matches.h"

namespace datahike::vector {

namespace {

// Codes that are numbers of strings of a part of the build side: no number of a piece.
uint64_t codes_of_build(const Join& join) { return ~uint64_t{join.part}; }

}  // namespace

bool Evaluator::next_matches() {
  if (!matches_->found) find_matches();
  if (matches_->next == matches_->rows) return false;
  const Join& join = program_.join;
  if (join.build->is_unique() || join.kind == Join::Semi || join.kind == Join::Anti)
    select_one_match();
  else
    select_all_matches();
  has_selection_ = true;
  ++epoch_;  // what was computed is of other rows
  return true;
}

void Evaluator::find_matches() {
  Matches& m = *matches_;
  make_selection();
  m.found = true;
  m.all_rows = all_chosen_;
  m.rows = selected_;
  m.next = m.duplicate = 0;
  const Join::Kind kind = program_.join.kind;
  if (program_.join.build->rows() == 0 && (kind == Join::Inner || kind == Join::Semi)) {
    m.next = m.rows;  // nothing matches: the keys, which may raise errors, are not to be computed
    return;
  }
  const std::vector<Key>& keys = program_.join.keys;
  const Vector* vectors[Groups::kMostKeys];
  for (size_t k = 0; k < keys.size(); ++k) {
    if (keys[k].text < 0) {
      vectors[k] = &value(keys[k].expression);
    } else {
      match_text(k, m.text_keys[k]);
      vectors[k] = &m.text_keys[k];
    }
  }
  program_.join.build->keys().find(std::span(vectors, keys.size()), selected_, m.key);
  std::copy_n(chosen(), selected_, m.row);
  // What has no match counts, once: with the part that would have it.
  if (program_.join.parts > 1 && (kind == Join::Left || kind == Join::Anti)) leave_other_parts();
}

void Evaluator::leave_other_parts() {
  Matches& m = *matches_;
  const Join& join = program_.join;
  alignas(64) uint64_t hash[kChunkRows], text[kChunkRows];
  std::fill_n(hash, m.rows, 0);
  for (size_t k = 0; k < join.keys.size(); ++k) {
    const Key& key = join.keys[k];
    if (key.text >= 0) {
      text_hashes(key.text, m.hashes[k], text);
      for (unsigned i = 0; i < m.rows; ++i) hash[i] = mix(hash[i] ^ text[i]);
      continue;
    }
    const Vector& v = value(key.expression);
    const bool real = program_.expressions[key.expression].type == Type::Float;
    for (unsigned i = 0; i < m.rows; ++i)
      hash[i] = mix(hash[i] ^ hashed_word(real, v.words[i], v.any_null && v.null[i]));
  }
  unsigned kept = 0;
  for (unsigned i = 0; i < m.rows; ++i) {
    m.row[kept] = m.row[i];
    m.key[kept] = m.key[i];
    kept += part_of(hash[i], join.parts) == join.part;
  }
  m.all_rows &= kept == m.rows;
  in_runs_ &= kept == m.rows;
  m.rows = kept;
}

// The numbers that the build side has for the strings; NULL where it has not got them.
void Evaluator::match_text(size_t key, Vector& out) {
  const int column = program_.join.keys[key].text;
  const TextNumbers& texts = program_.join.build->texts(program_.join.build_keys[key]);
  compact_nulls(column, out);
  if (!out.any_null) std::fill_n(out.null, selected_, 0);
  Matches::Codes& codes_known = matches_->texts[key];
  const bool coded = code_count(column) > 0;
  const uint32_t* code = coded ? codes(column) : nullptr;
  const ByteView* string = coded ? coded_strings(column) : strings(column);
  if (coded && codes_known.codes_of != pieces_) {
    codes_known.number.assign(code_count(column), 0);
    codes_known.known.assign(code_count(column), 0);
    codes_known.codes_of = pieces_;
  }
  const uint16_t* chosen = this->chosen();
  for (unsigned i = 0; i < selected_; ++i) {
    out.words[i] = 0;
    if (out.null[i]) continue;
    const unsigned row = chosen[i];
    uint32_t number;
    if (!coded) {
      number = texts.find(string[row]);
    } else {
      const uint32_t c = code[row];
      if (!codes_known.known[c]) {
        codes_known.number[c] = texts.find(string[c]);
        codes_known.known[c] = 1;
      }
      number = codes_known.number[c];
    }
    out.null[i] = number == TextNumbers::kUnknown;
    out.any_null |= out.null[i] != 0;
    out.words[i] = number;
  }
}

// Every row has one match at most, or that it has one is all that counts.
void Evaluator::select_one_match() {
  Matches& m = *matches_;
  const Join::Kind kind = program_.join.kind;
  const bool with_match = kind != Join::Anti, without = kind == Join::Left || kind == Join::Anti;
  static_assert(Matches::kNone == ~uint32_t{0});
  const uint32_t most = m.rows == 0 ? 0 : *std::max_element(m.key, m.key + m.rows);
  unsigned n = 0;
  if (with_match && (without || most != Matches::kNone)) {
    n = m.rows;
    std::copy_n(m.row, n, chosen_);
    std::copy_n(m.key, n, m.build);
  } else {
    for (unsigned i = 0; i < m.rows; ++i) {
      chosen_[n] = m.row[i];
      m.build[n] = m.key[i];
      n += m.key[i] == Matches::kNone ? without : with_match;
    }
  }
  m.next = m.rows;
  has_chosen_ = true;
  selected_ = n;
  all_chosen_ = m.all_rows && n == m.rows;
  in_runs_ &= n == m.rows;
}

void Evaluator::select_all_matches() {
  Matches& m = *matches_;
  const BuildTable& build = *program_.join.build;
  const bool without = program_.join.kind == Join::Left;
  unsigned n = 0;
  while (m.next < m.rows && n < kChunkRows) {
    const uint32_t key = m.key[m.next];
    const uint16_t row = m.row[m.next];
    if (key == Matches::kNone) {
      chosen_[n] = row;
      m.build[n] = Matches::kNone;
      n += without;
      ++m.next;
      continue;
    }
    const uint32_t count = build.first(key + 1) - build.first(key);
    const uint32_t take = std::min<uint32_t>(count - m.duplicate, kChunkRows - n);
    std::fill_n(chosen_ + n, take, row);
    for (uint32_t i = 0; i < take; ++i) m.build[n + i] = build.first(key) + m.duplicate + i;
    n += take;
    m.duplicate += take;
    if (m.duplicate < count) break;
    m.duplicate = 0;
    ++m.next;
  }
  selected_ = n;
  has_chosen_ = true;
  all_chosen_ = in_runs_ = false;
}

const uint32_t* Evaluator::build_rows() const { return matches_->build; }

void Evaluator::build_nulls(const Column& column, Vector& out) const {
  const BuildTable& build = *program_.join.build;
  const Join::Kind kind = program_.join.kind;
  out.any_null = kind != Join::Inner || build.any_null(column.build);
  if (!out.any_null) return;
  const uint8_t* null = build.nulls(column.build);
  for (unsigned i = 0; i < selected_; ++i) {
    const uint32_t row = matches_->build[i];
    out.null[i] = row == Matches::kNone ? 1 : null[row];
  }
}

void Evaluator::build_values(const Column& column, Vector& out) const {
  build_nulls(column, out);
  const uint64_t* words = program_.join.build->words(column.build);
  for (unsigned i = 0; i < selected_; ++i) {
    const uint32_t row = matches_->build[i];
    out.words[i] = row == Matches::kNone ? 0 : words[row];
  }
}

// `lengths`: those that are known, by the strings' numbers.
void Evaluator::build_lengths(const Column& column, bool utf8, std::vector<uint32_t>& lengths,
                              Vector& out) const {
  const TextNumbers& texts = program_.join.build->texts(column.build);
  const uint64_t* words = program_.join.build->words(column.build);
  lengths.resize(texts.size(), ~0u);
  for (unsigned i = 0; i < selected_; ++i) {
    if (out.any_null && out.null[i]) continue;
    const auto number = static_cast<uint32_t>(words[matches_->build[i]]);
    if (lengths[number] == ~0u) lengths[number] = character_count(texts.text(number), utf8);
    out.words[i] = lengths[number];
  }
}

// Their numbers serve as hashes: they are the same for all that read the build side, but not in
// another part of it.
void Evaluator::build_hashes(const Column& column, uint64_t* out) const {
  const uint64_t* words = program_.join.build->words(column.build);
  const uint8_t* null = program_.join.build->nulls(column.build);
  const TextNumbers* texts =
      program_.join.parts > 1 ? &program_.join.build->texts(column.build) : nullptr;
  for (unsigned i = 0; i < selected_; ++i) {
    const uint32_t row = matches_->build[i];
    if (row == Matches::kNone || null[row])
      out[i] = 0;
    else
      out[i] =
          texts ? text_hash(texts->text(static_cast<uint32_t>(words[row]))) : mix(words[row] + 1);
  }
}

void Evaluator::keep(const uint16_t* places, unsigned n) {
  const uint16_t* chosen = this->chosen();
  for (unsigned i = 0; i < n; ++i) {
    const unsigned place = places[i];
    chosen_[i] = chosen[place];
    if (matches_) matches_->build[i] = matches_->build[place];
  }
  all_chosen_ &= n == selected_;
  in_runs_ &= n == selected_;
  moved_ &= n == selected_;
  selected_ = n;
  ++epoch_;  // what was computed is of other rows
}

void Evaluator::build_text_numbers(const Column& column, TextNumbers& numbers, Vector& out) const {
  const TextNumbers& texts = program_.join.build->texts(column.build);
  const uint64_t* words = program_.join.build->words(column.build);
  build_nulls(column, out);
  if (const uint64_t codes_of = codes_of_build(program_.join); numbers.codes_of != codes_of) {
    numbers.of_code.assign(texts.size(), TextNumbers::kUnknown);
    numbers.codes_of = codes_of;
  }
  for (unsigned i = 0; i < selected_; ++i) {
    out.words[i] = 0;
    if (out.any_null && out.null[i]) continue;
    const auto number = static_cast<uint32_t>(words[matches_->build[i]]);
    uint32_t& known = numbers.of_code[number];
    if (known == TextNumbers::kUnknown) known = numbers.number(texts.text(number));
    out.words[i] = known;
  }
}

}  // namespace datahike::vector
