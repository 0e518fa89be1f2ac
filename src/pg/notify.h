// LISTEN datahike: one notification for each commit, sent by the fold worker while
// datahike.notify is on.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

void define_notify();  // the setting
bool notifies();
// The commits with these tx numbers, `to` not included; sent when the transaction commits.
// REQUIRES: they are in the store. May throw.
void notify_commits(uint64_t from, uint64_t to);

}  // namespace datahike::pg
