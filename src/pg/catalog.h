// The extension's own heap tables: where they are, which table id a relation has, which id a
// branch.
#pragma once

#include "pg/pg.h"

namespace datahike::pg {

// OIDs of the extension's relations in this database; all InvalidOid where it is not installed.
struct ExtensionOids {
  Oid schema;
  Oid tx_log, tx_log_key;
  Oid heads, heads_key;
  Oid branch, branch_name_key, branch_id_key;
  Oid relation, relation_key;
  Oid table_history, table_history_key;
  Oid index_omissions, index_omissions_key;
  Oid prepared;
  Oid reflog, reflog_key;
  Oid tag, tag_key;
  Oid rowid_block;  // sequence
  Oid table_id;     // sequence
  Oid branch_id;    // sequence
};
const ExtensionOids& extension();  // cached; ereport(ERROR, 55000) where not installed
bool extension_installed();
uint64_t extension_generation();  // changes whenever another installation may have taken its place

// Takes the locks that make later opens of the log's relations free of first-time locking: once per
// transaction, before index code runs (reading the log may happen under an index page's lock).
void lock_log_relations();
// The same for all that the worker reads under the pins' lock (pins.h): nobody may have to wait for
// that because a table of the extension is locked.
void lock_versioning_relations();

// What datahike.relation says of a relation of our access method.
struct StoredTable {
  uint64_t id;            // stable table id, made at the relation's creation; 0 if there is none
  uint64_t horizon;       // see am/horizon.h
  bytea* added_defaults;  // see am/added_defaults.h; palloc'd, nullptr if there are none
  uint64_t first_rowid;   // its rows' rowids are not below it, and its TIDs count from it
};
StoredTable find_table(Oid relation);
uint64_t find_table_id(Oid relation);
StoredTable make_table(Oid relation);
void forget_table_id(Oid relation);  // no effect if there is none
// Both tell the other sessions. REQUIRES: the relation has a table id.
void set_horizon(Oid relation, uint64_t horizon);
void set_added_defaults(Oid relation, const bytea* added_defaults);
// Relation with this table id, or InvalidOid.
Oid find_relation(uint64_t table);

inline constexpr const char* kDefaultBranch = "db";
// Id of a branch by name, or -1. Cached until some session changes the branches.
int64_t find_branch(const char* name);
uint64_t branches_generation();  // changes whenever cached branch names are forgotten
int64_t count_branches();
// Inserts and deletes rows of datahike.branch, and tells the other sessions.
int32_t insert_branch(const char* name);
void delete_branch_row(const char* name);
// Holds the branch against deletion until the end of the transaction.
void lock_branch_for_write(int32_t branch);
bool try_lock_branch_for_write(int32_t branch);  // false: it is being set to another commit
// One merge into a branch at a time: until the end of the transaction. Not against other writers.
void lock_branch_for_merge(int32_t branch);
bool try_lock_branch_exclusively(int32_t branch);
void lock_branch_exclusively(int32_t branch);  // waits until nobody is writing it

void register_catalog_callbacks();

}  // namespace datahike::pg
