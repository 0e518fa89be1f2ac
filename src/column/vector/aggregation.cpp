#include "column/vector/aggregation.h"

#include <algorithm>

#include "column/vector/build_table.h"
#include "column/vector/decimals.h"
#include "column/vector/hash.h"

namespace datahike::vector {

namespace {

constexpr uint32_t kMostBuildRows = 1 << 20;  // whose groups are remembered

bool is_of_build(const Program& program, const Key& key) {
  if (key.text >= 0) return program.columns[key.text].build >= 0;
  const Expression& e = program.expressions[key.expression];
  return e.op == Op::Column && program.columns[e.argument].build >= 0;
}

// Whether nothing depends on the order of the rows within a chunk. Of equal floats the first is
// shown as the group's key.
bool is_in_any_order(const Program& program) {
  const auto any_order = [](const Accumulator& a) {
    switch (a.sum) {
      case Sum::Rows:
      case Sum::Nulls:
      case Sum::Present:
      case Sum::Int64:
      case Sum::Int128:
      case Sum::Squares:
      case Sum::Decimal:
      case Sum::DecimalProduct:
      case Sum::Min:
      case Sum::Max:
        return true;
      default:
        return false;
    }
  };
  return program.join.kind == Join::None && std::ranges::all_of(program.accumulators, any_order) &&
         std::ranges::none_of(program.keys, [&](const Key& key) {
           return key.text < 0 && program.expressions[key.expression].type == Type::Float;
         });
}

std::vector<bool> float_keys(const Program& program) {
  std::vector<bool> floats;
  for (const Key& key : program.keys)
    floats.push_back(key.text < 0 && program.expressions[key.expression].type == Type::Float);
  return floats;
}

}  // namespace

Aggregation::Aggregation(const Program& program, Part part)
    : program_(program),
      part_(part),
      evaluator_(program),
      groups_(float_keys(program)),
      texts_(program.keys.size()),
      text_keys_(program.keys.size()),
      hashes_(program.keys.size()),
      packed_(program, states_),
      done_(program.accumulators.size()) {
  for (const Accumulator& a : program.accumulators) states_.push_back(make_state(program, a));
  if (program.keys.empty()) resize(1);
  if (is_in_any_order(program)) evaluator_.allow_any_order();
  take_build();
}

void Aggregation::take_build() {
  build_part_ = program_.join.part;
  known_groups_.clear();
  by_build_row_ = !program_.keys.empty() && std::ranges::all_of(program_.keys, [&](const Key& key) {
    return is_of_build(program_, key);
  }) && program_.join.build->rows() <= kMostBuildRows;
}

Aggregation::~Aggregation() = default;

// Where nothing is known: what turns up first.
void Aggregation::expect(std::span<const Piece> pieces) {
  std::vector<KeyRange> ranges(program_.keys.size());
  for (size_t k = 0; k < program_.keys.size(); ++k)
    if (program_.keys[k].text < 0)
      ranges[k] = range_of(program_, program_.keys[k].expression, pieces);
  groups_.expect(ranges);
}

void Aggregation::reserve(double expected) {
  constexpr double kFew = 10000, kMost = 4 << 20;  // more come as they are needed
  if (expected < kFew) return;
  size_t bytes_of_group = 24 + program_.keys.size() * 8;
  for (const auto& state : states_) bytes_of_group += state->bytes_of_group();
  const double most = std::min(
      kMost, static_cast<double>(part_.most_bytes) / static_cast<double>(2 * bytes_of_group));
  const auto groups = static_cast<size_t>(std::min(expected, most));
  groups_.reserve(groups);
  for (const auto& state : states_) state->reserve(groups);
  if (program_.keys.size() == 1 && program_.keys[0].text >= 0) texts_[0].reserve(groups);
}

void Aggregation::add(const Piece& piece, const std::function<void()>& poll) {
  ++counters_.segments;
  if (build_part_ != program_.join.part) take_build();
  if (!evaluator_.begin(piece)) {
    ++counters_.pruned;
    counters_.rows += piece.live_rows;
    return;
  }
  counters_.rows += piece.live_rows;
  const uint64_t answered = add_from_zones();
  if (!program_.keys.empty()) packed_.begin(evaluator_, done_, groups_.size());
  if (answered == states_.size() && program_.keys.empty()) {
    counters_.passed += piece.live_rows;
    return;
  }
  poll();
  for (uint32_t base = 0; base < piece.segment.rows(); base += kChunkRows) {
    if (evaluator_.chunk(base) > 0) {
      counters_.passed += evaluator_.selected();
      if (program_.join.kind == Join::None)
        add_chunk();
      else
        add_matches(poll);
    }
    check_size();
    poll();
  }
}

void Aggregation::add_first_chunk(const Piece& piece) {
  if (!evaluator_.begin(piece) || evaluator_.chunk(0) == 0) return;
  if (program_.join.kind != Join::None && !evaluator_.next_matches()) return;
  counters_.passed += evaluator_.selected();
  if (evaluator_.selected() > 0) add_chunk();
}

void Aggregation::add_matches(const std::function<void()>& poll) {
  for (unsigned batches = 1; evaluator_.next_matches(); ++batches) {
    if (evaluator_.selected() > 0) add_chunk();
    if (batches % 16 != 0) continue;
    check_size();
    poll();
  }
}

// How many states need no chunk of the piece.
uint64_t Aggregation::add_from_zones() {
  const bool can =
      program_.keys.empty() && program_.join.kind == Join::None && evaluator_.all_pass();
  uint64_t answered = 0;
  for (size_t i = 0; i < states_.size(); ++i) {
    done_[i] = can && program_.accumulators[i].filter < 0 && states_[i]->add_zone(evaluator_);
    answered += done_[i] != 0;
  }
  return answered;
}

void Aggregation::resize(uint32_t groups) {
  for (const auto& state : states_) state->resize(groups);
  sized_ = groups;
}

// Leaves the rows whose groups are of this part.
void Aggregation::keep_part() {
  alignas(64) uint64_t hash[kChunkRows], text[kChunkRows];
  uint16_t places[kChunkRows];
  const unsigned n = evaluator_.selected();
  std::fill_n(hash, n, 0);
  for (size_t k = 0; k < program_.keys.size(); ++k) {
    const Key& key = program_.keys[k];
    if (key.text >= 0) {
      evaluator_.text_hashes(key.text, hashes_[k], text);
      for (unsigned i = 0; i < n; ++i) hash[i] = mix(hash[i] ^ text[i]);
      continue;
    }
    const Vector& v = evaluator_.value(key.expression);
    const bool real = program_.expressions[key.expression].type == Type::Float;
    for (unsigned i = 0; i < n; ++i)
      hash[i] = mix(hash[i] ^ hashed_word(real, v.words[i], v.any_null && v.null[i]));
  }
  unsigned kept = 0;
  for (unsigned i = 0; i < n; ++i) {
    places[kept] = static_cast<uint16_t>(i);
    kept += part_of(hash[i], part_.of) == part_.number;
  }
  evaluator_.keep(places, kept);
}

// Without keys there is nothing to divide.
void Aggregation::check_size() const {
  if (part_.most_bytes == SIZE_MAX || program_.keys.empty()) return;
  if (is_too_large() || is_morsel_too_large()) throw TooManyGroups();
}

void Aggregation::assign_groups(uint32_t* groups) {
  if (by_build_row_) return assign_by_build_row(groups);
  if (program_.keys.size() == 1 && program_.keys[0].text >= 0 && assign_by_code(groups)) return;
  assign_by_keys(groups);
}

void Aggregation::assign_by_keys(uint32_t* groups) {
  const Vector* keys[Groups::kMostKeys];
  for (size_t k = 0; k < program_.keys.size(); ++k) {
    const Key& key = program_.keys[k];
    if (key.text < 0) {
      keys[k] = &evaluator_.value(key.expression);
    } else {
      evaluator_.text_numbers(key.text, texts_[k], text_keys_[k]);
      keys[k] = &text_keys_[k];
    }
  }
  groups_.assign(std::span(keys, program_.keys.size()), evaluator_.selected(), groups);
}

// All keys are of the build side: each of its rows has one group, and so has what matches none.
void Aggregation::assign_by_build_row(uint32_t* groups) {
  const uint32_t none = program_.join.build->rows();
  if (known_groups_.empty()) known_groups_.assign(size_t{none} + 1, Groups::kNone);
  const uint32_t* row = evaluator_.build_rows();
  const unsigned n = evaluator_.selected();
  uint32_t most = 0;
  for (unsigned i = 0; i < n; ++i) {
    groups[i] = known_groups_[std::min(row[i], none)];
    most = std::max(most, groups[i]);
  }
  if (most != Groups::kNone) return;
  assign_by_keys(groups);
  for (unsigned i = 0; i < n; ++i) known_groups_[std::min(row[i], none)] = groups[i];
}

// One key, of strings behind codes: each code of the piece has one group. False where it has none,
// or so many that few of them come again.
bool Aggregation::assign_by_code(uint32_t* groups) {
  const int column = program_.keys[0].text;
  if (program_.columns[column].build >= 0) return false;
  if (evaluator_.code_count(column) > kChunkRows) return false;
  const uint32_t* code = evaluator_.selected_codes(column);
  if (!code) return false;
  if (codes_of_ != evaluator_.pieces()) {
    known_groups_.assign(evaluator_.code_count(column), Groups::kNone);
    codes_of_ = evaluator_.pieces();
  }
  const unsigned n = evaluator_.selected();
  const auto look_up = [&] {
    uint32_t most = 0;
    for (unsigned i = 0; i < n; ++i) {
      groups[i] = known_groups_[code[i]];
      most = std::max(most, groups[i]);
    }
    return most != Groups::kNone;
  };
  if (look_up()) return true;
  constexpr uint32_t kAsked = Groups::kNone - 1;  // which is no group's number
  uint32_t fresh[kChunkRows], found[kChunkRows];
  ByteView texts[kChunkRows];
  unsigned count = 0;
  for (unsigned i = 0; i < n; ++i) {
    uint32_t& known = known_groups_[code[i]];
    if (known != Groups::kNone) continue;
    known = kAsked;
    texts[count] = evaluator_.coded_strings(column)[code[i]];
    fresh[count++] = code[i];
  }
  Vector& numbers = text_keys_[0];
  numbers.any_null = false;
  texts_[0].number_all(texts, count, nullptr, numbers.words);
  const Vector* key = &numbers;
  groups_.assign(std::span(&key, 1), count, found);
  for (unsigned i = 0; i < count; ++i) known_groups_[fresh[i]] = found[i];
  return look_up();
}

void Aggregation::add_chunk() {
  if (part_.of > 1) {
    keep_part();
    if (evaluator_.selected() == 0) return;
  }
  alignas(64) uint32_t groups[kChunkRows];
  if (!program_.keys.empty()) {
    assign_groups(groups);
    // Ahead of need, so that a chunk with one new group does not move all states.
    if (groups_.size() > sized_) resize(std::max<uint32_t>(groups_.size(), sized_ + sized_ / 8));
  }
  const bool grouped = !program_.keys.empty();
  const auto add_states = [&](int condition, const uint32_t* of_rows) {
    for (size_t i = 0; i < states_.size(); ++i)
      if (!done_[i] && !packed_.has(i) && program_.accumulators[i].filter == condition &&
          states_[i]->needs(evaluator_, this->groups()))
        states_[i]->add(evaluator_, grouped ? of_rows : nullptr);
  };
  if (grouped) packed_.add(evaluator_, groups, groups_.size());
  add_states(-1, groups);
  for (size_t c = 0; c < program_.conditions.size(); ++c) {
    evaluator_.with_condition(program_.conditions[c], [&](const uint16_t* places) {
      alignas(64) uint32_t of_rows[kChunkRows];
      for (unsigned i = 0; grouped && i < evaluator_.selected(); ++i)
        of_rows[i] = groups[places[i]];
      add_states(static_cast<int>(c), of_rows);
    });
  }
}

size_t Aggregation::bytes() const {
  size_t total = groups_.bytes();
  for (const TextNumbers& t : texts_) total += t.bytes();
  for (const auto& state : states_) total += state->bytes();
  return total;
}

}  // namespace datahike::vector
