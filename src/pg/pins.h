// Pins: which old commits sessions are reading, in shared memory; and when horizons moved.
//
// Two things must never meet: a session that reads a commit, and a horizon that passes it. The
// order that keeps them apart: a session publishes its pin, then looks at the tables' horizons; the
// fold worker holds `lock` exclusively from reading the pins until the horizons that it moves are
// durable. To publish takes the lock in shared mode, so a pin is either there when the worker reads
// the pins, and the horizon stays at or below it, or the session finds the moved horizon in the
// store and refuses. A pin lasts until the end of the transaction.
//
// Ordinary snapshots need no pin: horizons stay behind the oldest xmin, as heap's VACUUM does.
//
// Collecting commits (gc.cpp) asks for more, for a session keeps views of branches from statement
// to statement, and brings them up to date without reading the branch's head again: a view may rest
// on the tree of a commit that is the head of nothing any more. So a session publishes the oldest
// commit that one of its views rests on, when it makes the view, and again with the first view that
// a transaction asks for; then it looks whether commits have been collected since its views were
// made, and if so, makes them anew. The worker counts first and looks at what is published then:
// either it sees the commit, or the session the count.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

void install_pin_hooks();  // shared memory

// Keeps horizons from passing the commit with this tx until the end of the transaction.
void pin_commit(uint64_t tx);
// Keeps gc from collecting commits from this tx on, until the end of the transaction. To be
// followed by a look at collections().
void publish_view(uint64_t tx);
void unpin_commits();  // at the end of the transaction; raises nothing

// For the fold worker.
void lock_pins();
void unlock_pins();
uint64_t oldest_pin();  // of this database; UINT64_MAX = none. REQUIRES lock_pins()

// The oldest commit that anyone's view rests on or is pinned to. REQUIRES lock_pins() and
// count_collection()
uint64_t oldest_commit_in_use();

// Moves before commits are collected, and again when that is durable, before anything else goes.
uint64_t collections();
void count_collection();

// Moves whenever horizons of some table have moved, after that is durable. 0: none ever has.
uint64_t horizon_changes();
void count_horizon_change();

}  // namespace datahike::pg
