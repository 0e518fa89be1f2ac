// No row has been erased for the tests: the server's part, which reads that from the store, is not
// linked.
#include "versioning/redacted.h"

namespace datahike::versioning {
const tree::RowidSet* known_redacted_rows = nullptr;
}  // namespace datahike::versioning
