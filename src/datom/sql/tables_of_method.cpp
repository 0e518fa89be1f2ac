#include "datom/sql/tables_of_method.h"

#include "pg/catalog.h"

extern "C" {
#include "access/genam.h"
#include "access/table.h"
#include "commands/defrem.h"
}

namespace datahike::facts {

TableIds tables_of_method(bool (*wanted)(Form_pg_class)) {
  int room = 64;
  TableIds out{0, static_cast<Oid*>(palloc(sizeof(Oid) * static_cast<Size>(room)))};
  Relation classes = table_open(RelationRelationId, AccessShareLock);
  SysScanDesc scan = systable_beginscan(classes, InvalidOid, false, nullptr, 0, nullptr);
  const Oid method = get_am_oid("datahike", true);
  while (HeapTuple tuple = systable_getnext(scan)) {
    auto* c = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    if (c->relam != method || c->relnamespace == pg::extension().schema || !wanted(c)) continue;
    if (out.count == room) {
      room *= 2;
      out.oids = static_cast<Oid*>(repalloc(out.oids, sizeof(Oid) * static_cast<Size>(room)));
    }
    out.oids[out.count++] = c->oid;
  }
  systable_endscan(scan);
  table_close(classes, AccessShareLock);
  return out;
}

}  // namespace datahike::facts
