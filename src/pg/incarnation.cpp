#include "pg/incarnation.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/bridge.h"
#include "pg/catalog.h"

extern "C" {
#include "common/file_perm.h"
#include "utils/fmgrprotos.h"
}

namespace datahike::pg {

namespace {

constexpr const char* kSequences[] = {"rowid_block", "table_id", "branch_id"};

struct Path {
  char text[MAXPGPATH];
};

Path directory_path() {
  Path path;
  snprintf(path.text, sizeof path.text, "%s/datahike/%u", DataDir, MyDatabaseId);
  return path;
}

Path record_path(const char* sequence) {
  Path path;
  snprintf(path.text, sizeof path.text, "%s/datahike/%u/last_%s", DataDir, MyDatabaseId, sequence);
  return path;
}

bool exists(const char* path) {
  struct stat info;
  if (stat(path, &info) == 0) return true;
  if (errno == ENOENT) return false;
  ereport(ERROR, (errcode_for_file_access(), errmsg("could not look for \"%s\": %m", path)));
  pg_unreachable();
}

void make_directory(const char* path) {
  if (MakePGDirectory(path) != 0 && errno != EEXIST)
    ereport(ERROR,
            (errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", path)));
  fsync_fname(path, true);
}

void make_store_directory() {
  char parent[MAXPGPATH];
  snprintf(parent, sizeof parent, "%s/datahike", DataDir);
  make_directory(parent);
  make_directory(directory_path().text);
  fsync_fname(parent, true);
  fsync_fname(DataDir, true);
}

// The name of a sequence of the extension; nullptr for any other relation. The extension's tables
// may be gone already.
const char* name_of_sequence(Oid relation) {
  if (get_rel_relkind(relation) != RELKIND_SEQUENCE) return nullptr;
  char* name = get_rel_name(relation);
  char* space = get_namespace_name(get_rel_namespace(relation));
  if (!name || !space || std::strcmp(space, "datahike") != 0) return nullptr;
  Oid extension = getExtensionOfObject(RelationRelationId, relation);
  if (!OidIsValid(extension) || extension != get_extension_oid("datahike", true)) return nullptr;
  for (const char* known : kSequences)
    if (std::strcmp(name, known) == 0) return known;
  return nullptr;
}

int64_t last_value(Oid sequence) {
  Relation rel = relation_open(sequence, AccessShareLock);
  TableScanDesc scan = table_beginscan(rel, SnapshotAny, 0, nullptr);
  HeapTuple tuple = heap_getnext(scan, ForwardScanDirection);
  if (!HeapTupleIsValid(tuple))
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("sequence \"%s\" is empty", RelationGetRelationName(rel))));
  bool isnull;
  int64_t value =
      DatumGetInt64(heap_getattr(tuple, SEQ_COL_LASTVAL, RelationGetDescr(rel), &isnull));
  table_endscan(scan);
  relation_close(rel, NoLock);
  return value;
}

// Written under another name first, so that a record is complete or not there.
void write_record(const char* sequence, int64_t value) {
  Path path = record_path(sequence), staging;
  strlcpy(staging.text, path.text, sizeof staging.text);
  strlcat(staging.text, ".new", sizeof staging.text);
  char text[32];
  int length = snprintf(text, sizeof text, INT64_FORMAT "\n", value);
  int fd = OpenTransientFile(staging.text, O_WRONLY | O_CREAT | O_TRUNC | PG_BINARY);
  if (fd >= 0) errno = ENOSPC;  // unless write() says otherwise
  if (fd < 0 || write(fd, text, static_cast<size_t>(length)) != length)
    ereport(ERROR, (errcode_for_file_access(), errmsg("could not write \"%s\": %m", staging.text)));
  CloseTransientFile(fd);
  durable_rename(staging.text, path.text, ERROR);
}

// False if there is none.
bool read_record(const char* sequence, int64_t* value) {
  Path path = record_path(sequence);
  int fd = OpenTransientFile(path.text, O_RDONLY | PG_BINARY);
  if (fd < 0 && errno == ENOENT) return false;
  char text[32] = "";
  if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
    ereport(ERROR, (errcode_for_file_access(), errmsg("could not read \"%s\": %m", path.text)));
  CloseTransientFile(fd);
  *value = strtoll(text, nullptr, 10);
  if (*value < 1)
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("\"%s\" is damaged", path.text)));
  return true;
}

void continue_sequence(Oid sequence, const char* name) {
  int64_t last;
  if (read_record(name, &last)) {
    DirectFunctionCall2(setval_oid, ObjectIdGetDatum(sequence), Int64GetDatum(last));
    return;
  }
  Path directory = directory_path(), data;
  strlcpy(data.text, directory.text, sizeof data.text);
  strlcat(data.text, "/data.mdb", sizeof data.text);
  if (exists(data.text))
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the store of an earlier datahike is in the way"),
                    errdetail("The extension was dropped while its library was not preloaded, or "
                              "on another server."),
                    errhint("Stop the server, remove the directory \"%s\" and start it again.",
                            directory.text)));
}

}  // namespace

void record_last_id(Oid relation) {
  const char* sequence = name_of_sequence(relation);
  if (!sequence) return;
  make_store_directory();
  write_record(sequence, last_value(relation));
}

void continue_ids() {
  const ExtensionOids& e = extension();
  if (find_branch(kDefaultBranch) >= 0)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("datahike is initialized already")));
  const Oid sequences[] = {e.rowid_block, e.table_id, e.branch_id};
  for (size_t i = 0; i < lengthof(sequences); ++i) continue_sequence(sequences[i], kSequences[i]);
}

// While the lock is held no DROP EXTENSION is past the point where it writes records.
void forget_recorded_ids() {
  Oid sequence = extension().branch_id;
  LockRelationOid(sequence, AccessShareLock);
  for (const char* name : kSequences) {
    if (!extension_installed()) break;
    Path path = record_path(name);
    if (unlink(path.text) != 0 && errno != ENOENT)
      ereport(ERROR, (errcode_for_file_access(), errmsg("could not remove \"%s\": %m", path.text)));
  }
  UnlockRelationOid(sequence, AccessShareLock);
}

}  // namespace datahike::pg
