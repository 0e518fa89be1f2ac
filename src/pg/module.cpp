// The library's entry points.
#include "am/omitted_rows.h"
#include "am/rowids.h"
#include "iforest/sql/short_form.h"
#include "exec/score.h"
#include "exec/view_call.h"
#include "datalog/sql/answer_scan.h"
#include "pg/bridge.h"
#include "pg/catalog.h"
#include "pg/hooks.h"
#include "pg/pins.h"
#include "pg/settings.h"
#include "pg/shared.h"
#include "pg/temporary_file.h"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

// Shared memory and hooks exist only where the server preloads the library. Loaded later, as CREATE
// EXTENSION does, it only says so: datahike_check_preloaded.
void _PG_init(void) {
  using namespace datahike::pg;
  if (!process_shared_preload_libraries_in_progress) return;
  define_settings();
  install_shared_memory_hooks();
  install_pin_hooks();
  install_executor_hooks();
  datahike::exec::install_expansion();
  datahike::exec::install_view_paths();
  datahike::query::install_answer_scan();
  install_temporary_files();
  datahike::exec::install_score_paths();
  datahike::exec::install_view_statistics();
  datahike::exec::install_aggregate_paths();
  install_planner_hook();
  datahike::anomaly::install_short_form();
  install_utility_hook();
  install_transaction_callbacks();
  install_exit_handler();
  register_catalog_callbacks();
  datahike::am::register_omission_callbacks();
}
