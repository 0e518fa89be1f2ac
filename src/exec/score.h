// The custom scan "Datahike Score": above a scan of any table (or VALUES, function, subquery), a
// join, an Append, a sort or a limit it gathers rows, scores them many at a time, and hands them on
// with their scores, so that conditions and select list find those as columns.
#pragma once

#include "iforest/sql/measures.h"

extern "C" {
#include "nodes/extensible.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
}

namespace datahike::exec {

// What a plan says of each call (custom_private, lists of integers in this order). The plan's
// custom_scan_tlist has the columns of the scan below, then a column for each call; its
// custom_exprs have the arguments of all calls, one behind the other.
struct PlannedCall {
  anomaly::Measure measure;
  int arguments;      // of it in custom_exprs
  int names;          // of them: the one that names the features; -1: none does
  int first_feature;  // of them: before it are the model's name, for some measures the decay, names
};

Node* create_score_state(CustomScan* plan);  // score_scan.cpp
extern const CustomScanMethods score_scan_methods;
void install_score_paths();  // score_path.cpp

// With fewer rows nothing is won.
inline constexpr double kFewRowsToScore = 16;
// Whether the query is of a kind whose rows may be read before they are asked for.
bool may_read_ahead(PlannerInfo* root);
// The different calls in an expression or list that can be computed in batches, and are computed
// wherever it is: of one table's columns, or with 0 of any.
List* calls_in(Node* node, int relid);
// The same, of those within aggregates.
List* aggregated_calls_in(Node* node, int relid);
bool has_score(Node* node);  // any call
// `conditions`: it tests the conditions of the scan below that have a call.
Path* score_path(RelOptInfo* rel, Path* child, List* calls, bool conditions);
// REQUIRES: it is one. What those above it find as columns: the calls, and what it passes on.
List* scores_of(const Path* path);
bool is_plain_scan(const Path* path);
bool is_score_path(const Path* path);
void install_upper_score_paths();  // score_upper_path.cpp

}  // namespace datahike::exec
