// Shared memory: the ring of committing transactions, the workers' mailboxes, and the area that
// holds the tables of row locks, running inserts and rowid blocks.
#pragma once

#include "pg/pg.h"
#include "column/bytes.h"

namespace datahike::pg {

// The ring tells a cached view which transactions may have become visible since it was made. A
// transaction appends itself before it writes its log rows, hence before its xid leaves the
// ProcArray: whoever takes a snapshot that sees it finds it in the ring, or finds that the ring has
// moved past it.
//
// The transaction's delta row goes with it where it is small, so that each of the sessions that
// will see it need not look it up in the log. It counts only once its transaction has committed;
// what it says is then what the log says.
struct RingEntry {
  uint64_t xid;
  uint64_t next_xid;  // the cluster's next xid when the entry was appended
  Oid database;
  uint32_t branch;
  uint64_t content;                  // where its bytes are: the delta, then the rows of `part`
  uint32_t delta_bytes, rows_bytes;  // delta_bytes 0: it was too large
  uint32_t part;
  uint64_t lsn;
  bool reset;  // the transaction sets the branch to another commit
};
inline constexpr uint64_t kRingSize = 16384;
inline constexpr uint64_t kRingContentBytes = 8 << 20;
inline constexpr size_t kMostRingContent = 8192;  // of one entry

struct LogRow;
void ring_append(const LogRow& row, uint32_t branch, bool reset);
uint64_t ring_head();
// No view may be cached for a snapshot whose xmin is at or below this.
uint64_t ring_floor();
// Copies entry `position` of this database; false if it has been overwritten.
// `*ours` tells whether it belongs to this database.
bool ring_read(uint64_t position, RingEntry* entry, bool* ours);
// Copies the entry's content; false if there is none (any more).
bool ring_read_content(const RingEntry& entry, Bytes& out);
// How many resets of branches have come as far as their transaction's commit. Who has a branch's
// lock knows by it whether there has been one since another time that he had it.
uint64_t reset_count();

// What gc(), compact() and VACUUM ask the worker for, and what it answers.
struct GcMailbox {
  uint64_t requested;  // the last request; one at a time
  uint64_t served;
  bool compact;   // else gc, or
  uint64_t join;  // the table whose small segments are to be joined, if not 0
  bool has_date, dry_run;
  int64_t older_than, newest;  // see store::GcOptions
  int sqlstate;                // 0: done
  char error[512];
  int64_t commits, nodes, rows, bytes, kept;
  int64_t segments_before, segments_after;  // that were joined, and what they have become
  bool short_of_space;                      // so some were not
  uint64_t runs;        // that changed something or were asked for, since the server started
  int64_t last_run_at;  // when one ended; 0: none has
};

// What purge() asks the worker for: see pg/redaction.h.
struct RedactionMailbox {
  uint64_t requested;  // the last request; one at a time
  uint64_t claimed;    // by a worker: from here on it cannot be withdrawn
  uint64_t written;    // the rows count as erased
  uint64_t served;     // and are in no segment any more; or the request has failed
  uint32_t segment;    // a dsm_handle: of the request's bytes
  uint64_t bytes;
  int sqlstate;  // 0: done
  char error[512];
};

// A database's mailbox to its fold worker.
struct WorkerSlot {
  Oid database;            // InvalidOid = free slot
  pid_t pid;               // 0 = no worker running
  int64_t starting_since;  // when it was registered; 0 = it runs or does not
  bool unstartable;        // the last attempt to register one found no room
  int holds;               // commands on the database that keep the worker out, > 0: leave
  volatile bool sleeping;  // idle: wants to be woken by the next commit
  volatile bool poked;     // it has been, since it said so
  Latch* latch;
  uint64_t requested;   // tickets handed out
  uint64_t completed;   // every ticket <= this has been served
  uint64_t failed;      // the last ticket that ended in `error`
  uint64_t folds;       // folds that wrote something, since start
  uint64_t purges;      // of the log, each counted before it commits
  uint64_t redactions;  // since start; each counted once it is durable
  bool restored;        // the shared tables hold what was prepared before the server started
  volatile bool left;   // there are entries that prepared transactions have left in them
  int sqlstate;         // of the last failure, 0 = none
  char error[512];
  GcMailbox gc;
  RedactionMailbox redaction;
  ConditionVariable done;
};
inline constexpr int kWorkerSlots = 512;  // databases from one start of the server to the next

struct SharedState {
  slock_t ring_lock;
  uint64_t head;
  uint64_t floor;  // 0 = not set yet
  uint64_t resets;
  RingEntry ring[kRingSize];
  uint64_t content_head;  // bytes of content that have been given room, since the server started
  uint8_t content[kRingContentBytes];  // byte n is at n % kRingContentBytes
  LWLock* lock;                        // guards `workers` and the attach handles
  WorkerSlot workers[kWorkerSlots];
  dshash_table_handle row_locks, inserts, blocks, writers;
  char area[1];  // the DSA, in place
};

extern SharedState* shared;  // nullptr = the library was not preloaded
void require_preloaded();    // ereport(ERROR, 55000) unless preloaded
void install_shared_memory_hooks();

// This process's handles on the shared tables; attached at first use.
struct SharedTables {
  dsa_area* area;
  dshash_table* row_locks;
  dshash_table* inserts;
  dshash_table* blocks;
  dshash_table* writers;  // serializable ones
};
SharedTables& shared_tables();

// The keys and sizes that the tables were made with; defined by their users, checked by assertion.
inline constexpr size_t kRowLockKeySize = 16, kRowLockEntrySize = 64;
inline constexpr size_t kInsertKeySize = 16, kInsertEntrySize = 64;
inline constexpr size_t kBlockKeySize = 16, kBlockEntrySize = 32;
inline constexpr size_t kWriterKeySize = 16, kWriterEntrySize = 32;

// A 32-bit xid of the present as 64-bit id, relative to the next xid.
uint64_t widen_xid(TransactionId xid);
void forget_next_xid();  // at the end of the transaction: the next one may be far in the future

}  // namespace datahike::pg
