#include "datalog/sql/database.h"

#include "pg/bridge.h"
#include "pg/catalog.h"
#include "versioning/named_view.h"

namespace datahike::query {

namespace {

void set(const char* name, const char* value) {
  set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}  // namespace

ReadUnder::ReadUnder(const DatabaseValue& d) {
  bool any = !d.revision.empty() || !d.as_of.empty() || !d.since.empty() || d.history;
  if (!any) return;
  const char* revision = d.revision.empty() ? nullptr : d.revision.c_str();
  std::string commit;
  if (revision && pg::call([=] { return pg::find_branch(revision); }) < 0)
    commit = store::format_uuid(versioning::statement_commit(
        revision, versioning::current_settings(), GetActiveSnapshot()));
  const char* id = commit.c_str();
  const char* as_of = d.as_of.empty() && !revision ? nullptr : d.as_of.c_str();
  const char* since = d.since.empty() && !revision ? nullptr : d.since.c_str();
  bool history = d.history;
  int* level = &level_;
  pg::call([=] {
    *level = NewGUCNestLevel();
    if (revision) {
      set("datahike.commit_id", id);
      if (!*id) set("datahike.branch", revision);
    }
    if (as_of) set("datahike.as_of", as_of);
    if (since) set("datahike.since", since);
    if (revision || history) set("datahike.history", history ? "on" : "off");
  });
}

ReadUnder::~ReadUnder() {
  if (level_ > 0) AtEOXact_GUC(true, level_);
}

}  // namespace datahike::query
