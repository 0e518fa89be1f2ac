// What a foreign table means to a statement: which view, which table of the store, which columns.
#pragma once

#include "am/relation.h"
#include "fdw/options.h"
#include "versioning/view.h"

namespace datahike::fdw {

// A table that a commit's tree or deltas have a schema of.
struct RecordedTable {
  uint64_t id = 0;
  am::RecordedSchema schema;
};
// By schema and name.
using RecordedTables = std::map<std::pair<std::string, std::string>, RecordedTable>;
// The recorded schemas of a version tree, by table id.
std::map<uint64_t, Bytes> recorded_schemas(tree::NodeSource& nodes, const tree::NodeRef& root);
// Of several tables with one name, the one made last.
RecordedTables tables_of(const std::map<uint64_t, Bytes>& schemas);
// Those recorded in a view of a commit.
RecordedTables recorded_tables(const versioning::View& view);

struct Target {
  versioning::SessionView session;
  Oid relation = InvalidOid;  // the present table; may be gone
  // The definitions are those of the commit; otherwise they are the present table's.
  bool recorded = false;
  RecordedTable table;  // where recorded
};
// Errors: 42704 no such branch or commit, 42P01 no such table there, 42809 not a datahike table.
Target find_target(const ServerOptions& options, const TableName& name, Snapshot snapshot);

bool is_datahike(Relation relation);

// A table among those recorded; 42P01 where it is not.
RecordedTable require_table(const RecordedTables& tables, const ServerOptions& options,
                            const TableName& name);

// A view of a commit without what narrows it further.
versioning::View view_of_commit_of(const versioning::SessionView& session, Snapshot snapshot);

// A copy of a snapshot that names a view for as long as the object lives.
class NamedSnapshot {
 public:
  NamedSnapshot(Snapshot snapshot, const versioning::SessionView& view)
      : snapshot_(*snapshot), view_(view) {
    versioning::name_view(&snapshot_, &view_);
  }
  ~NamedSnapshot() { versioning::forget_named_view(&snapshot_); }
  NamedSnapshot(const NamedSnapshot&) = delete;
  NamedSnapshot& operator=(const NamedSnapshot&) = delete;
  Snapshot get() { return &snapshot_; }

 private:
  SnapshotData snapshot_;
  versioning::SessionView view_;
};

}  // namespace datahike::fdw
