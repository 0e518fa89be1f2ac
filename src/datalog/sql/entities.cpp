#include "datalog/sql/entities.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/store.h"

namespace datahike::query {

RowEntities::RowEntities(int32_t branch) : branch_(branch) {
  if (branch_ < 0) branch_ = versioning::current_settings().branch;
}

int64_t RowEntities::entity(Oid relid, const ItemPointerData& row) {
  Table& table = tables_[relid];
  if (table.id == 0) {
    const pg::StoredTable stored = pg::call([=] { return pg::find_table(relid); });
    table = {stored.id, am::TidBase{stored.first_rowid}};
  }
  if (table.id == 0 || !am::is_rowid(row))
    throw pg::SqlError(ERRCODE_WRONG_OBJECT_TYPE,
                       "a row of a table that is no datahike table has no entity",
                       "ALTER TABLE ... SET ACCESS METHOD datahike");
  return kFirstRowEntity + static_cast<int64_t>(find(table.id, am::to_rowid(table.tid_base, row)));
}

uint64_t RowEntities::find(uint64_t table, uint64_t rowid) {
  store::Environment* env = pg::try_store();
  bool known = env && segment_ && table == table_ && env->generation() == generation_ &&
               rowid >= segment_->first_rowid() && rowid <= segment_->last_rowid() &&
               !segment_->is_hole(static_cast<uint32_t>(rowid - segment_->first_rowid()));
  if (!known) {
    segment_.reset();
    if (env) {
      segment_ = env->segment(table, rowid);
      generation_ = env->generation();
      table_ = table;
    }
  }
  if (segment_) return segment_->entity(static_cast<uint32_t>(rowid - segment_->first_rowid()));
  if (am::TablePending* own = am::find_pending(branch_, table))
    if (am::PendingRow row = am::find_pending_row(*own, rowid)) {
      if (row.run->places.empty()) return row.run->entity(row.index);
      uint32_t at;
      return am::read_spilled(*own, *row.run, row.index, &at).entity(at);
    }
  if (!view_) view_ = versioning::latest_view(branch_);
  versioning::TableOverlay& overlay = view_->overlay->table(table);
  if (auto found = versioning::find_row(*view_, overlay, table, rowid))
    return found->segment.entity(found->row);
  throw CorruptError("row version " + std::to_string(rowid) + " of table " + std::to_string(table) +
                     " has no entity");
}

}  // namespace datahike::query
