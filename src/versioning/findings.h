// What verify() finds, as rows of its result.
#pragma once

#include "pg/pg.h"
#include "store/verify.h"

namespace datahike::versioning {

void put_finding(ReturnSetInfo* result, const store::Finding& finding);
// Verifies what the environment reads at present.
void report_findings(store::Environment& env, bool deep, ReturnSetInfo* result);

}  // namespace datahike::versioning
