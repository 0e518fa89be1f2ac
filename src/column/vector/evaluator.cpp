#include "column/vector/evaluator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "column/bit_packing.h"
#include "column/kernels.h"
#include "column/vector/evaluator_read.h"
#include "column/vector/matches.h"
#include "store/segment_strings.h"

namespace datahike::vector {

using column::kernels;
using column::low_bits;

Evaluator::Evaluator(const Program& program)
    : program_(program),
      filter_done_(program.filters.size()),
      reads_(program.columns.size()),
      results_(program.expressions.size()),
      result_epoch_(program.expressions.size()),
      text_tests_(program.filters.size()) {
  if (program.join.kind != Join::None) matches_ = std::make_unique<Matches>(program.join);
}

Evaluator::~Evaluator() = default;

bool Evaluator::begin(const Piece& piece) {
  piece_ = &piece;
  ++pieces_;
  ++epoch_;
  const bool other_build =
      matches_ && std::exchange(matches_->part, program_.join.part) != program_.join.part;
  for (size_t i = 0; i < reads_.size(); ++i) {
    Read& read = reads_[i];
    if (program_.columns[i].build >= 0) {
      if (other_build) read.lengths.clear();
      continue;
    }
    read.at = piece.segment.find(program_.columns[i].number);
    read.nullable =
        read.at >= 0 ? piece.segment.nulls(read.at) > 0 : program_.columns[i].missing_null;
    read.decoded_base = read.nulls_base = read.strings_base = read.codes_base = ~0u;
    const bool text = program_.columns[i].kind == Kind::Bytes && read.at >= 0;
    read.codes = text ? piece.segment.code_count(read.at) : 0;
    read.coded.clear();
    read.lengths.clear();
  }
  all_pass_ = true;
  for (size_t i = 0; i < program_.filters.size(); ++i) {
    bool all = false;
    if (!test_zone(program_.filters[i], all)) return false;
    filter_done_[i] = all;
    all_pass_ &= all;
  }
  return true;
}

unsigned Evaluator::chunk(uint32_t base) {
  base_ = base;
  ++epoch_;
  has_selection_ = false;
  if (matches_) matches_->found = false;
  rows_ = std::min<uint32_t>(kChunkRows, piece_->segment.rows() - base);
  const size_t words = (rows_ + 63) / 64;
  if (piece_->live.empty()) {
    std::fill_n(mask_, words, ~uint64_t{0});
    if (rows_ % 64) mask_[words - 1] = low_bits(rows_ % 64);
  } else {
    std::copy_n(piece_->live.data() + base / 64, words, mask_);
  }
  std::fill(mask_ + words, std::end(mask_), 0);
  for (size_t i = 0; i < program_.filters.size(); ++i) {
    if (filter_done_[i]) continue;
    apply(program_.filters[i], static_cast<int>(i));
    if (std::all_of(mask_, mask_ + words, [](uint64_t w) { return w == 0; })) return selected_ = 0;
  }
  make_selection();
  return selected_;
}

void Evaluator::make_selection() {
  if (has_selection_) return;
  selected_ = static_cast<unsigned>(kernels().count_bits(mask_, kMaskWords));
  all_chosen_ = selected_ == rows_;
  const bool few_left_out = !all_chosen_ && rows_ - selected_ <= rows_ / kLeastInRuns;
  moved_ = few_left_out && any_order_;
  in_runs_ = few_left_out && !moved_;
  if (moved_) find_moves();
  run_count_ = in_runs_ ? find_runs(mask_, rows_, runs_) : 0;
  has_chosen_ = false;
  has_selection_ = true;
}

void Evaluator::find_moves() {
  move_count_ = 0;
  unsigned last = rows_;
  for (unsigned w = 0; w * 64 < selected_; ++w)
    for (uint64_t unset = ~mask_[w]; unset; unset &= unset - 1) {
      const unsigned row = w * 64 + static_cast<unsigned>(std::countr_zero(unset));
      if (row >= selected_) return;
      do --last;
      while (!(mask_[last / 64] >> last % 64 & 1));
      moves_[move_count_++] = {static_cast<uint16_t>(row), static_cast<uint16_t>(last)};
    }
}

// The codes of the chunk's rows, and all that they stand for. REQUIRES: the column has codes.
const uint32_t* Evaluator::codes(int column) {
  Read& read = reads_[column];
  if (read.codes_base == base_) return read.code;
  if (read.coded.empty()) {
    read.coded.resize(read.codes);
    store::read_coded(piece_->segment, read.at, read.coded);
  }
  piece_->segment.codes(read.at, base_, std::span(read.code, rows_));
  read.codes_base = base_;
  return read.code;
}

// Likewise, of the selected ones: until those of another column are asked for.
const uint32_t* Evaluator::codes_of_selected(int column) {
  codes(column);
  uint32_t* code = reads_[column].code;
  if (all_chosen_) return code;
  if (moved_) {
    move(code);
    return code;
  }
  if (in_runs_) {
    copy_runs(code, runs(), chosen_codes_);
  } else {
    const uint16_t* of_selected = chosen();
    for (unsigned i = 0; i < selected_; ++i) chosen_codes_[i] = code[of_selected[i]];
  }
  return chosen_codes_;
}

int Evaluator::read_at(int column) const { return reads_[column].at; }
uint32_t Evaluator::code_count(int column) const { return reads_[column].codes; }
const ByteView* Evaluator::coded_strings(int column) const { return reads_[column].coded.data(); }

// The column's strings in all rows of the chunk; of text that is compressed, in those that have
// passed so far.
const ByteView* Evaluator::strings(int column) {
  Read& read = reads_[column];
  const bool compressed = read.at >= 0 && program_.columns[column].decimal < 0 &&
                          piece_->segment.may_be_compressed(read.at);
  const auto are_read = [&] {
    uint64_t others = 0;
    for (unsigned w = 0; w < kMaskWords; ++w) others |= mask_[w] & ~read.strings_of[w];
    return others == 0;
  };
  if (read.strings_base == base_ && (!compressed || are_read())) return read.strings.data();
  read.strings.resize(kChunkRows);
  if (compressed) std::copy_n(mask_, kMaskWords, read.strings_of);
  if (read.at < 0)
    std::fill_n(read.strings.begin(), rows_, ByteView(program_.columns[column].missing_text));
  else
    store::read_strings(piece_->segment, read.at, base_, std::span(read.strings.data(), rows_),
                        read.scratch, compressed ? read.strings_of : nullptr);
  read.strings_base = base_;
  return read.strings.data();
}

// The column's values in all rows of the chunk.
const Vector& Evaluator::raw(int column) {
  Read& read = reads_[column];
  if (!read.values) read.values = std::make_unique<Vector>();
  Vector& v = *read.values;
  if (read.decoded_base == base_) return v;
  const Column& c = program_.columns[column];
  v.any_nan = c.decimal >= 0 && read.at < 0 && c.missing_word == kNaNDecimal;
  if (read.at < 0)
    std::fill_n(v.words, rows_, c.missing_word);
  else if (c.decimal >= 0)
    read_decimals(column, v);
  else
    piece_->segment.bits(read.at, base_, std::span(v.words, rows_));
  if (c.kind == Kind::Float32) {
    for (unsigned i = 0; i < rows_; ++i)
      v.floats()[i] = std::bit_cast<float>(static_cast<uint32_t>(v.words[i]));
  }
  read.decoded_base = base_;
  return v;
}

void Evaluator::read_nulls(Read& read) {
  if (read.nulls_base == base_) return;
  if (read.at < 0)
    std::fill(std::begin(read.nulls), std::end(read.nulls), ~uint64_t{0});
  else
    piece_->segment.null_bits(read.at, base_, read.nulls);
  read.nulls_base = base_;
}

const uint64_t* Evaluator::null_bits(int column) {
  Read& read = reads_[column];
  if (!read.nullable) return nullptr;
  read_nulls(read);
  return read.nulls;
}

Vector& Evaluator::scratch() {
  if (!scratch_) scratch_ = std::make_unique<Vector>();
  return *scratch_;
}

Vector& Evaluator::result_of(int expression) {
  std::unique_ptr<Vector>& result = results_[expression];
  if (!result) result = std::make_unique<Vector>();
  return *result;
}

const Vector& Evaluator::value(int expression) {
  make_selection();
  Vector& out = result_of(expression);
  const Expression& e = program_.expressions[expression];
  if (result_epoch_[expression] == epoch_)
    return e.op == Op::Column && in_place() && program_.columns[e.argument].build < 0
               ? *reads_[e.argument].values
               : out;
  result_epoch_[expression] = epoch_;
  switch (e.op) {
    case Op::Column: {
      if (const Column& c = program_.columns[e.argument]; c.build >= 0) {
        build_values(c, out);
        return out;
      }
      raw(e.argument);
      Vector& all = *reads_[e.argument].values;
      compact(e.argument, in_place() ? all : out);
      return in_place() ? all : out;
    }
    case Op::Constant:
      out.any_null = e.null;
      if (e.null) std::fill_n(out.null, selected_, 1);
      std::fill_n(out.words, selected_, e.value);
      return out;
    case Op::Length:
      compute_length(e, out);
      return out;
    case Op::TimeField:
      compute_field(e, out);
      return out;
    case Op::ToTimestamp:
      compute_timestamp(e, out);
      return out;
    case Op::Presence:
      compact_nulls(e.argument, out);
      return out;
    case Op::Row:
      compute_row(e, out);
      return out;
    default:
      compute(expression, out);
      return out;
  }
}

// REQUIRES: there is a selection.
const uint16_t* Evaluator::chosen() {
  if (has_chosen_) return chosen_;
  has_chosen_ = true;
  if (moved_) {
    std::iota(chosen_, chosen_ + selected_, uint16_t{0});
    for (unsigned i = 0; i < move_count_; ++i) chosen_[moves_[i].to] = moves_[i].from;
  } else if (in_runs_) {
    number_runs(runs(), chosen_);
  } else {
    column::select_rows(mask_, kMaskWords, chosen_);
  }
  return chosen_;
}

// The selected rows' words, of all rows of the chunk.
void Evaluator::copy_words(const uint64_t* words, uint64_t* out) {
  if (in_runs_)
    copy_runs(words, runs(), out);
  else
    kernels().gather(words, chosen(), selected_, out);
}

// The selected rows' values, behind each other; into the column's own vector if they are in place.
void Evaluator::compact(int column, Vector& out) {
  Read& read = reads_[column];
  if (moved_)
    move(read.values->words);
  else if (!all_chosen_)
    copy_words(read.values->words, out.words);
  out.any_nan = read.values->any_nan;
  compact_nulls(column, out);
}

void Evaluator::compact_nulls(int column, Vector& out) {
  if (const Column& c = program_.columns[column]; c.build >= 0) return build_nulls(c, out);
  Read& read = reads_[column];
  out.any_null = false;
  if (!read.nullable) return;
  read_nulls(read);
  if (in_place() || in_runs_) {
    uint64_t of_selected = 0;
    for (unsigned w = 0; w < kMaskWords; ++w) of_selected |= read.nulls[w] & mask_[w];
    out.any_null = of_selected != 0;
    if (!out.any_null) return;
    if (in_place()) {
      expand_bits(read.nulls, kMaskWords, out.null);
      if (moved_) move(out.null);
      return;
    }
    uint8_t nulls[kChunkRows];
    expand_bits(read.nulls, kMaskWords, nulls);
    return copy_runs(nulls, runs(), out.null);
  }
  uint8_t any = 0;
  const uint16_t* chosen = this->chosen();
  for (unsigned i = 0; i < selected_; ++i) {
    const unsigned row = chosen[i];
    any |= out.null[i] = read.nulls[row / 64] >> row % 64 & 1;
  }
  out.any_null = any;
}

void Evaluator::compute_length(const Expression& e, Vector& out) {
  const uint16_t* chosen = all_chosen_ ? nullptr : this->chosen();
  compact_nulls(e.argument, out);
  Read& read = reads_[e.argument];
  if (const Column& c = program_.columns[e.argument]; c.build >= 0)
    return build_lengths(c, e.value != 0, read.lengths, out);
  // Where most rows pass, those of all strings are counted at once.
  const bool most_pass = selected_ >= rows_ / 2;
  if (read.codes > 0) {
    const uint32_t* code = codes(e.argument);
    if (read.lengths.empty()) {
      read.lengths.resize(read.codes, ~0u);
      read.all_lengths = most_pass;
      if (most_pass)
        count_characters(read.coded.data(), read.codes, e.value != 0, read.lengths.data());
    }
    const uint32_t* lengths = read.lengths.data();
    if (read.all_lengths) {
      for (unsigned i = 0; i < selected_; ++i) out.words[i] = lengths[code[chosen ? chosen[i] : i]];
      return;
    }
    for (unsigned i = 0; i < selected_; ++i) {
      const uint32_t c = code[chosen ? chosen[i] : i];
      uint32_t& length = read.lengths[c];
      if (length == ~0u) length = character_count(read.coded[c], e.value != 0);
      out.words[i] = length;
    }
    return;
  }
  const ByteView* texts = strings(e.argument);
  if (most_pass && !read.nullable) {
    uint32_t lengths[kChunkRows];
    count_characters(texts, rows_, e.value != 0, lengths);
    for (unsigned i = 0; i < selected_; ++i) out.words[i] = lengths[chosen ? chosen[i] : i];
    return;
  }
  for (unsigned i = 0; i < selected_; ++i) {
    if (out.any_null && out.null[i]) continue;
    out.words[i] = character_count(texts[chosen ? chosen[i] : i], e.value != 0);
  }
}

void Evaluator::compute_row(const Expression& e, Vector& out) {
  std::vector<const Vector*> operands;
  std::vector<Type> types;
  for (const int operand : e.operands) {
    operands.push_back(&value(operand));
    types.push_back(program_.expressions[operand].type);
  }
  e.function->compute(operands, types, selected_, out);
}

}  // namespace datahike::vector
