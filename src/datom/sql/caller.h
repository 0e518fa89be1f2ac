// Whoever calls transact(), which works as the owner of the facts: rows of tables are written as
// the caller.
#pragma once

#include <string>

#include "pg/bridge.h"

namespace datahike::facts {

// Who it is, and the settings that with_own_settings() changes, as they are for the caller.
struct Caller {
  Oid user;
  int security_context;
  std::string search_path;
  bool seqscan, bitmapscan;
};
Caller current_caller();
// Returns that of a transact() around this one, which is put back.
const Caller* exchange_caller(const Caller* caller);

struct BeforeCaller {
  Oid user;
  int security_context, level;
};
BeforeCaller enter_as_caller();
void leave_as_caller(const BeforeCaller& before);

// REQUIRES: within transact().
template <class F>
auto as_caller(F&& body) -> decltype(body()) {
  const BeforeCaller before = enter_as_caller();
  try {
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      leave_as_caller(before);
    } else {
      auto result = body();
      leave_as_caller(before);
      return result;
    }
  } catch (...) {
    leave_as_caller(before);
    throw;
  }
}

}  // namespace datahike::facts
