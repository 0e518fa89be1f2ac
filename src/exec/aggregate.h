// The custom scan "Datahike Aggregate": grouping and aggregates of one table, by the vector engine.
#pragma once

#include "exec/compile.h"
#include "column/vector/aggregation.h"

extern "C" {
#include "nodes/extensible.h"
#include "nodes/plannodes.h"
}

namespace datahike::exec {

// What a plan says (custom_private), in terms of the query's own expressions: the table that their
// Vars are of, conditions, keys, and aggregates. The plan's custom_scan_tlist has the keys and then
// the aggregates; its custom_exprs are the parameters in all three.
struct AggregatePlan {
  Index table;
  List *filters, *keys, *aggregates;
};
List* pack(const AggregatePlan& plan);
AggregatePlan unpack(const List* packed);
// All that bind_parameters() is to see.
List* expressions_of(const AggregatePlan& plan);
void set_expressions(AggregatePlan& plan, List* expressions);

// Compiles all of it; false if some of it does not compile.
bool compile(Compiler& compiler, const AggregatePlan& plan);

// The result of an aggregate for a group. May raise a PostgreSQL error; owns nothing with a
// destructor. `type` is the result's.
Datum aggregate_result(const vector::Aggregation& groups, const Output& output, uint32_t group,
                       Oid type, bool* isnull);

Node* create_aggregate_state(CustomScan* plan);  // aggregate_scan.cpp
extern const CustomScanMethods aggregate_scan_methods;

}  // namespace datahike::exec
