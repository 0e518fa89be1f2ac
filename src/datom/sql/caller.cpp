#include "datom/sql/caller.h"

extern "C" {
#include "catalog/namespace.h"
#include "optimizer/cost.h"
}

namespace datahike::facts {

namespace {

const Caller* calling = nullptr;

void set(const char* name, const char* value) {
  set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}  // namespace

Caller current_caller() {
  Caller caller;
  GetUserIdAndSecContext(&caller.user, &caller.security_context);
  caller.search_path = namespace_search_path;
  caller.seqscan = enable_seqscan;
  caller.bitmapscan = enable_bitmapscan;
  return caller;
}

const Caller* exchange_caller(const Caller* caller) { return std::exchange(calling, caller); }

BeforeCaller enter_as_caller() {
  return pg::call([] {
    BeforeCaller before;
    GetUserIdAndSecContext(&before.user, &before.security_context);
    before.level = NewGUCNestLevel();
    set("search_path", calling->search_path.c_str());
    set("enable_seqscan", calling->seqscan ? "on" : "off");
    set("enable_bitmapscan", calling->bitmapscan ? "on" : "off");
    // Values are compared by their text, which must not round them.
    set("extra_float_digits", "1");
    SetUserIdAndSecContext(calling->user, calling->security_context);
    return before;
  });
}

void leave_as_caller(const BeforeCaller& before) {
  SetUserIdAndSecContext(before.user, before.security_context);
  pg::call([level = before.level] { AtEOXact_GUC(false, level); });
}

}  // namespace datahike::facts
