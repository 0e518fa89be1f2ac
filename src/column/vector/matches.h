// What an Evaluator with a join knows of the chunk at hand: which keys its rows have on the build
// side, and how far their matches have been handed out.
#pragma once

#include "column/vector/build_table.h"
#include "column/vector/evaluator.h"

namespace datahike::vector {

struct Evaluator::Matches {
  static constexpr uint32_t kNone = Groups::kNone;
  explicit Matches(const Join& join)
      : part(join.part),
        texts(join.keys.size()),
        text_keys(join.keys.size()),
        hashes(join.keys.size()) {}

  unsigned part;  // of the build side, with which the piece at hand was begun

  bool found = false;      // keys have been looked up for the chunk at hand
  bool all_rows = false;   // which has passed as a whole
  unsigned rows = 0;       // that passed the filters
  unsigned next = 0;       // row to hand out
  uint32_t duplicate = 0;  // of its matches
  uint16_t row[kChunkRows];
  uint32_t key[kChunkRows];    // of the build side, or kNone
  uint32_t build[kChunkRows];  // of the selected rows: the row of the build side, or kNone

  // Of text keys: the numbers that the build side has for the codes of the segment at hand.
  struct Codes {
    std::vector<uint32_t> number;
    std::vector<char> known;
    uint64_t codes_of = 0;
  };
  std::vector<Codes> texts;
  std::vector<Vector> text_keys;
  std::vector<TextHashes> hashes;  // of text keys
};

}  // namespace datahike::vector
