// Which entity a row of a table is.
#pragma once

#include <cstdint>

#include "am/pending.h"
#include "pg/pg.h"
#include "store/environment.h"
#include "versioning/view.h"

namespace datahike::query {

// Rows of tables are entities from here on: this plus the rowid of the row's first version.
// Entities of facts alone are lower.
inline constexpr int64_t kFirstRowEntity = int64_t{1} << 42;
inline constexpr int64_t kFirstBehindRows = int64_t{1} << 43;

class RowEntities {
 public:
  // Rows that a query has just returned, of a session or of branch `branch` (-1: the session's).
  explicit RowEntities(int32_t branch);
  // REQUIRES: a frame that may throw.
  int64_t entity(Oid table, const ItemPointerData& row);

 private:
  uint64_t find(uint64_t table, uint64_t rowid);
  int32_t branch_;
  struct Table {
    uint64_t id = 0;
    am::TidBase tid_base{};
  };
  std::map<Oid, Table> tables_;
  uint64_t table_ = 0, generation_ = 0;
  std::optional<store::SegmentReader> segment_;
  std::optional<versioning::View> view_;
};

}  // namespace datahike::query
