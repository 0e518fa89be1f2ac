// The custom scan "Datahike Window": window functions over a datahike table.
//
// Its plan is an AggregatePlan of which the keys are the sources: what rows are sorted by, what
// functions are of, and the columns that are returned. Its aggregates are counts, of which the
// FILTERs are those of the functions. custom_private goes on with a WindowPlan, and the plan's
// child is PostgreSQL's own plan of the same, which takes over where the rows need more memory
// than they may, and where a value raises an error.
#pragma once

#include "exec/vector_scan.h"

namespace datahike::exec {

struct WindowFunction {
  enum Kind {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumulativeDistribution,
    Tile,      // of `offset` tiles
    NthValue,  // of the row at place `offset` of the frame, from 0
    Lag,       // the row `offset` places further, or less
    FirstValue,
    LastValue,
    CountRows,
    Count,
    SumInteger,
    SumNumeric,  // of int8 and numerics
    AverageNumeric,
    SumReal,
    SumSingle,
    AverageReal,
    MinWord,
    MaxWord,
    MinReal,
    MaxReal,
  };
  // Where its frame begins and ends: with the partition, with the row's peers, or so many rows
  // further than the row.
  enum Bound { Partition, Peers, Row };
  int kind, window;
  int begin, begin_rows, end, end_rows;
  int source;  // of the argument, or -1
  int filter;  // which of the plan's aggregates has its FILTER, or -1
  int offset;
  Oid type;      // of the result
  Const* other;  // lag's third argument; nullptr: NULL
};

struct WindowOfPlan {
  List* order;       // numbers of sources
  List* directions;  // as in FirstRowsPlan
  int partition;     // how many of these are PARTITION BY
};
struct WindowPlan {
  List* windows;    // WindowOfPlan, packed: rows are returned in the order of the last one
  List* columns;    // the sources that are returned
  List* functions;  // what follows them: WindowFunction, packed
};
List* pack(const WindowOfPlan& window);
WindowOfPlan unpack_one_window(const List* packed);
List* pack(const WindowPlan& plan);
WindowPlan unpack_window(const List* custom_private);
List* pack(const WindowFunction& function);
WindowFunction unpack_function(const List* packed);

// A function of the rows of a scan, from place to place. Nothing in it has a destructor.
struct WindowState {
  WindowFunction function;
  int scale;              // of the argument, if it is a numeric
  int filter;             // the source that says whether a row counts, or -1
  int results;            // the source that holds its results, or -1
  MemoryContext context;  // of the result, if it is no word
  uint32_t from, done;    // the rows of this frame have been added
  uint64 changes;         // of an aggregate's result
  Datum kept;             // its copy, of a numeric that is among the results
  int64 count, word;      // of values; their sum, or the extreme
  vector::DecimalSum sum;
  double real[3];  // N, Sx and Sxx; or the sum, or the extreme
  Datum result;
  bool is_null;
};

// Where a row is.
struct WindowPlace {
  uint32_t row, partition, partition_end, peers, peers_end;
  int64 dense;  // number of the peers in the partition
};

// Of a source: what a row has. May raise PostgreSQL's errors; owns nothing with a destructor.
Datum source_value(const vector::WindowRows& rows, int source, uint32_t place, Oid type, int scale,
                   bool* is_null);
// Likewise: the function's result for a row. Rows are asked for in their order.
Datum window_value(const vector::WindowRows& rows, WindowState& state, const WindowPlace& place,
                   bool* is_null);

}  // namespace datahike::exec
