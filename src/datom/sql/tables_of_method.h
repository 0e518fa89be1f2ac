// The tables that have the access method, by pg_class.
#pragma once

#include "pg/pg.h"

extern "C" {
#include "catalog/pg_class.h"
}

namespace datahike::facts {

struct TableIds {
  int count;
  Oid* oids;  // in the current memory context
};
// Those that are wanted, of the extension's own none. Raises PostgreSQL's errors.
TableIds tables_of_method(bool (*wanted)(Form_pg_class));

}  // namespace datahike::facts
