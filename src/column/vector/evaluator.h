// Reads a piece in chunks of up to kChunkRows rows: which of them pass the filters, and the values
// of expressions for those. One for each thread.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>

#include "column/vector/piece.h"
#include "column/vector/program.h"
#include "column/vector/runs.h"
#include "column/vector/text.h"

namespace datahike::vector {

// The upper half of a Wide NaN. The lower one is 0.
inline constexpr int64_t kNaNHigh = INT64_MAX;

// Values of the selected rows of a chunk, one behind the other. What NULLs hold means nothing.
struct Vector {
  alignas(64) uint64_t words[kChunkRows];
  alignas(64) uint8_t null[kChunkRows];  // 0 or 1; meaningless unless any_null
  bool any_null = false;
  bool any_nan = false;             // of numerics: some may be NaN
  std::unique_ptr<int64_t[]> high;  // Wide: the upper halves
  const int64_t* ints() const { return reinterpret_cast<const int64_t*>(words); }
  const double* floats() const { return reinterpret_cast<const double*>(words); }
  int64_t* ints() { return reinterpret_cast<int64_t*>(words); }
  double* floats() { return reinterpret_cast<double*>(words); }
};

// Clears the bits of those of n values that fail a filter on an expression.
void test_values(const Filter& filter, Type type, const Vector& values, unsigned n, uint64_t* mask);
inline bool is_text_test(Test test) { return test >= Test::TextIn && test <= Test::NotLike; }

// What zone maps say of an expression's values in the rows of a piece that count, of which there
// are so many, nulls among them.
struct ZoneOfRows {
  uint32_t rows = 0, nulls = 0;
  // Whether sum, min and max mean something. These two are bounds, which a row is known to have
  // only where it says so.
  bool ordered = false, has_min = false, has_max = false;
  int64_t min = 0, max = 0;
  __int128 sum = 0;
  bool all_null() const { return nulls == rows; }
};

struct ZoneKey;  // zone_memory.h

struct Counters {
  uint64_t segments = 0, pruned = 0, rows = 0, passed = 0;
};

class Evaluator {
 public:
  explicit Evaluator(const Program& program);
  ~Evaluator();

  // The selected rows may be in another order than the table's, by which fewer values are copied.
  // REQUIRES: no join.
  void allow_any_order() { any_order_ = true; }
  // Takes up a piece, which must outlive its reading. False: zone maps say that no row passes.
  bool begin(const Piece& piece);
  // To the chunk of rows from `base` on, a multiple of kChunkRows; returns how many rows pass.
  // Throws ValueError.
  unsigned chunk(uint32_t base);
  unsigned selected() const { return selected_; }
  // A bit for each of the chunk's rows: whether it passes.
  const uint64_t* passed() const { return mask_; }
  // The number in its piece of the selected row at this place.
  uint32_t row(unsigned place) { return base_ + (all_chosen_ ? place : chosen()[place]); }
  // With a join: to the next of the chunk's rows with matches, which are the selected ones then, a
  // row once for each match; false: there are no more.
  bool next_matches();
  // Of the selected rows. Throws ValueError.
  const Vector& value(int expression);
  // Of the selected rows only those at these places, ascending, are left.
  void keep(const uint16_t* places, unsigned n);
  // Calls the body with those of the selected rows selected that pass, if there are any; `places`:
  // which of them. Afterwards the same rows are selected as before. Throws ValueError.
  void with_condition(const Condition& condition,
                      const std::function<void(const uint16_t* places)>& body);
  // Hashes of the strings of a text column; 0 where NULL.
  void text_hashes(int column, TextHashes& hashes, uint64_t* out);
  // Numbers of the strings of a text column, the same for equal ones.
  void text_numbers(int column, TextNumbers& numbers, Vector& out);
  // The same by the codes of the selected rows; nullptr where the piece has none, or some are NULL.
  const uint32_t* selected_codes(int column);
  uint32_t code_count(int column) const;            // 0: it has none in the piece at hand
  const ByteView* coded_strings(int column) const;  // by code. REQUIRES: they were asked for
  uint64_t pieces() const { return pieces_; }       // taken up so far
  // With a join, the build side's row of each selected row; Groups::kNone: none.
  const uint32_t* build_rows() const;
  // The strings, and in `out` only which of them are NULL. REQUIRES: a column of the table.
  void text_values(int column, ByteView* texts, Vector& out);
  // Whether every row of the piece passes the filters, and what is known of an expression's values
  // without reading all of them; nullptr: nothing. What zone maps answer needs no chunks.
  bool all_pass() const { return all_pass_; }
  const Piece& piece() const { return *piece_; }
  const ZoneOfRows* zone_of(int expression);
  // Likewise, with the least and the greatest value of the rows that count: where a row that does
  // not had one, all are read, once.
  const ZoneOfRows* exact_zone_of(int expression);
  bool is_column(int expression) const;
  // The same whatever rows pass, or match.
  std::optional<column::ZoneMap> zone_of_values(int expression) const;

 private:
  static constexpr unsigned kLeastInRuns = 8;  // selected rows for each that is not
  struct Read;                                 // a column of the piece at hand
  const Vector& raw(int column);
  const ByteView* strings(int column);
  void number_codes(int column, const uint32_t* code, TextNumbers& numbers, const Vector& nulls);
  const uint32_t* codes(int column);
  const uint32_t* codes_of_selected(int column);
  void read_nulls(Read& read);
  const uint64_t* null_bits(int column);  // of the chunk's rows; nullptr: none is NULL
  void apply(const Filter& filter, int number);
  void apply_to_column(const Filter& filter, int column);
  void apply_to_expression(const Filter& filter);
  void apply_text(const Filter& filter, int number);
  // evaluator_condition.cpp
  struct Selection;
  void save(Selection& to);
  void restore(const Selection& from);
  void narrow(const Condition& condition, uint16_t* places);
  void test_any(const Filter& filter, uint64_t* passed);
  void test_selected(const Filter& filter, uint64_t* passed);
  void test_selected_text(const Filter& filter, uint64_t* passed);
  void apply_any(const Filter& filter);
  Vector& scratch();
  void make_selection();
  void restrict_selection(const uint64_t* passed);
  Vector& result_of(int expression);
  const uint16_t* chosen();  // the selected rows' numbers in the chunk
  std::span<const RowRun> runs() const { return {runs_, run_count_}; }
  void copy_words(const uint64_t* words, uint64_t* out);
  void find_moves();
  template <class T>
  void move(T* values) const {
    for (unsigned i = 0; i < move_count_; ++i) values[moves_[i].to] = values[moves_[i].from];
  }
  bool in_place() const { return all_chosen_ || moved_; }  // values are not copied
  void compact(int column, Vector& out);
  void compact_nulls(int column, Vector& out);
  void compute(int expression, Vector& out);
  void compute_int(const Expression& e, const Vector& left, const Vector& right, Vector& out);
  void compute_float(const Expression& e, const Vector& left, const Vector& right, Vector& out);
  void compute_decimal(const Expression& e, const Vector& left, const Vector& right, Vector& out);
  void read_decimals(int column, Vector& out);
  int read_at(int column) const;  // its index in the segment
  column::ZoneMap zone_of_column(int column) const;
  void compute_length(const Expression& e, Vector& out);
  void compute_row(const Expression& e, Vector& out);
  void compute_field(const Expression& e, Vector& out);  // time.cpp
  void compute_year(const Expression& e, const Vector& left, const TimeZone* zone, Vector& out);
  void compute_timestamp(const Expression& e, Vector& out);  // likewise
  // evaluator_zones.cpp
  bool test_zone(const Filter& filter, bool& all) const;
  bool test_zones(const Condition& condition, bool& all) const;
  void find_removed();
  void leave_out_removed(int column, ZoneOfRows& zone);
  ZoneKey zone_key(int column);
  void find_extremes(int column, ZoneOfRows& zone) const;
  // evaluator_join.cpp
  void find_matches();
  void match_text(size_t key, Vector& out);
  void leave_other_parts();
  void select_one_match();
  void select_all_matches();
  void build_values(const Column& column, Vector& out) const;
  void build_nulls(const Column& column, Vector& out) const;
  void build_lengths(const Column& column, bool utf8, std::vector<uint32_t>& lengths,
                     Vector& out) const;
  void build_hashes(const Column& column, uint64_t* out) const;
  void build_text_numbers(const Column& column, TextNumbers& numbers, Vector& out) const;

  const Program& program_;
  const Piece* piece_ = nullptr;
  uint64_t pieces_ = 0;  // taken up so far
  bool all_pass_ = false;
  uint32_t base_ = 0;
  unsigned rows_ = 0;           // of the chunk
  unsigned selected_ = 0;       // of them
  bool has_selection_ = false;  // selected_, all_chosen_ and what chosen() returns are up to date
  bool all_chosen_ = false;     // the selected rows are all those of the chunk, in their order
  // They are many, and all those of mask_: runs_.
  bool in_runs_ = false;
  unsigned run_count_ = 0;
  RowRun runs_[kChunkRows / kLeastInRuns + 1];
  // Likewise, in any order: the first ones, with those that are not selected replaced by the last
  // ones that are. `to` is never selected, so that values may be moved where they are.
  struct Move {
    uint16_t to, from;
  };
  bool any_order_ = false, moved_ = false;
  unsigned move_count_ = 0;
  Move moves_[kChunkRows / kLeastInRuns];
  uint64_t epoch_ = 0;  // another one with each chunk, and each selection
  alignas(64) uint64_t mask_[kMaskWords];
  bool has_chosen_ = false;
  uint16_t chosen_[kChunkRows];  // if has_chosen_
  uint32_t chosen_codes_[kChunkRows];
  std::vector<char> filter_done_;  // by the zone maps
  // Of the piece at hand: the rows that do not count, and what is known of the columns.
  std::vector<uint32_t> removed_;
  uint64_t removed_of_ = 0;
  std::array<uint64_t, 2> live_hash_{};
  uint64_t live_hash_of_ = 0;
  std::vector<ZoneOfRows> zones_;
  std::vector<uint64_t> zone_of_;  // the piece
  std::vector<Read> reads_;
  std::vector<std::unique_ptr<Vector>> results_;
  std::vector<uint64_t> result_epoch_;
  std::vector<TextTest> text_tests_;  // of the filters
  std::unordered_map<const Filter*, TextTest> condition_texts_;
  std::unique_ptr<Vector> scratch_;
  struct Matches;
  std::unique_ptr<Matches> matches_;  // with a join
};

}  // namespace datahike::vector
