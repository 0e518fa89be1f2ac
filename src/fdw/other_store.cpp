#include "fdw/other_store.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bit>
#include <cerrno>

#include "pg/bridge.h"
#include "pg/settings.h"
#include "pg/store.h"
#include "store/backup.h"
#include "store/redaction.h"
#include "store/version_tree.h"

extern "C" {
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "utils/syscache.h"
}

namespace datahike::fdw {

namespace {

constexpr size_t kRoomToGrow = size_t{1} << 30;  // of the map: beyond it LMDB maps it anew
constexpr unsigned kMostReaders = 1024;          // where this process is the first to open it
constexpr long kSmb = 0x517B, kCifs = 0xFF534D42, kNfs = 0x6969, kSmb2 = 0xFE534D42;

using FileId = std::pair<dev_t, ino_t>;
// Not closed at exit either: see pg/store.cpp.
std::map<FileId, OtherStore>& stores() {
  static auto* opened = new std::map<FileId, OtherStore>;
  return *opened;
}

struct Place {
  std::string directory;
  store::Identity identity;  // system_id 0: any
};

// Text is stored as the database has it.
void require_own_encoding(Oid database, const char* name) {
  HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for database %u", database);
  const int encoding = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->encoding;
  ReleaseSysCache(tuple);
  if (encoding != GetDatabaseEncoding())
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("database \"%s\" has encoding %s, which is not that of this database",
                           name, pg_encoding_to_char(encoding)),
                    errhint("Read it from a database with that encoding.")));
}

Place place_of(const ServerOptions& options, Oid user) {
  if (options.store) return {options.store, {}};
  const char* name = options.database;
  Oid database = pg::call([=] {
    Oid found = get_database_oid(name, false);
    AclResult result = pg_database_aclcheck(found, user, ACL_CONNECT);
    if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_DATABASE, name);
    require_own_encoding(found, name);
    return found;
  });
  store::Identity identity = pg::store_identity();
  identity.database = database;
  return {pg::store_directory(database), identity};
}

[[noreturn]] void no_store(const std::string& directory) {
  throw pg::SqlError(ERRCODE_UNDEFINED_FILE, "there is no store in \"" + directory + "\"",
                     "A store's directory holds data.mdb: $PGDATA/datahike/<database oid>, or "
                     "what datahike.backup() has made.");
}

struct stat stat_of(const std::string& directory) {
  struct stat st;
  const std::string path = directory + "/data.mdb";
  if (stat(path.c_str(), &st) == 0 && st.st_size > 0) return st;
  if (errno == ENOENT || errno == ENOTDIR || st.st_size == 0) no_store(directory);
  throw IoError("cannot look at \"" + path + "\": " + std::strerror(errno));
}

// Locks and memory maps do not reach another host: what it writes while we read would be torn.
void refuse_network(const std::string& directory) {
  struct statfs fs;
  if (statfs(directory.c_str(), &fs) != 0)
    throw IoError("cannot look at \"" + directory + "\": " + std::strerror(errno));
  const auto type = static_cast<unsigned long>(fs.f_type) & 0xFFFFFFFF;
  for (long network : {kNfs, kSmb, kCifs, kSmb2})
    if (type == (static_cast<unsigned long>(network) & 0xFFFFFFFF))
      throw pg::SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                         "the store in \"" + directory + "\" is on a network file system",
                         "Another host may be writing it, whose locks cannot be seen from here: "
                         "read a copy on a local disk.");
}

void refuse_own(const FileId& file) {
  struct stat own;
  const std::string path = pg::store_directory(MyDatabaseId) + "/data.mdb";
  if (stat(path.c_str(), &own) != 0 || FileId(own.st_dev, own.st_ino) != file) return;
  throw pg::SqlError(ERRCODE_INVALID_PARAMETER_VALUE,
                     "the server names the store of the database that it is in",
                     "Leave out the options store and database.");
}

std::unique_ptr<store::Environment> open_environment(const Place& place, const struct stat& file) {
  store::Options options;
  options.map_size = static_cast<size_t>(file.st_size) + kRoomToGrow;
  options.max_readers = kMostReaders;
  options.identity = place.identity;
  std::unique_ptr<store::Environment> env = store::Environment::open(place.directory, options);
  if (!env) no_store(place.directory);
  ReserveExternalFD();
  ReserveExternalFD();
  return env;
}

store::Uuid branch_of(OtherStore& store, const char* name) {
  std::vector<store::PublishedRef> refs = store::read_published_refs(*store.env);
  for (const store::PublishedRef& ref : refs)
    if (ref.kind == 'b' && ref.name == name) return ref.commit;
  if (refs.empty())
    throw pg::SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                       "the store has not published its branches",
                       "Its server's fold worker publishes them when it comes to rest.");
  throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                     std::string("branch \"") + name + "\" does not exist in that store",
                     "Branches are there once their server's fold worker has published them.");
}

store::Uuid commit_of(OtherStore& store, const versioning::ViewOptions& view) {
  if (view.commit_id) {
    store::Uuid commit = *store::parse_uuid(view.commit_id);
    if (!store::load_commit(*store.env, commit))
      throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                         std::string("commit ") + view.commit_id + " does not exist in that store");
    return commit;
  }
  store::Uuid head = branch_of(store, view.branch ? view.branch : "db");
  if (!view.as_of) return head;
  pg::AsOf at;
  if (!pg::parse_as_of(view.as_of, &at))
    throw pg::SqlError(ERRCODE_INVALID_TEXT_REPRESENTATION,
                       std::string("invalid value for option \"as_of\": ") + view.as_of);
  std::optional<store::Uuid> found = at.is_tx ? store::commit_as_of_tx(*store.env, head, at.tx)
                                              : store::commit_as_of_time(*store.env, head, at.time);
  if (found) return *found;
  throw pg::SqlError(ERRCODE_UNDEFINED_OBJECT,
                     std::string("nothing had been committed there as of ") + view.as_of);
}

}  // namespace

OtherStore& open_other_store(const ServerOptions& options, Oid user) {
  const Place place = place_of(options, user);
  const struct stat file = stat_of(place.directory);
  refuse_network(place.directory);
  const FileId id(file.st_dev, file.st_ino);
  refuse_own(id);
  OtherStore& store = stores()[id];
  if (!store.env) store.env = open_environment(place, file);
  if (store.scans > 0) return store;
  store.env->refresh();
  store.erased = store::redacted_rows(*store.env);
  return store;
}

void release_other_stores() {
  for (auto& [id, store] : stores())
    if (store.env && store.scans == 0 && store.env->reading()) store.env->release();
}

OtherStoreLease::~OtherStoreLease() {
  try {
    release_other_stores();
  } catch (...) {  // an error is on its way already; the next lease tries again
  }
}

OtherCommit read_other_commit(OtherStore& store, const ServerOptions& options) {
  OtherCommit commit;
  commit.state = store::load_state(*store.env, commit_of(store, options.view));
  std::map<uint64_t, Bytes> schemas = recorded_schemas(*store.env, commit.state.root);
  for (const auto& delta : commit.state.deltas)
    for (const store::TableDelta& table : delta->tables)
      if (!table.schema.empty()) schemas[table.table] = table.schema;
  commit.tables = tables_of(schemas);
  return commit;
}

OtherRows::OtherRows(OtherStore& store, const store::CommitState& state, uint64_t table)
    : store_(store), table_(table), nodes_(*store.env) {
  live_ = store::advance_live_set(nodes_, state.root, state.deltas, table);
  rewind();
  ++store_.scans;
}

void OtherRows::rewind() {
  containers_ = std::make_unique<tree::ContainerCursor>(nodes_, live_);
  containers_->first();
  has_container_ = false;
}

uint64_t OtherRows::count_all() {
  uint64_t rows = 0;
  for (rewind(); load_container();)
    for (const uint64_t word : container_.words) rows += static_cast<unsigned>(std::popcount(word));
  rewind();
  return rows;
}

bool OtherRows::load_container() {
  if (!containers_->valid()) return false;
  containers_->load(&container_);
  high_ = containers_->high();
  containers_->next();
  bit_ = -1;
  has_container_ = true;
  if (!store_.erased) return true;
  const auto gone = store_.erased->containers().find(high_);
  if (gone == store_.erased->containers().end()) return true;
  for (size_t w = 0; w < container_.words.size(); ++w)
    container_.words[w] &= ~gone->second.words[w];
  return true;
}

bool OtherRows::next() {
  for (;;) {
    if (!has_container_ && !load_container()) return false;
    for (unsigned at = static_cast<unsigned>(bit_ + 1); at < 65536;) {
      const uint64_t word = container_.words[at / 64] >> at % 64;
      if (word == 0) {
        at = (at / 64 + 1) * 64;
        continue;
      }
      bit_ = static_cast<int>(at + static_cast<unsigned>(std::countr_zero(word)));
      return true;
    }
    has_container_ = false;
  }
}

const store::SegmentReader& OtherRows::segment() {
  const uint64_t at = rowid();
  if (segment_ && at >= segment_->first_rowid() && at <= segment_->last_rowid() &&
      !segment_->is_hole(static_cast<uint32_t>(at - segment_->first_rowid())))
    return *segment_;
  return segment_.emplace(segment_of(at));
}

void OtherRows::leave_segment() {
  const store::SegmentReader& left = segment();
  if (left.has_holes()) return;  // rows of others may lie in between
  bit_ = static_cast<int>(std::min(left.last_rowid() - (high_ << 16), uint64_t{65535}));
}

store::SegmentReader OtherRows::segment_of(uint64_t rowid) {
  std::optional<store::SegmentReader> found = store_.env->segment(table_, rowid);
  if (!found) missing(rowid);
  return *found;
}

void OtherRows::missing(uint64_t rowid) const {
  throw CorruptError("row " + std::to_string(rowid) + " of table " + std::to_string(table_) +
                     " is live but missing in the store");
}

}  // namespace datahike::fdw
