// What the custom scans that run a program of the vector engine over a table have in common.
#pragma once

#include "column/vector/window_rows.h"
#include "exec/build_side.h"

namespace datahike::fdw {
struct Scan;
}

namespace datahike::exec {

// Which rows a piece has.
struct PieceRows {
  uint64_t first_rowid;
  uint32_t rows, live_rows;
  bool operator==(const PieceRows&) const = default;
};
inline PieceRows rows_of(const vector::Piece& piece) {
  return {piece.segment.first_rowid(), piece.segment.rows(), piece.live_rows};
}

// What a run leaves behind: kept by the scan's state, which goes with the scan or after an error.
struct Run {
  Compiler compiler;
  std::unique_ptr<BuildSide> build;  // of a join
  vector::Execution execution;
  std::unique_ptr<vector::ParallelAggregation> groups;
  std::unique_ptr<vector::WindowRows> rows;  // instead of groups, if all rows are wanted
  // The columns that pieces are read for, as indexes into the relation's description, ascending.
  std::vector<int> attributes;
  // What the last pass has read; `changed`: the pass before it was given other pieces. (gc() may
  // divide a segment of which rows are not live any more.)
  std::vector<PieceRows> pieces;
  bool changed = false;
  Run(Relation relation, const AggregatePlan& plan) : compiler(relation, plan.table, plan.build) {}
};

// Nothing in it has a destructor: it is PostgreSQL's memory.
struct VectorScan {
  CustomScanState state;
  Relation relation;
  TableScanDesc scan;     // nullptr: not begun
  fdw::Scan* foreign;     // of another store's table instead; nullptr: it is none
  TupleTableSlot* row;    // of the table, for rows that are converted one by one
  List* parameters;       // ExprStates
  MemoryContext context;  // of the run
  Run* run;               // nullptr: not run yet
  // What reads the table if it is not groups that are wanted.
  void (*collect)(VectorScan* scan, Run& run);
  vector::Counters total;  // of all runs, for EXPLAIN
  unsigned parts;          // of the last run's build side
};
inline VectorScan* as_vector(CustomScanState* state) {
  return reinterpret_cast<VectorScan*>(state);
}

AggregatePlan plan_of(CustomScanState* node);
// Into the program's columns, of which these are the attributes (-1: of no attribute).
void set_missing_values(vector::Program& program, const std::vector<int>& attributes,
                        Relation relation, const am::RelationInfo& info);
void begin_vector_scan(CustomScanState* node, EState* estate, int flags);
// The first pass. Its groups are in the run.
void run_vector_scan(CustomScanState* node);
// Begins with the first pass again. REQUIRES: in a guard, and in the run's memory context.
void run_first_pass(VectorScan* scan);
// The groups of the next pass; false: there is none. REQUIRES: likewise.
bool run_next_pass(VectorScan* scan);
void forget_run(VectorScan* scan);
void end_vector_scan(CustomScanState* node);
// Forgets the run, and begins the children anew.
void rescan_vector_scan(CustomScanState* node);

List* deparse_list(CustomScanState* node, List* ancestors, ExplainState* out, List* expressions);
void explain_list(CustomScanState* node, List* ancestors, ExplainState* out, const char* label,
                  List* expressions, bool conjunction);
// Of another store's table: what the server reads, and the table there.
void explain_source(CustomScanState* node, ExplainState* out);
// Segments, those that zone maps excluded, and rows that did not pass.
void explain_counters(CustomScanState* node, ExplainState* out);

}  // namespace datahike::exec
