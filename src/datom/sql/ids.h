// Numbers of entities and of transactions of facts.
//
// The tx of a commit is known when the worker folds it, after the transaction has ended. What a
// transaction of facts writes carries a number of its own, a transaction entity, drawn from a
// sequence; datahike.fact_tx says which PostgreSQL transaction it was, and the commit's record
// which commit that became.
#pragma once

#include <optional>

#include "pg/settings.h"

namespace datahike::facts {

struct FactRelations {
  Oid facts = InvalidOid, fact_tx = InvalidOid;
  Oid entity_id = InvalidOid, tx_number = InvalidOid;  // sequences
};
// ereport(ERROR, 55000) where the extension is not installed. Plain PostgreSQL code.
FactRelations fact_relations();

// The next entity id. Plain PostgreSQL code, as the next two.
int64_t draw_entity();
// No entity id up to this one is drawn from now on. False: it is more than `most` and has not been
// drawn either.
bool claim_entities_up_to(int64_t e, int64_t most);
// The transaction entity of this PostgreSQL transaction, made by the first call.
int64_t current_tx();

// The number of the commit that a transaction entity became; of one that is not known that of the
// last known one before it; UINT64_MAX: it is not committed, or not visible to the newest snapshot.
uint64_t commit_tx_of(int64_t tx);
// The same of a transaction that added a fact: where its commit has been collected, it came after
// the last known one before it.
uint64_t commit_tx_of_fact(int64_t tx);
// A transaction entity in a datahike.as_of or since becomes its commit's tx.
void settle_tx(pg::AsOf& at);
// The transaction entity that a commit was, or else its number.
int64_t tx_of_commit(uint64_t commit_tx);

}  // namespace datahike::facts
