// Work in a subtransaction of one's own, from frames that own C++ objects.
#pragma once

#include "pg/bridge.h"

namespace datahike::pg {

// Runs `body` in a subtransaction that becomes part of the one around it; where `body` throws, what
// it did is rolled back and the error goes on.
template <class F>
void in_subtransaction(F&& body) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  const auto restore = [=] {
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
  };
  call([=] {
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
  });
  try {
    body();
  } catch (...) {
    call([=] {
      RollbackAndReleaseCurrentSubTransaction();
      restore();
    });
    throw;
  }
  call([=] {
    ReleaseCurrentSubTransaction();
    restore();
  });
}

}  // namespace datahike::pg
