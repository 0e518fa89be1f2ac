#include "pg/serializable_pause.h"

namespace datahike::pg {

namespace {

// The transaction's table of its own locks, which attaching replaces by a new one without
// letting go of it.
MemoryContext local_locks() {
  for (MemoryContext c = TopMemoryContext->firstchild; c; c = c->nextchild)
    if (c->ident && std::strcmp(c->ident, "Local predicate lock") == 0) return c;
  return nullptr;
}

void attach(int, Datum handle) {
  MemoryContext before = local_locks();
  AttachSerializableXact(DatumGetPointer(handle));
  if (before) MemoryContextDelete(before);
}

}  // namespace

// The pair of functions is what parallel workers join their leader's transaction with.
void outside_serializable(void (*body)(void*), void* argument) {
#ifdef USE_ASSERT_CHECKING
  body(argument);  // such servers insist that nobody detaches
#else
  SerializableXactHandle handle = ShareSerializableXact();
  if (!handle) {
    body(argument);
    return;
  }
  Datum attached = PointerGetDatum(handle);
  AttachSerializableXact(nullptr);
  // A session that is terminated meanwhile exits without passing through PG_CATCH.
  PG_ENSURE_ERROR_CLEANUP(attach, attached);
  { body(argument); }
  PG_END_ENSURE_ERROR_CLEANUP(attach, attached);
  attach(0, attached);
#endif
}

}  // namespace datahike::pg
