// Foreign tables of this database become queries of the tables they read, before the planner sees
// them, where those have the columns that are used: so filters, projections, ORDER BY, LIMIT,
// aggregates and joins reach the tables' indexes, as at() does (expand.cpp). The rest (a column or
// table that has been dropped since, a type that has changed, system columns, other stores, changes
// of rows) goes by the foreign data wrapper's own scan (fdw/scan.cpp).
#include "exec/view_call.h"
#include "fdw/fact_scan.h"
#include "fdw/scan.h"
#include "pg/bridge.h"

extern "C" {
#include "access/sysattr.h"
#include "catalog/pg_inherits.h"
#include "foreign/foreign.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteHandler.h"
}

namespace datahike::exec {

namespace {

bool is_locked(const Query* query, int index) {
  ListCell* cell;
  foreach (cell, query->rowMarks)
    if (static_cast<int>(static_cast<RowMarkClause*>(lfirst(cell))->rti) == index) return true;
  return false;
}

bool uses_system_columns(const RangeTblEntry* entry) {
  int first_user = 0 - FirstLowInvalidHeapAttributeNumber;
  int member = bms_next_member(entry->selectedCols, -1);
  return member >= 0 && member < first_user;
}

// For each attribute of the foreign table the one that it reads; 0: it is not used.
struct Mapping {
  Oid relation;  // InvalidOid: the foreign table is not to be replaced
  AttrNumber* attribute;
};

bool is_used(const RangeTblEntry* entry, int number) {
  return bms_is_member(number - FirstLowInvalidHeapAttributeNumber, entry->selectedCols) ||
         bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, entry->selectedCols);
}

// The number of the attribute that a column reads; 0: the table as it is now has none like it.
AttrNumber attribute_of(const fdw::Target& target, Relation relation,
                        const FormData_pg_attribute& att) {
  AttrNumber number = 0;
  if (target.recorded) {
    for (const auto& [n, was] : target.table.schema.columns)
      if (was.name == NameStr(att.attname)) number = n;
  } else {
    const char* name = NameStr(att.attname);
    number = pg::call([=] { return get_attnum(RelationGetRelid(relation), name); });
  }
  TupleDesc desc = RelationGetDescr(relation);
  if (number <= 0 || number > desc->natts) return 0;
  FormData_pg_attribute* now = TupleDescAttr(desc, number - 1);
  bool same = !now->attisdropped && now->atttypid == att.atttypid &&
              now->atttypmod == att.atttypmod && now->attcollation == att.attcollation;
  return same ? number : AttrNumber{0};
}

bool map_columns(const fdw::Target& target, Relation foreign, Relation relation,
                 const RangeTblEntry* entry, AttrNumber* attribute) {
  TupleDesc desc = RelationGetDescr(foreign);
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (att->attisdropped || !is_used(entry, i + 1)) continue;
    attribute[i] = attribute_of(target, relation, *att);
    if (attribute[i] == 0) return false;
  }
  return true;
}

Mapping map(Relation foreign, const RangeTblEntry* entry, const fdw::ServerOptions& options) {
  Mapping mapping{InvalidOid, static_cast<AttrNumber*>(palloc0(
                                  sizeof(AttrNumber) * (RelationGetDescr(foreign)->natts + 1)))};
  fdw::TableName name = fdw::table_name(RelationGetRelid(foreign));
  Snapshot snapshot = GetActiveSnapshot();
  mapping.relation = pg::guard([&] {
    fdw::Target target = fdw::find_target(options, name, snapshot);
    if (!OidIsValid(target.relation)) return InvalidOid;
    Oid relid = target.relation;
    Relation relation = pg::call([=] { return try_table_open(relid, AccessShareLock); });
    if (!relation) return InvalidOid;
    bool fits = fdw::is_datahike(relation) &&
                map_columns(target, foreign, relation, entry, mapping.attribute);
    pg::call([=] { table_close(relation, NoLock); });
    return fits ? relid : InvalidOid;
  });
  return mapping;
}

Expr* value_of(const FormData_pg_attribute& att, AttrNumber number) {
  if (att.attisdropped) return reinterpret_cast<Expr*>(makeNullConst(INT4OID, -1, InvalidOid));
  if (number == 0)
    return reinterpret_cast<Expr*>(makeNullConst(att.atttypid, att.atttypmod, att.attcollation));
  return reinterpret_cast<Expr*>(
      makeVar(1, number, att.atttypid, att.atttypmod, att.attcollation, 0));
}

// SELECT of the table's columns in the foreign table's order. The foreign table's entry stays, for
// its own privileges and so that plans depend on it.
Query* query_of(Relation foreign, const RangeTblEntry* entry, const Mapping& mapping,
                const ViewCall& call) {
  ParseState* state = make_parsestate(nullptr);
  Relation relation = table_open(mapping.relation, AccessShareLock);
  Alias* alias = makeAlias(entry->eref->aliasname, NIL);
  RangeTblEntry* table =
      addRangeTableEntryForRelation(state, relation, AccessShareLock, alias, false, true)->p_rte;
  auto* query = makeNode(Query);
  query->commandType = CMD_SELECT;
  query->querySource = QSRC_ORIGINAL;
  query->canSetTag = true;
  auto* reference = makeNode(RangeTblRef);
  reference->rtindex = 1;
  query->jointree = makeFromExpr(list_make1(reference), nullptr);
  TupleDesc desc = RelationGetDescr(foreign);
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    AttrNumber number = mapping.attribute[i];
    query->targetList = lappend(
        query->targetList, makeTargetEntry(value_of(*att, number), static_cast<AttrNumber>(i + 1),
                                           pstrdup(NameStr(att->attname)), false));
    if (number > 0)
      table->selectedCols =
          bms_add_member(table->selectedCols, number - FirstLowInvalidHeapAttributeNumber);
  }
  set_view_call(table, call);
  query->rtable = state->p_rtable;
  free_parsestate(state);
  table_close(relation, NoLock);
  return query;
}

RangeTblEntry* for_privileges(const RangeTblEntry* entry) {
  auto* kept = static_cast<RangeTblEntry*>(copyObjectImpl(entry));
  kept->inh = false;
  kept->inFromCl = false;
  return kept;
}

}  // namespace

Oid replace_foreign_table(Query* query, int index, int number) {
  auto* entry = static_cast<RangeTblEntry*>(list_nth(query->rtable, index - 1));
  if (entry->rtekind != RTE_RELATION || entry->relkind != RELKIND_FOREIGN_TABLE) return InvalidOid;
  if (query->resultRelation == index || is_locked(query, index) || uses_system_columns(entry) ||
      entry->securityQuals != NIL || has_subclass(entry->relid) || !entry->inFromCl ||
      !ActiveSnapshotSet())
    return InvalidOid;
  Oid server = GetForeignTable(entry->relid)->serverid;
  if (!fdw::is_our_server(server) || fdw::is_fact_table(entry->relid)) return InvalidOid;
  fdw::ServerOptions options = fdw::server_options(server);
  if (!options.is_local()) return InvalidOid;
  Relation foreign = table_open(entry->relid, NoLock);
  Mapping mapping = map(foreign, entry, options);
  if (OidIsValid(mapping.relation)) {
    Node* names_server = reinterpret_cast<Node*>(makeConst(
        TEXTOID, -1, InvalidOid, -1, CStringGetTextDatum(psprintf("%u", server)), false, false));
    Node* nothing = reinterpret_cast<Node*>(makeNullConst(TEXTOID, -1, InvalidOid));
    ViewCall call{number, InvalidOid, mapping.relation, NamedKind::Server, names_server, nothing};
    Query* replacement = query_of(foreign, entry, mapping, call);
    Oid user = OidIsValid(entry->checkAsUser) ? entry->checkAsUser : GetUserId();
    Oid role = fdw::reading_role(server, user);
    setRuleCheckAsUser(reinterpret_cast<Node*>(replacement),
                       role == user ? entry->checkAsUser : role);
    replacement->rtable = lappend(replacement->rtable, for_privileges(entry));
    entry->rtekind = RTE_SUBQUERY;
    entry->subquery = linitial_node(Query, QueryRewrite(replacement));
    entry->relid = InvalidOid;
    entry->relkind = 0;
    entry->rellockmode = 0;
    entry->inh = false;
    entry->requiredPerms = 0;
    entry->selectedCols = nullptr;
  }
  table_close(foreign, NoLock);
  return mapping.relation;
}

}  // namespace datahike::exec
