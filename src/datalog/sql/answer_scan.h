#pragma once

namespace datahike::query {

// Calls of datahike.q in FROM are scans of their own from now on: the rows go to the executor as
// they are, not through a tuplestore. Plain PostgreSQL code.
void install_answer_scan();

}  // namespace datahike::query
