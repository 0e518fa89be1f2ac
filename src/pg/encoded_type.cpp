// The type datahike.encoded: bytea, but of the storage EXTERNAL. What the log holds is compressed
// already, so PostgreSQL is not to try again; and a column whose storage is not its type's is what
// PostgreSQL's test type_sanity takes for damage.
#include "pg/pg.h"

extern "C" {
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(datahike_encoded_in);
PGDLLEXPORT Datum datahike_encoded_in(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(datahike_encoded_out);
PGDLLEXPORT Datum datahike_encoded_out(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(datahike_encoded_recv);
PGDLLEXPORT Datum datahike_encoded_recv(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(datahike_encoded_send);
PGDLLEXPORT Datum datahike_encoded_send(PG_FUNCTION_ARGS);
}

Datum datahike_encoded_in(PG_FUNCTION_ARGS) { return byteain(fcinfo); }

Datum datahike_encoded_out(PG_FUNCTION_ARGS) { return byteaout(fcinfo); }

Datum datahike_encoded_recv(PG_FUNCTION_ARGS) { return bytearecv(fcinfo); }

Datum datahike_encoded_send(PG_FUNCTION_ARGS) { return byteasend(fcinfo); }
