// What merge(), conflicts(), cherry_pick() and revert() are told beside the revision.
#pragma once

#include "versioning/merge.h"

namespace datahike::versioning {

// From arguments 1 and 2, the strategy and the resolver. Errors: 22023 no such strategy, or both;
// 42883 not a resolver; 42501.
MergeRequest merge_request(FunctionCallInfo fcinfo);

}  // namespace datahike::versioning
