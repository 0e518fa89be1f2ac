// Ids outlive the extension. A store and what sessions remember of rows, tables and branches stay
// when the extension is dropped, so the next installation in the database goes on numbering where
// the last one stopped: nothing of the old one is ever taken for its own.
//
//   DROP EXTENSION     records each sequence's last value in a file beside the store
//   CREATE EXTENSION   starts the sequences behind them
//   the fold worker    removes the files, for while the extension is there the sequences tell
//
// These may raise PostgreSQL errors and own nothing with a destructor.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

// Called for every relation that is about to be dropped; of concern are the extension's sequences.
// Durable when it returns. Harmless if the drop is rolled back.
void record_last_id(Oid relation);
// REQUIRES: the extension's relations are new, nothing has used its sequences.
// 55000 where there is a store without a record of the ids that it uses.
void continue_ids();
void forget_recorded_ids();

}  // namespace datahike::pg
