// VACUUM: removes index entries of row versions that nobody can see any more, and has small
// segments joined. Rows themselves are immutable and stay in the store.
//
// Two kinds of entries go. Those of row versions that are dead by the table's horizon, which the
// fold worker moves. And those of rowids that name no row at all: the transaction was rolled back,
// or had superseded the version itself. The second kind goes whatever history is kept; but it takes
// a pass over each index to find them, so where all history is kept that is left to VACUUM given by
// hand: autovacuum would come back for every batch of updates and find nothing.
#include "am/brin.h"
#include "am/callbacks.h"
#include "am/fetch.h"
#include "am/purge.h"
#include "am/rowids.h"
#include "am/rowless_search.h"
#include "am/table_size.h"
#include "pg/bridge.h"
#include "pg/keep_history.h"
#include "pg/log.h"
#include "pg/store.h"
#include "pg/worker.h"
#include "store/segment_joiner.h"
#include "versioning/collected.h"
#include "versioning/redacted.h"

extern "C" {
#include "postmaster/autovacuum.h"
}

namespace datahike::am {

namespace {

constexpr size_t kMostUnknown = 1 << 20;  // 64 MB at most; the rest is found next time

// What a pass over the table's indexes looks for.
struct Pass {
  uint64_t table;
  store::DeadVersions* dead;  // nullptr: nothing is
  store::Environment* env;    // nullptr: there is no store yet
  bool collect;               // unknown rowids; else removes them
  std::unordered_set<uint64_t> unknown;
  uint64_t removed = 0;
  TidBase tid_base;
};

bool is_reaped(ItemPointer tid, void* state) {
  auto* pass = static_cast<Pass*>(state);
  return pg::guard([=] {
    uint64_t rowid = to_rowid(pass->tid_base, *tid);
    bool dead = versioning::is_redacted(rowid);
    if (!dead && pass->collect) {
      bool stored = true;
      if (pass->dead) {
        auto verdict = pass->dead->judge(*pass->env, rowid);
        dead = verdict == store::DeadVersions::Verdict::Dead;
        stored = verdict != store::DeadVersions::Verdict::NotStored;
      } else {
        stored = pass->env && pass->env->segment(pass->table, rowid).has_value();
      }
      if (!stored && pass->unknown.size() < kMostUnknown) pass->unknown.insert(rowid);
    } else if (!dead) {
      dead = pass->unknown.count(rowid) > 0;
    }
    pass->removed += dead;
    return dead;
  });
}

// The table's indexes, locked and opened. Plain PostgreSQL code.
struct Indexes {
  int count;
  Relation* relations;
  IndexBulkDeleteResult** results;
  double rows;  // of the table, an estimate for the indexes
  BufferAccessStrategy strategy;

  bool is_brin(int i) const { return relations[i]->rd_rel->relam == BRIN_AM_OID; }
  IndexVacuumInfo info(int i) const {
    IndexVacuumInfo info{};
    info.index = relations[i];
    info.estimated_count = true;  // an index has entries for other branches too
    info.message_level = DEBUG2;
    info.num_heap_tuples = rows;
    info.strategy = strategy;
    return info;
  }
};

void bulk_delete(Indexes& indexes, Pass* pass) {
  for (int i = 0; i < indexes.count; ++i) {
    if (indexes.is_brin(i)) continue;  // it has summaries, not entries
    IndexVacuumInfo info = indexes.info(i);
    indexes.results[i] = index_bulk_delete(&info, indexes.results[i], is_reaped, pass);
  }
}

void clean_up(Indexes& indexes, int level) {
  for (int i = 0; i < indexes.count; ++i) {
    IndexVacuumInfo info = indexes.info(i);
    info.message_level = level;
    IndexBulkDeleteResult* result = indexes.is_brin(i)
                                        ? summarize_new_ranges(&info, indexes.results[i])
                                        : index_vacuum_cleanup(&info, indexes.results[i]);
    if (!result) continue;
    if (!result->estimated_count)
      vac_update_relstats(indexes.relations[i], result->num_pages, result->num_index_tuples, 0,
                          false, InvalidTransactionId, InvalidMultiXactId, nullptr, nullptr, false);
    ereport(level,
            (errmsg("index \"%s\" now contains %.0f entries in %u pages",
                    RelationGetRelationName(indexes.relations[i]), result->num_index_tuples,
                    result->num_pages),
             errdetail("%.0f entries of dead row versions were removed.", result->tuples_removed)));
  }
}

void forget_redacted(const Indexes& indexes, const RelationInfo& info) {
  for (int i = 0; i < indexes.count; ++i)
    if (indexes.is_brin(i)) forget_redacted_summaries(indexes.relations[i], info);
}

void set_phase(int64 phase) { pgstat_progress_update_param(PROGRESS_VACUUM_PHASE, phase); }

uint64_t vacuum_indexes(const RelationInfo& info, Indexes& indexes) {
  constexpr size_t kBlockKb = 16;
  Pass pass{info.table, nullptr, pg::try_store(), true, {}, 0, info.tid_base};
  std::optional<store::DeadVersions> dead;
  if (pass.env) {
    pass.env->refresh();
    // Indexes are in the order of their keys: it pays to have room for the whole table.
    size_t blocks = static_cast<size_t>(maintenance_work_mem) / kBlockKb;
    if (std::optional<store::Horizon> horizon = store::read_horizon(*pass.env, info.table))
      pass.dead = &dead.emplace(info.table, std::move(*horizon), blocks);
  }
  Pass* p = &pass;
  Indexes* of = &indexes;
  pg::call([=] {
    set_phase(PROGRESS_VACUUM_PHASE_VACUUM_INDEX);
    bulk_delete(*of, p);
  });
  keep_rowless(pass.unknown, info);
  pass.collect = false;
  if (!pass.unknown.empty()) pg::call([=] { bulk_delete(*of, p); });
  return pass.removed;
}

// The newest state of the session's branch. The active snapshot may have been taken before a long
// wait for the table's lock, and the purge of the log does not spare the snapshots of VACUUM
// (PROC_IN_VACUUM): what that snapshot would read may be gone.
TableSize latest_size(Relation relation, const RelationInfo& info) {
  return measure_table(latest_table_view(info, versioning::session_view().branch), relation, info);
}

// Whether gc has taken rows of the table: their index entries name rowids that no row has.
bool has_erased_rows(uint64_t table) {
  store::Environment* env = pg::try_store();
  return env && env->meta(store::erased_rows_key(table));
}

// Folds, then moves horizons: the second fold is begun after that.
void wait_for_horizon() {
  pg::request_fold_and_wait();
  pg::request_fold_and_wait();
}

// Segments are joined in the background as well; after VACUUM given by hand there is nothing left
// to do.
void join_segments(Relation relation, uint64_t table, int level) {
  if (!pg::start_worker()) return;  // it has told so, or will
  pg::request_fold_and_wait();
  store::Environment* env = pg::try_store();
  if (!env) return;
  env->refresh();
  if (!store::has_small_neighbours(*env, table)) return;
  pg::release_store();
  pg::GcRequest request{};
  request.join = table;
  const pg::GcAnswer answer = pg::request_gc_and_wait(request);
  const pg::GcAnswer* a = &answer;
  pg::call([=] {
    if (a->short_of_space)
      ereport(WARNING, (errmsg("small segments of table \"%s\" stay apart",
                               RelationGetRelationName(relation)),
                        errdetail("There is little room left on disk, or in the store's map.")));
    else if (a->segments_before > 0)
      ereport(level,
              (errmsg("table \"%s\": %lld small segments were joined to %lld",
                      RelationGetRelationName(relation), static_cast<long long>(a->segments_before),
                      static_cast<long long>(a->segments_after))));
  });
}

}  // namespace

void remove_redacted_entries(Relation relation, const RelationInfo& info) {
  Pass pass{info.table, nullptr, nullptr, false, {}, 0, info.tid_base};
  Pass* p = &pass;
  Indexes indexes{};
  Indexes* of = &indexes;
  pg::call([=] {
    of->rows = std::max<double>(relation->rd_rel->reltuples, 0);
    of->strategy = GetAccessStrategy(BAS_VACUUM);
    vac_open_indexes(relation, RowExclusiveLock, &of->count, &of->relations);
    of->results = static_cast<IndexBulkDeleteResult**>(
        palloc0(sizeof(IndexBulkDeleteResult*) * (static_cast<size_t>(of->count) + 1)));
    bulk_delete(*of, p);
  });
  forget_redacted(indexes, info);
  pg::call([=] {
    clean_up(*of, DEBUG2);
    vac_close_indexes(of->count, of->relations, NoLock);
  });
}

void relation_vacuum(Relation relation, VacuumParams* params, BufferAccessStrategy strategy) {
  pgstat_progress_start_command(PROGRESS_COMMAND_VACUUM, RelationGetRelid(relation));
  int level = params->options & VACOPT_VERBOSE ? INFO : DEBUG2;
  bool by_hand = !IsAutoVacuumWorkerProcess();
  TableSize size = pg::guard([=] {
    const RelationInfo& info = relation_info(relation);
    uint64_t table = info.table;
    Indexes indexes{};
    Indexes* out = &indexes;
    pg::call([=] {
      vac_open_indexes(relation, RowExclusiveLock, &out->count, &out->relations);
      out->results = static_cast<IndexBulkDeleteResult**>(
          palloc0(sizeof(IndexBulkDeleteResult*) * (static_cast<size_t>(out->count) + 1)));
    });
    bool keeps_all = pg::call([=] { return pg::keep_of_table(table); }) == pg::kKeepAll;
    bool cleanup = params->index_cleanup != VACOPTVALUE_DISABLED && indexes.count > 0;
    bool forgets = !keeps_all || versioning::dead_versions(table) || has_erased_rows(table);
    if (cleanup && !keeps_all) wait_for_horizon();
    TableSize live = latest_size(relation, info);
    indexes.rows = static_cast<double>(live.rows);
    indexes.strategy = strategy;
    if (cleanup && (forgets || by_hand)) vacuum_indexes(info, indexes);
    if (cleanup) forget_redacted(indexes, info);
    pg::call([=] {
      set_phase(PROGRESS_VACUUM_PHASE_INDEX_CLEANUP);
      if (cleanup) clean_up(*out, level);
      vac_close_indexes(out->count, out->relations, NoLock);
    });
    if (by_hand) join_segments(relation, table, level);
    return live;
  });
  set_phase(PROGRESS_VACUUM_PHASE_FINAL_CLEANUP);
  pg::wake_worker();
  auto pages = static_cast<BlockNumber>(size.counted_blocks());
  vac_update_relstats(relation, pages, static_cast<double>(size.rows), pages,
                      relation->rd_rel->relhasindex, RecentXmin, GetOldestMultiXactId(), nullptr,
                      nullptr, false);
  pgstat_report_vacuum(RelationGetRelid(relation), relation->rd_rel->relisshared,
                       static_cast<PgStat_Counter>(size.rows), 0);
  pgstat_progress_end_command();
}

}  // namespace datahike::am
