// The boundary between C++ and PostgreSQL. Two rules keep the server alive:
//   - no C++ exception reaches PostgreSQL's C code: every callback, hook and SQL function runs its
//   body
//     inside guard();
//   - no PostgreSQL error longjmps over a C++ object with a destructor: a frame that owns such
//   objects
//     calls what may raise through call(). Frames that own none may call directly.
#pragma once

#include "pg/pg.h"
#include "store/error.h"

namespace datahike::pg {

// A PostgreSQL error on its way through C++ frames. `data` lives in memory that survives the
// unwinding; guard() re-raises it unchanged, with SQLSTATE, detail and hint.
struct PgError {
  ErrorData* data;
};

// An error of our own with an SQLSTATE, thrown from C++ frames.
struct SqlError : Error {
  SqlError(int code, std::string message, std::string hint = "")
      : Error(std::move(message)), sqlstate(code), hint(std::move(hint)) {}
  int sqlstate;
  std::string hint;
};

// What guard() carries out of its catch blocks: no destructors, so ereport may longjmp from there.
struct CaughtError {
  ErrorData* data = nullptr;
  int sqlstate = 0;
  char message[1024];
  char hint[512];
};
void capture_exception(CaughtError& caught) noexcept;  // REQUIRES: inside a catch block
[[noreturn]] void raise(const CaughtError& caught);

// C to C++: runs `body` and turns whatever it throws into ereport(ERROR).
// `body` must be trivially destructible (capture references or plain values).
template <class F>
auto guard(F&& body) -> decltype(body()) {
  static_assert(std::is_trivially_destructible_v<std::remove_reference_t<F>>);
  CaughtError caught;
  try {
    return body();
  } catch (...) {
    capture_exception(caught);
  }
  raise(caught);
}

// What call() sets aside. The destructor serves the C++ exceptions that leave `body`: without it
// PG_exception_stack would go on pointing into a frame that is gone.
struct SavedStacks {
  MemoryContext context = CurrentMemoryContext;
  sigjmp_buf* exceptions = PG_exception_stack;
  ErrorContextCallback* callbacks = error_context_stack;
  SavedStacks() = default;
  SavedStacks(const SavedStacks&) = delete;
  SavedStacks& operator=(const SavedStacks&) = delete;
  ~SavedStacks() { restore_stacks(); }
  void restore_stacks() const {
    PG_exception_stack = exceptions;
    error_context_stack = callbacks;
  }
};

// C++ to C: runs `body`, which may raise a PostgreSQL error, and throws PgError if it does; what
// `body` throws passes. `body` must own nothing with a destructor: it is longjmped over.
template <class F>
auto call(F&& body) -> decltype(body()) {
  const SavedStacks saved;
  sigjmp_buf here;
  if (sigsetjmp(here, 0) == 0) {
    PG_exception_stack = &here;
    return body();
  }
  saved.restore_stacks();
  MemoryContextSwitchTo(saved.context);
  ErrorData* data = CopyErrorData();
  FlushErrorState();
  throw PgError{data};
}

}  // namespace datahike::pg
