// Pending rows as the columns of a segment to be. A run of rows that has grown beyond a few tuples
// is kept so: what is added needs no tuple that is then taken apart, and encoding begins from
// there.
#pragma once

#include "am/pending.h"

namespace datahike::am {

inline constexpr size_t kRowsAsTuples = 64;  // of a run that has just begun

// Whether a row of this shape takes little memory in columns whatever it is; and whether the run's
// tuples do not take much more there. Of many columns that are mostly NULL the tuples are small.
bool is_small_as_columns(const Shape& shape);
bool is_small_as_columns(const PendingRun& run);

// Columns without rows, with the memory of some that have been given back if there are such.
std::unique_ptr<store::SegmentColumns> take_columns(const Shape& shape);
void give_back(std::unique_ptr<store::SegmentColumns> columns) noexcept;
void forget_columns() noexcept;  // at the end of the transaction

// A row of values without TOAST at the end of the run, which has columns and is not full.
void append_row(PendingRun& run, const Datum* values, const bool* nulls, uint64_t entity);
// The same for the rows of slots, each its own entity. Their values have been got and are flat:
// see flat_slots().
void append_rows(PendingRun& run, TupleTableSlot** slots, uint32_t count);
// How many of the slots, from the first on, hold values without TOAST only, none of them large, and
// their byte strings no more than `room` but for the last row's. Gets their values. May raise a
// PostgreSQL error; owns nothing with a destructor.
uint32_t flat_slots(TupleTableSlot** slots, uint32_t count, const RelationInfo& info, size_t room);

// The same for a tuple in the pending memory context, which is freed. The run has its entity.
void append_tuple(PendingRun& run, MinimalTuple tuple);
// The run's tuples become columns.
void turn_into_columns(PendingRun& run);

}  // namespace datahike::am
