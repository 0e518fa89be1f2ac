// The extension's own sequences.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

// The next value of a sequence that counts up by one, WAL-logged as nextval() logs it. Unlike
// nextval() it leaves lastval() to the user's sequences, and the leader of a parallel query may
// call it where the transaction has an xid: nothing of the sequence is cached in the session.
// Plain PostgreSQL code. Errors: 2200H at the sequence's end.
int64_t draw(Oid sequence);

}  // namespace datahike::pg
