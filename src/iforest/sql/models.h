// Models in the database. Each is a datahike table of its own in schema datahike_models, with one
// row on each branch (and commit) that has the model:
//
//   name text PRIMARY KEY, trained_at timestamptz, forest bytea     (forest: iforest/format.h)
//
// So what holds for tables holds for models: a branch, commit or time has those that it had,
// ROLLBACK undoes, merge notices conflicts, GRANT decides who may use one, pg_dump takes them
// along.
#pragma once

#include "pg/pg.h"
#include "iforest/scorer.h"
#include "iforest/sql/model_table.h"

namespace datahike::anomaly {

struct LoadedModel {
  iforest::Model model;
  iforest::Scorer scorer;
  TimestampTz trained_at;
  explicit LoadedModel(iforest::Model m) : model(std::move(m)), scorer(model) {}
};

// The model as the active snapshot and the session's view have it, if the user may read it. Kept
// for the session. A table that another session is dropping is waited for. Errors: 42704 "model not
// found", 42501, XX001. From C++ frames only.
std::shared_ptr<const LoadedModel> load_model(const char* name);
// The same while a query is analysed or planned, which is before it has a snapshot and a view.
std::shared_ptr<const LoadedModel> model_for_planning(const char* name);

// What does not need the forest, so that a model that is damaged can be replaced or dropped.
struct ModelVersion {
  bool dated;  // a row that was written by hand may have no time
  TimestampTz trained_at;
};
// nullopt: the view has no such model. Errors: 42501, 42809.
std::optional<ModelVersion> find_version(const char* name);

// To be described, not to score. nullptr where there is none or, if `listed`, what is no model or
// not the user's to read; then throws CorruptError for a damaged one.
struct DescribedModel {
  iforest::Model model;  // without its trees
  size_t trees;
  TimestampTz trained_at;
};
std::shared_ptr<const DescribedModel> describe_model(const char* name, bool listed);

// What a forest's bytes are. Throws CorruptError.
iforest::Model decode_forest(const bytea* forest);

// 42704.
[[noreturn]] void throw_not_found(const char* name);
// Raises 42602 for what cannot be a model's name.
void check_name(const char* name);

// What a result of load_model() depends on, so that it need not be asked for again. Plain data.
//
// Of transactions below a snapshot's xmax only fewer can be in progress as time goes on: so two
// snapshots with the same xmax and as many transactions in progress see the same, if the session's
// own transaction is the same, has come as far, and has undone nothing (which changes the epoch).
struct ModelKey {
  uint64_t epoch;
  TransactionId xmin, xmax, own;
  uint32_t in_progress;
  CommandId command;
  LocalTransactionId transaction;  // under SERIALIZABLE: each is to read the model's table once
  Oid user;
  uint64_t view;  // changes with the view of the running query
  bool known;     // false: of a snapshot of another kind
};
ModelKey current_key();
// Whether what was loaded under `key` is what load_model() would give now.
bool is_current(const ModelKey& key);

void register_model_callbacks();

}  // namespace datahike::anomaly
