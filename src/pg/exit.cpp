// A process that calls exit() itself, as VACUUM does that finds the postmaster dead.
#include <cstdlib>

#include "pg/hooks.h"

extern "C" {
#include "miscadmin.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/elog.h"
}

namespace datahike::pg {
namespace {

// exit() runs what was registered last first: the destructors of this library's variables before
// PostgreSQL's atexit_callback, which aborts the transaction, and that needs them. So what that
// does is done before the destructors. After proc_exit() it is done already.
void end_before_destructors() {
  if (proc_exit_inprogress) return;
  // As proc_exit_prepare() in ipc.c; the callbacks of on_proc_exit are left to atexit_callback.
  proc_exit_inprogress = true;
  InterruptPending = false;
  ProcDiePending = false;
  QueryCancelPending = false;
  InterruptHoldoffCount = 1;
  CritSectionCount = 0;
  error_context_stack = nullptr;
  debug_query_string = nullptr;
  shmem_exit(-1);
}

}  // namespace

void install_exit_handler() {
  if (std::atexit(end_before_destructors) != 0)
    ereport(FATAL, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
}

}  // namespace datahike::pg
