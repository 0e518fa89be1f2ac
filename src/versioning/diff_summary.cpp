// diff_summary(): what differs between two revisions, table by table, as counts.
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/store.h"
#include "versioning/difference.h"
#include "versioning/merge.h"
#include "versioning/revision.h"
#include "versioning/table_names.h"

extern "C" {
#include "catalog/pg_class.h"
}

using namespace datahike;
using namespace datahike::versioning;

namespace {

struct Counts {
  int64 inserted, updated, deleted;
};

std::set<uint64_t> entities_only_in(const View& a, const View& b, uint64_t table) {
  std::set<uint64_t> entities;
  for (const tree::RowidRange& range : rows_only_in(a, b, table))
    for (uint64_t i = 0; i < range.count; ++i) {
      auto row = find_row(a, a.overlay->table(table), table, range.first + i);
      if (!row) throw CorruptError("row " + std::to_string(range.first + i) + " is missing");
      entities.insert(row->segment.entity(row->row));
    }
  return entities;
}

// Of a table that is not there to be opened: its rows are known by their entities alone.
Counts count_by_entity(const View& from, const View& to, uint64_t table) {
  std::set<uint64_t> before = entities_only_in(from, to, table),
                     after = entities_only_in(to, from, table);
  Counts counts{};
  for (uint64_t entity : after) ++(before.count(entity) ? counts.updated : counts.inserted);
  counts.deleted = static_cast<int64>(before.size()) - counts.updated;
  return counts;
}

Datum names_datum(const std::vector<std::string>& names) {
  const std::vector<std::string>* n = &names;
  return pg::call([n] {
    auto* elements = static_cast<Datum*>(palloc(sizeof(Datum) * (n->size() + 1)));
    for (size_t i = 0; i < n->size(); ++i) elements[i] = CStringGetTextDatum((*n)[i].c_str());
    return PointerGetDatum(
        construct_array(elements, static_cast<int>(n->size()), TEXTOID, -1, false, TYPALIGN_INT));
  });
}

struct Row {
  std::string name;
  Counts counts{};
  std::vector<std::string> schema;
};

void put_row(ReturnSetInfo* out, const Row& row) {
  Datum schema = names_datum(row.schema);
  const Row* r = &row;
  pg::call([=] {
    Datum values[5] = {CStringGetTextDatum(r->name.c_str()), Int64GetDatum(r->counts.inserted),
                       Int64GetDatum(r->counts.updated), Int64GetDatum(r->counts.deleted), schema};
    bool nulls[5] = {false, false, false, false, r->schema.empty()};
    tuplestore_putvalues(out->setResult, out->setDesc, values, nulls);
  });
}

Row compare_table(uint64_t table, const View& from, const View& to) {
  Row row;
  row.name = table_name(table, to.overlay->root());
  std::optional<Bytes> before = recorded_schema(from, table), after = recorded_schema(to, table);
  row.schema = am::schema_changes(before ? ByteView(*before) : ByteView(),
                                  after ? ByteView(*after) : ByteView());
  const View *f = &from, *t = &to;
  Oid relation = pg::call([=] {
    Oid found = pg::find_relation(table);
    return has_rows_to_merge(found) ? found : InvalidOid;
  });
  if (!OidIsValid(relation)) {
    row.counts = count_by_entity(from, to, table);
    return row;
  }
  Counts* counts = &row.counts;
  pg::call([=] {
    count_differences(relation, *f, *t, &counts->inserted, &counts->updated, &counts->deleted);
  });
  return row;
}

bool is_empty(const Row& row) {
  return row.schema.empty() && row.counts.inserted + row.counts.updated + row.counts.deleted == 0;
}

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(datahike_diff_summary);
PGDLLEXPORT Datum datahike_diff_summary(PG_FUNCTION_ARGS);
}

Datum datahike_diff_summary(PG_FUNCTION_ARGS) {
  char* from_revision = PG_ARGISNULL(0) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(0));
  char* to_revision = PG_ARGISNULL(1) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(1));
  InitMaterializedSRF(fcinfo, 0);
  auto* out = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guard([=] {
    store::Uuid from = resolve_revision_or_current(from_revision);
    store::Uuid to = resolve_revision_or_current(to_revision);
    pg::open_store().refresh();
    View before = view_of_commit(from), after = view_of_commit(to);
    std::map<std::string, Row> rows;
    for (uint64_t table : changed_tables(from, to)) {
      if (!may_see(table)) continue;
      Row row = compare_table(table, before, after);
      if (!is_empty(row)) rows[row.name] = std::move(row);
    }
    for (const auto& [name, row] : rows) put_row(out, row);
  });
  return 0;
}
