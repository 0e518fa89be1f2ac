#include "pg/template_store.h"

#include <sys/stat.h>

#include "pg/bridge.h"
#include "pg/store.h"
#include "pg/worker.h"
#include "store/copy_store.h"
#include "store/create_store.h"

extern "C" {
#include "commands/dbcommands.h"
#include "postmaster/bgwriter.h"
#include "storage/copydir.h"
}

namespace datahike::pg {

namespace {

Oid template_database = InvalidOid;
const char* template_name = nullptr;
Oid created_database = InvalidOid;

// The last ids of an installation that was dropped (incarnation.cpp): the store cannot be gone on
// with without them.
void copy_recorded_ids(const char* from, const char* to) {
  DIR* directory = AllocateDir(from);
  dirent* entry;
  while ((entry = ReadDir(directory, from)) != nullptr) {
    size_t length = std::strlen(entry->d_name);
    if (std::strncmp(entry->d_name, "last_", 5) != 0) continue;
    if (length > 4 && std::strcmp(entry->d_name + length - 4, ".new") == 0) continue;
    char source[MAXPGPATH], target[MAXPGPATH];
    snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
    snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
    copy_file(source, target);
    fsync_fname(target, false);
  }
  FreeDir(directory);
  fsync_fname(to, true);
}

}  // namespace

void set_template(Oid database, const char* name) {
  template_database = database;
  template_name = name;
}

void copy_template_store(Oid new_database) {
  remove_store(new_database);
  created_database = new_database;
  if (!OidIsValid(template_database)) return;
  // PostgreSQL has looked the name up itself, and keeps what it found from being renamed now.
  if (get_database_oid(template_name, true) != template_database)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
                    errmsg("template database \"%s\" has been renamed meanwhile", template_name)));
  guard([=] {
    std::string from = store_directory(template_database), to = store_directory(new_database);
    if (!store::store_exists(from)) return;
    store::Identity before{GetSystemIdentifier(), template_database},
        after{GetSystemIdentifier(), new_database};
    store::copy_store(from, before, to, after, [] { call([] { CHECK_FOR_INTERRUPTS(); }); });
    const char *source = from.c_str(), *target = to.c_str();
    call([=] { copy_recorded_ids(source, target); });
  });
}

// A copied sequence has values left that it gives without writing WAL, for the template's WAL has
// them: a crash would make the copy give them, and so rowids and table ids, a second time. After a
// checkpoint the first value is logged. Nobody has an extension in template0.
void make_sequences_log() {
  bool bare = std::strcmp(template_name, "template0") == 0 &&
              !guard([] { return store::store_exists(store_directory(template_database)); });
  if (!bare) RequestCheckpoint(CHECKPOINT_IMMEDIATE | CHECKPOINT_FORCE | CHECKPOINT_WAIT);
}

void end_database_creation(bool committed) {
  if (OidIsValid(created_database) && !committed) remove_store(created_database);
  template_database = created_database = InvalidOid;
}

void remove_store(Oid database) {
  forget_worker(database);
  char path[MAXPGPATH];
  snprintf(path, sizeof path, "%s/datahike/%u", DataDir, database);
  struct stat info;
  if (stat(path, &info) == 0 && !rmtree(path, true))
    ereport(WARNING, (errmsg("could not remove the datahike store \"%s\"", path)));
}

}  // namespace datahike::pg
