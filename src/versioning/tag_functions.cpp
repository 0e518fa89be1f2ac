// The SQL functions for tags, and reflog().
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/reflog.h"
#include "pg/snapshot.h"
#include "pg/tags.h"
#include "versioning/ref_names.h"
#include "versioning/reset.h"
#include "versioning/revision.h"
#include "versioning/sql_values.h"

using namespace datahike;
using namespace datahike::versioning;

namespace {

void make_tag(const char* name, const char* revision) {
  require_may_create("tag");
  check_ref_name("tag", name);
  require_free_name(name);
  if (!revision) refuse_uncommitted("make a tag");
  store::Commit commit = commit_to_name(resolve_revision_or_current(revision));
  try {
    pg::insert_tag({name, commit.id, commit.tx, GetCurrentTimestamp(), GetUserId()});
  } catch (const pg::PgError& e) {
    if (e.data->sqlerrcode != ERRCODE_UNIQUE_VIOLATION) throw;
    throw pg::SqlError(ERRCODE_DUPLICATE_OBJECT,
                       std::string("tag \"") + name + "\" already exists");
  }
}

void delete_tag(const char* name) {
  std::optional<pg::Tag> tag = pg::find_tag(name);
  if (!tag)
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT, std::string("tag \"") + name + "\" does not exist",
                       "datahike.tags() lists the tags.");
  Oid owner = tag->owner;
  bool may = pg::call([=] {
    return has_privs_of_role(GetUserId(), owner) ||
           pg_database_ownercheck(MyDatabaseId, GetUserId());
  });
  if (!may)
    throw pg::SqlError(ERRCODE_INSUFFICIENT_PRIVILEGE,
                       std::string("permission denied to delete tag \"") + name + "\"",
                       "The role that made it and the database's owner may.");
  pg::delete_tag(name);
}

void put_row(ReturnSetInfo* result, Datum* values, bool* nulls) {
  pg::call([=] {
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    CHECK_FOR_INTERRUPTS();
  });
}

void put_tags(ReturnSetInfo* result) {
  for (const pg::Tag& tag : pg::all_tags()) {
    Oid owner = tag.owner;
    char* role = pg::call([=] { return GetUserNameFromId(owner, true); });
    Datum values[5] = {text_datum(tag.name), pg::call([&] { return uuid_datum(tag.commit); }),
                       Int64GetDatum(static_cast<int64_t>(tag.tx)),
                       TimestampTzGetDatum(tag.created_at), role ? text_datum(role) : Datum{0}};
    bool nulls[5] = {false, false, false, false, role == nullptr};
    put_row(result, values, nulls);
  }
}

// The rows of reflog(), newest first: each takes the branch from one commit to another.
class Reflog {
 public:
  Reflog(ReturnSetInfo* result, int32_t max) : result_(result), left_(max) {}

  void print(int32_t branch) {
    store::Uuid at = branch_head(branch);
    Snapshot snapshot = pg::call([] { return pg::latest_snapshot(); });
    std::vector<pg::RefMove> moves = pg::read_ref_moves(branch, snapshot);
    std::optional<uint64_t> tx;  // of `at`, where a move says it
    for (auto move = moves.rbegin(); move != moves.rend() && left_ > 0; ++move) {
      put_commits(at, tx, *move);
      put(move->time, move->to_tx, move->from, move->to,
          move->message.empty() ? move->operation : move->operation + ": " + move->message,
          move->author);
      at = move->from ? *move->from : move->to;
      tx = move->from ? move->from_tx : move->to_tx;
    }
  }

 private:
  // What was committed since `move`, up to `last`. Of a collected commit there is what its
  // tombstone says; the line goes on at the nearest commit before it that was kept.
  void put_commits(const store::Uuid& last, std::optional<uint64_t> last_tx,
                   const pg::RefMove& move) {
    store::Environment& env = store_for_reading();
    for (store::Uuid at = last; at != move.to && left_ > 0;) {
      std::optional<store::Commit> commit = store::find_commit(env, at);
      if (!commit) {
        std::optional<store::Tombstone> left = env.tombstone(at);
        if (left) last_tx = left->tx;
        if (last_tx && *last_tx <= move.to_tx) return;  // the line has passed what `move` set
        put(left ? std::optional(left->time) : std::nullopt, last_tx, std::nullopt, at, "commit",
            "");
        if (!left || left->ancestors.empty()) return;
        at = left->ancestors.front();
        last_tx.reset();
        continue;
      }
      if (commit->tx <= move.to_tx || commit->parents.empty()) return;
      const store::Uuid& parent = commit->parents.front();
      put(commit->time, commit->tx, parent, at, commit->parents.size() > 1 ? "merge" : "commit",
          commit->author);
      at = parent;
      last_tx.reset();
    }
  }

  void put(std::optional<int64_t> time, std::optional<uint64_t> tx,
           const std::optional<store::Uuid>& from, const store::Uuid& to,
           const std::string& operation, const std::string& author) {
    if (left_ <= 0) return;
    --left_;
    Datum values[6] = {TimestampTzGetDatum(time.value_or(0)),
                       Int64GetDatum(static_cast<int64_t>(tx.value_or(0))),
                       from ? pg::call([&] { return uuid_datum(*from); }) : Datum{0},
                       pg::call([&] { return uuid_datum(to); }),
                       text_datum(operation),
                       author.empty() ? Datum{0} : text_datum(author)};
    bool nulls[6] = {!time, !tx, !from, false, false, author.empty()};
    put_row(result_, values, nulls);
  }

  ReturnSetInfo* result_;
  int32_t left_;
};

void put_reflog(ReturnSetInfo* result, const char* name, int32_t max) {
  int64_t branch = pg::call([=] { return pg::find_branch(name); });
  if (branch < 0)
    throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                       std::string("branch \"") + name + "\" does not exist",
                       "datahike.branches() lists the branches.");
  Reflog(result, max).print(static_cast<int32_t>(branch));
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_tag);
PG_FUNCTION_INFO_V1(datahike_delete_tag);
PG_FUNCTION_INFO_V1(datahike_tags);
PG_FUNCTION_INFO_V1(datahike_reflog);
PGDLLEXPORT Datum datahike_tag(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_delete_tag(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_tags(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum datahike_reflog(PG_FUNCTION_ARGS);
}

Datum datahike_tag(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("a tag needs a name")));
  char* name = optional_text(fcinfo, 0);
  char* revision = optional_text(fcinfo, 1);
  PreventCommandIfReadOnly("tag()");
  pg::guard([=] { make_tag(name, revision); });
  PG_RETURN_TEXT_P(cstring_to_text(name));
}

Datum datahike_delete_tag(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("a tag needs a name")));
  char* name = optional_text(fcinfo, 0);
  PreventCommandIfReadOnly("delete_tag()");
  pg::guard([=] { delete_tag(name); });
  PG_RETURN_TEXT_P(cstring_to_text(name));
}

Datum datahike_tags(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { put_tags(result); });
  return 0;
}

Datum datahike_reflog(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("a branch needs a name")));
  char* name = optional_text(fcinfo, 0);
  int32 max = PG_ARGISNULL(1) ? PG_INT32_MAX : PG_GETARG_INT32(1);
  if (max < 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max must not be negative")));
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] { put_reflog(result, name, max); });
  return 0;
}
