#include "fdw/scan.h"

#include "fdw/pushed.h"

#include "am/sample.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/store.h"
#include "versioning/collected.h"

extern "C" {
#include "access/sysattr.h"
#include "catalog/pg_authid.h"
#include "foreign/foreign.h"
#include "utils/rls.h"
}

namespace datahike::fdw {

namespace {

void delete_scan(void* scan) { delete static_cast<Scan*>(scan); }

Scan* make_scan(const ScanRequest& request) {
  Scan* scan = pg::guard([] { return new Scan; });
  auto* callback = static_cast<MemoryContextCallback*>(
      MemoryContextAlloc(request.memory, sizeof(MemoryContextCallback)));
  callback->func = delete_scan;
  callback->arg = scan;
  MemoryContextRegisterResetCallback(request.memory, callback);
  scan->foreign_table = RelationGetRelid(request.foreign);
  scan->row_type = RelationGetDescr(request.foreign);
  scan->row_memory =
      AllocSetContextCreate(request.memory, "datahike foreign row", ALLOCSET_DEFAULT_SIZES);
  scan->snapshot = *request.snapshot;
  return scan;
}

[[noreturn]] void no_such_column(const char* column, const TableName& name) {
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                  errmsg("table %s has no column \"%s\" there", quoted(name), column),
                  errhint("IMPORT FOREIGN SCHEMA makes foreign tables with the columns that "
                          "tables have at the server's view.")));
  pg_unreachable();
}

// The attribute that a column of the foreign table has the values of: the one of that name.
void find_column(Scan* scan, int16_t number, const TableName& name) {
  FormData_pg_attribute* att = TupleDescAttr(scan->row_type, number - 1);
  Column column{number - 1, 0, am::describe_attribute(*att), nullptr};
  const char* wanted = NameStr(att->attname);
  if (scan->target.recorded) {
    for (const auto& [n, was] : scan->target.table.schema.columns)
      if (was.name == wanted) column.number = n, column.was = &was;
  } else {
    column.number = get_attnum(RelationGetRelid(scan->relation), wanted);
  }
  if (column.number <= 0) no_such_column(wanted, name);
  pg::guard([&] { scan->columns.push_back(column); });
}

// Whether the table as it is now has the attribute, of the type that the foreign table declares.
bool is_unchanged(Relation relation, const Column& column) {
  TupleDesc desc = RelationGetDescr(relation);
  if (column.number > desc->natts) return false;
  FormData_pg_attribute* att = TupleDescAttr(desc, column.number - 1);
  return !att->attisdropped && att->atttypid == column.as.type &&
         att->atttypmod == column.as.typmod;
}

bool table_can_be_scanned(Scan* scan) {
  if (!scan->target.recorded) return true;
  if (!scan->relation || !is_datahike(scan->relation)) return false;
  for (const Column& column : scan->columns)
    if (!is_unchanged(scan->relation, column)) return false;
  return true;
}

// Of a table that is gone nobody can say who might read it.
void check_dropped(Oid user, const TableName& name) {
  if (has_privs_of_role(user, ROLE_PG_READ_ALL_DATA)) return;
  ereport(ERROR,
          (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
           errmsg("permission denied for table %s, which has been dropped since", quoted(name)),
           errhint("Its privileges are gone: it takes those of pg_read_all_data.")));
}

constexpr double kRowsUnknown = 1000;

// Planning comes before the privileges are checked.
bool may_read_some(Oid relid, Oid user) {
  return pg_class_aclcheck(relid, user, ACL_SELECT) == ACLCHECK_OK ||
         pg_attribute_aclcheck_all(relid, user, ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK;
}

bool may_read_columns(Scan* scan, Oid user) {
  Oid relid = RelationGetRelid(scan->relation);
  if (pg_class_aclcheck(relid, user, ACL_SELECT) == ACLCHECK_OK) return true;
  if (scan->columns.empty())
    return pg_attribute_aclcheck_all(relid, user, ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK;
  for (const Column& column : scan->columns) {
    HeapTuple tuple =
        SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(column.number));
    bool there = HeapTupleIsValid(tuple);
    bool dropped = there && reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attisdropped;
    if (there) ReleaseSysCache(tuple);
    if (!there || dropped) return false;  // its privileges are gone
    if (pg_attribute_aclcheck(relid, column.number, user, ACL_SELECT) != ACLCHECK_OK) return false;
  }
  return true;
}

// Never more than the table itself would show.
void check_privileges(Scan* scan, Oid user, const TableName& name) {
  if (!scan->relation) return check_dropped(user, name);
  Oid relid = RelationGetRelid(scan->relation);
  if (!may_read_columns(scan, user))
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
  if (check_enable_rls(relid, user, false) == RLS_ENABLED)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("row-level security of table %s cannot be applied here", quoted(name)),
                    errhint("Read it by datahike.at(), or as a role that bypasses it.")));
}

void begin_table_scan(Scan* scan) {
  for (const Column& column : scan->columns)
    scan->last_attribute = std::max<int>(scan->last_attribute, column.number);
  scan->table_row = MakeSingleTupleTableSlot(RelationGetDescr(scan->relation),
                                             table_slot_callbacks(scan->relation));
  scan->table_scan = table_beginscan(scan->relation, &scan->snapshot, 0, nullptr);
}

void begin_segment_scan(Scan* scan) {
  versioning::View view = versioning::view_for(&scan->snapshot);
  const uint64_t id = scan->target.table.id;
  am::TableView table;
  if (scan->relation && is_datahike(scan->relation)) {
    Relation relation = scan->relation;
    const am::RelationInfo& info =
        pg::call([=]() -> const am::RelationInfo& { return am::relation_info(relation); });
    table = am::table_view(info, &scan->snapshot);
    scan->tid_base = info.tid_base;
  } else {
    versioning::require_kept(view, id);
    table = {view, &view.overlay->table(id), id, scan->snapshot.curcid, 0};
  }
  scan->cursor = std::make_unique<am::RowCursor>(table);
  versioning::begin_using_views();
}

// The segment that holds the row the cursor is at.
void find_segment(Scan* scan, uint64_t rowid) {
  if (scan->has_segment && scan->in_store && pg::open_store().generation() != scan->generation)
    scan->has_segment = false;
  if (scan->has_segment && rowid >= scan->segment.first_rowid() &&
      rowid <= scan->segment.last_rowid() &&
      !scan->segment.is_hole(static_cast<uint32_t>(rowid - scan->segment.first_rowid())))
    return;
  const am::TableView& view = scan->cursor->view();
  auto found = versioning::find_row(view.view, *view.table, view.table_id, rowid);
  if (!found)
    throw CorruptError("row " + std::to_string(rowid) + " of table " +
                       scan->target.table.schema.name + " is live but missing in the store");
  scan->segment = found->segment;
  scan->has_segment = true;
  scan->in_store = found->in_store;
  scan->generation = found->in_store ? pg::open_store().generation() : 0;
}

// Rows that leave nothing behind are many: who waits for them may want to stop.
void poll(uint64_t& left_out) {
  if ((++left_out & 0xfff) == 0) pg::call([] { CHECK_FOR_INTERRUPTS(); });
}

bool next_of_segments(Scan* scan, TupleTableSlot* slot) {
  for (uint64_t left_out = 0;; poll(left_out)) {
    if (!scan->cursor->step(true)) return false;
    const uint64_t rowid = scan->cursor->rowid();
    find_segment(scan, rowid);
    const auto row = static_cast<uint32_t>(rowid - scan->segment.first_rowid());
    if (!scan->conditions.passes(scan->segment, row)) continue;
    const RowFormat format{scan->columns, scan->target.table.schema, scan->foreign_table, true};
    decode_row(format, scan->known_columns, scan->segment, row, slot, scan->row_memory);
    slot->tts_tid = am::to_tid(scan->tid_base, rowid);
    return true;
  }
}

bool next_of_other(Scan* scan, TupleTableSlot* slot) {
  for (uint64_t left_out = 0;; poll(left_out)) {
    if (!scan->other->next()) return false;
    const store::SegmentReader& segment = scan->other->segment();
    const uint64_t rowid = scan->other->rowid();
    const auto row = static_cast<uint32_t>(rowid - segment.first_rowid());
    if (scan->conditions.exclude(segment)) {
      scan->other->leave_segment();
      continue;
    }
    if (!scan->conditions.passes(segment, row)) continue;
    const RowFormat format{scan->columns, scan->target.table.schema, scan->foreign_table, false};
    decode_row(format, scan->known_columns, segment, row, slot, scan->row_memory);
    slot->tts_tid = am::to_tid(scan->tid_base, rowid);
    return true;
  }
}

bool next_of_table(Scan* scan, TupleTableSlot* slot) {
  TupleTableSlot* row = scan->table_row;
  if (!table_scan_getnextslot(scan->table_scan, ForwardScanDirection, row)) return false;
  slot_getsomeattrs(row, scan->last_attribute);
  TupleDesc desc = RelationGetDescr(scan->relation);
  for (const Column& column : scan->columns) {
    int at = column.number - 1;
    bool* isnull = &slot->tts_isnull[column.index];
    *isnull = row->tts_isnull[at];
    if (*isnull) continue;
    FormData_pg_attribute* from = TupleDescAttr(desc, at);
    Datum value = row->tts_values[at];
    if (from->atttypid != column.as.type || from->atttypmod != column.as.typmod)
      value = convert_to(value, from->atttypid, from->atttypmod,
                         *TupleDescAttr(scan->row_type, column.index), scan->foreign_table,
                         scan->row_memory, isnull);
    slot->tts_values[column.index] = value;
  }
  slot->tts_tid = row->tts_tid;
  return true;
}

}  // namespace

Scan::~Scan() {
  versioning::forget_named_view(&snapshot);
  other.reset();
  const OtherStoreLease lease;
}

namespace {

// Whoever may use the foreign table reads another store: its server was made by a role that may
// read the server's files, or all data (options.cpp).
void open_scan_of_other(Scan* scan, const ScanRequest& request, const ServerOptions& options,
                        const TableName& name, Oid user) {
  pg::guard([&] {
    const OtherStoreLease lease;
    OtherStore& store = open_other_store(options, user);
    OtherCommit commit = read_other_commit(store, options);
    scan->target.table = require_table(commit.tables, options, name);
    scan->target.recorded = true;
    scan->other = std::make_unique<OtherRows>(store, commit.state, scan->target.table.id);
  });
  ListCell* cell;
  foreach (cell, request.columns) find_column(scan, static_cast<int16_t>(lfirst_int(cell)), name);
  pg::guard([&] { push_conditions(request.conditions, *scan); });
}

double count_rows_of_other(const ServerOptions& options, const TableName& name, Oid user) {
  return pg::guard([&] {
    const OtherStoreLease lease;
    OtherStore& store = open_other_store(options, user);
    OtherCommit commit = read_other_commit(store, options);
    const RecordedTable table = require_table(commit.tables, options, name);
    return static_cast<double>(OtherRows(store, commit.state, table.id).count());
  });
}

}  // namespace

Scan* open_scan(const ScanRequest& request) {
  Scan* scan = make_scan(request);
  Oid server = GetForeignTable(scan->foreign_table)->serverid;
  ServerOptions options = server_options(server);
  TableName name = table_name(scan->foreign_table);
  Oid user = reading_role(server, request.user);
  if (!options.is_local()) {
    open_scan_of_other(scan, request, options, name, user);
    return scan;
  }
  pg::guard([&] {
    scan->target = find_target(options, name, request.snapshot);
    versioning::name_view(&scan->snapshot, &scan->target.session);
  });
  if (OidIsValid(scan->target.relation))
    scan->relation = try_table_open(scan->target.relation, AccessShareLock);
  if (!scan->relation && !scan->target.recorded)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                    errmsg("table %s has just been dropped", quoted(name))));
  ListCell* cell;
  foreach (cell, request.columns) find_column(scan, static_cast<int16_t>(lfirst_int(cell)), name);
  check_privileges(scan, user, name);
  if (table_can_be_scanned(scan))
    begin_table_scan(scan);
  else
    pg::guard([&] {
      begin_segment_scan(scan);
      push_conditions(request.conditions, *scan);
    });
  return scan;
}

bool next_row(Scan* scan, TupleTableSlot* slot) {
  CHECK_FOR_INTERRUPTS();
  MemoryContextReset(scan->row_memory);
  ExecClearTuple(slot);
  std::memset(slot->tts_isnull, true, static_cast<size_t>(scan->row_type->natts));
  bool found = scan->table_scan ? next_of_table(scan, slot) : pg::guard([=] {
    return scan->other ? next_of_other(scan, slot) : next_of_segments(scan, slot);
  });
  if (found) ExecStoreVirtualTuple(slot);
  return found;
}

void rewind_scan(Scan* scan) {
  if (scan->table_scan)
    table_rescan(scan->table_scan, nullptr);
  else
    pg::guard([=] { scan->other ? scan->other->rewind() : scan->cursor->rewind(); });
}

double count_rows_of(Scan* scan) {
  if (!scan->other) return -1;
  return pg::guard([=] { return static_cast<double>(scan->other->count_all()); });
}

void skip_rows(Scan* scan, uint64_t rows) {
  pg::guard([=] {
    uint64_t polled = 0;
    for (uint64_t left = rows; left > 0 && scan->other->next(); --left) poll(polled);
  });
}

void set_conditions(Scan* scan, const List* pushed) {
  pg::guard([=] {
    scan->conditions = RowConditions();
    push_conditions(pushed, *scan);
  });
}

void close_scan(Scan* scan) {
  if (scan->table_scan) {
    table_endscan(scan->table_scan);
    ExecDropSingleTupleTableSlot(scan->table_row);
  } else if (scan->cursor) {
    versioning::end_using_views();
  }
  if (scan->other)
    pg::guard([=] {
      scan->other.reset();
      release_other_stores();
    });
  if (scan->relation) table_close(scan->relation, NoLock);
  scan->table_scan = nullptr;
  scan->relation = nullptr;
}

double count_rows(Oid foreign_table, Snapshot snapshot, Oid user) {
  if (!may_read_some(foreign_table, user)) return kRowsUnknown;
  Oid server = GetForeignTable(foreign_table)->serverid;
  ServerOptions options = server_options(server);
  TableName name = table_name(foreign_table);
  Oid role = reading_role(server, user);
  if (!options.is_local()) return count_rows_of_other(options, name, role);
  return pg::guard([&] {
    Target target = find_target(options, name, snapshot);
    uint64_t id = target.table.id;
    Oid relation = target.relation;
    if (OidIsValid(relation) && !pg::call([=] { return may_read_some(relation, role); }))
      return kRowsUnknown;
    if (!target.recorded) id = pg::call([=] { return pg::find_table_id(relation); });
    NamedSnapshot named(snapshot, target.session);
    versioning::View view = versioning::view_for(named.get());
    versioning::TableOverlay& table = view.overlay->table(id);
    return static_cast<double>(versioning::Overlay::count_rows(table, view.limit));
  });
}

List* all_columns(Relation relation) {
  List* columns = NIL;
  TupleDesc desc = RelationGetDescr(relation);
  for (int i = 0; i < desc->natts; ++i)
    if (!TupleDescAttr(desc, i)->attisdropped) columns = lappend_int(columns, i + 1);
  return columns;
}

}  // namespace datahike::fdw
