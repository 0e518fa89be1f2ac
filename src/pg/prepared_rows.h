// The heap table datahike.prepared: what prepared transactions hold in the shared tables, for the
// next start of the server. A row matters while its transaction is in progress, which no snapshot
// shows; once that has ended it is rubbish, committed or not.
#pragma once

#include <functional>

#include "column/bytes.h"
#include "pg/pg.h"

namespace datahike::pg {

// Keeps other sessions from restoring at the same time.
void lock_prepared_rows();
void unlock_prepared_rows();

// One of the current transaction. What is in `locks` is for src/am/prepared.cpp to say.
void write_prepared_row(uint64_t xid, const Bytes& locks);
// Visits the rows of transactions in progress.
void visit_prepared_rows(const std::function<void(uint64_t xid, ByteView locks)>& visit);
// Deletes those of transactions that have committed before the active snapshot.
void purge_prepared_rows();

}  // namespace datahike::pg
