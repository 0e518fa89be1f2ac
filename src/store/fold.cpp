#include "store/fold.h"

#include <algorithm>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include "store/digest.h"
#include "store/row_packer.h"
#include "store/version_tree.h"

namespace datahike::store {
namespace {

Commit load_batch_commit(WriteBatch& batch, const Uuid& id) {
  const auto record = batch.commit_record(id);
  if (!record) throw CorruptError("commit " + format_uuid(id) + " is missing");
  return decode_commit(*record, id);
}

// The commits from `head` back to its keyframe that no history map has yet, oldest first.
std::vector<HistoryEntry> unmapped_history(WriteBatch& batch, const Commit& head) {
  std::vector<HistoryEntry> entries;
  Commit commit = head;
  while (!commit.keyframe) {
    entries.push_back(history_entry(commit));
    commit = load_batch_commit(batch, first_parent(commit));
  }
  // The root commit's tree is empty, so it is in no history map before the first fold.
  if (commit.root.empty()) entries.push_back(history_entry(commit));
  std::reverse(entries.begin(), entries.end());
  return entries;
}

// The segments of one log entry.
class LogRows {
 public:
  LogRows(uint64_t xid, const PartLoader& load) : xid_(xid), load_(load) {}

  SegmentReader segment(const SegmentPlace& place) {
    if (part_ != place.part) {
      bytes_ = load_(place.part);
      part_ = place.part;
    }
    try {
      if (place.offset > bytes_.size() || place.length > bytes_.size() - place.offset)
        throw CorruptError("it is shorter than the delta says");
      SegmentReader segment(bytes_.subspan(place.offset, place.length));
      segment.verify();
      if (segment.first_rowid() != place.first_rowid || segment.rows() != place.rows)
        throw CorruptError("it has other rows than the delta says");
      return segment;
    } catch (const CorruptError& error) {
      throw CorruptError("part " + std::to_string(place.part) + " of transaction " +
                         std::to_string(xid_) + " in the log is damaged: " + error.what());
    }
  }

 private:
  uint64_t xid_;
  const PartLoader& load_;
  std::optional<uint32_t> part_;  // whose bytes those are
  ByteView bytes_;
};

// The digest of the canonical form of rows.
class RowsDigest {
 public:
  void add(const SegmentReader& segment, uint32_t first, uint32_t rows) {
    for (uint32_t i = 0; i < rows; ++i) {
      segment.canonical_row(first + i, buffer_);
      if (buffer_.size() >= kBufferBytes) drain();
    }
  }
  tree::Hash finish() {
    drain();
    return sha_.finish();
  }

 private:
  static constexpr size_t kBufferBytes = 32 << 10;
  void drain() {
    sha_.update(buffer_);
    buffer_.clear();
  }
  Sha256 sha_;
  Bytes buffer_;
};

}  // namespace

struct Folder::Impl {
  WriteBatch& batch;
  uint32_t branch;
  Commit head;             // the newest commit
  bool head_open = false;  // its record is not written yet: it may still become a keyframe
  tree::NodeRef root;      // of the newest keyframe
  std::vector<std::shared_ptr<const Delta>> deltas;  // since that keyframe
  size_t changes = 0;                                // that they make
  std::vector<HistoryEntry> history;                 // not in the keyframe's history map
  uint64_t next_tx;
  RowPacker packer;
  RowsDigest digest;

  Impl(WriteBatch& b, uint32_t branch_id, const Commit& h, const CommitState& state, uint64_t tx)
      : batch(b),
        branch(branch_id),
        head(h),
        root(state.root),
        deltas(state.deltas),
        next_tx(tx),
        packer(b) {
    if (tx <= head.tx) throw std::logic_error("fold: the next tx is not after the head's");
    if (!batch.commit_record(head.id)) {
      // Only a new store's root commit is made before there is a batch to write it in.
      if (!head.parents.empty())
        throw CorruptError("commit " + format_uuid(head.id) + " is missing");
      batch.put_commit(head.id, head.tx, encode_commit(head));
    }
    history = unmapped_history(batch, head);
    for (const auto& delta : deltas) changes += changes_of(*delta);
  }

  static size_t changes_of(const Delta& delta) {
    size_t changes = 0;
    for (const TableDelta& table : delta.tables)
      changes += table.added.size() + table.removed.size();
    return changes;
  }

  void store_rows(const TableDelta& table, LogRows& rows, std::set<uint64_t>& writers) {
    visit_added(table, [&](uint64_t first, uint64_t count, const SegmentPlace* place) {
      if (!place) return digest_adopted(table.table, first, count);
      const SegmentReader segment = rows.segment(*place);
      note_writers(segment, writers);
      digest.add(segment, 0, segment.rows());
      packer.add(table.table, segment);
    });
  }

  // Rows name the subtransaction that wrote them.
  static void note_writers(const SegmentReader& segment, std::set<uint64_t>& writers) {
    uint64_t last = 0;
    for (uint32_t row = 0; row < segment.rows(); ++row)
      if (const uint64_t xid = segment.xid(row); xid != last) writers.insert(last = xid);
  }

  // Adopted rows are in the store already; without them the commit could not be read.
  void digest_adopted(uint64_t table, uint64_t first, uint64_t count) {
    for (uint64_t at = first, end = first + count; at < end;) {
      auto segment = batch.segment(table, at);
      if (!segment) {
        packer.flush();
        segment = batch.segment(table, at);
      }
      if (!segment)
        throw CorruptError("row " + std::to_string(at) + " of table " + std::to_string(table) +
                           " was adopted but is missing");
      const auto row = static_cast<uint32_t>(at - segment->first_rowid());
      const auto rows = static_cast<uint32_t>(std::min<uint64_t>(segment->rows() - row, end - at));
      digest.add(*segment, row, rows);
      at += rows;
    }
  }

  void store_lineage(const TableDelta& table, uint64_t xid) {
    for (const Removal& removal : table.removed)
      batch.put_lineage(table.table, removal.rowid, branch, {removal.successor, xid});
  }

  void close_head() {
    if (head_open) batch.put_commit(head.id, head.tx, encode_commit(head));
    head_open = false;
  }

  void make_head_keyframe() {
    root = advance_version(batch, root, deltas, history);
    head.keyframe = true;
    head.root = root;
    deltas.clear();
    changes = 0;
    history.clear();
  }

  void append_commit(const LogEntry& entry, const tree::Hash& rows_digest,
                     const std::set<uint64_t>& writers) {
    Commit commit;
    commit.parents = {head.id};
    for (const Uuid& parent : entry.extra_parents)
      if (std::find(commit.parents.begin(), commit.parents.end(), parent) == commit.parents.end())
        commit.parents.push_back(parent);
    commit.tx = next_tx++;
    commit.time = std::max(entry.time, head.time + 1);
    commit.author = entry.author;
    commit.message = entry.message;
    commit.branch = branch;
    commit.xid = entry.xid;
    commit.delta = entry.delta;
    for (TableDelta& table : commit.delta.tables) table.segments.clear();
    commit.rows_digest = rows_digest;
    seal(commit);

    for (uint64_t xid : writers) batch.put_write(xid, branch, commit.tx);
    for (const TableDelta& table : commit.delta.tables)
      if (table.cleared) batch.put_clear(table.table, commit.tx);

    close_head();
    deltas.push_back(std::make_shared<const Delta>(commit.delta));
    changes += changes_of(commit.delta);
    history.push_back(history_entry(commit));
    head = std::move(commit);
    head_open = true;
    if (deltas.size() >= kKeyframeInterval || changes >= kKeyframeChanges) make_head_keyframe();
  }
};

Folder::Folder(WriteBatch& batch, uint32_t branch, const Commit& head, const CommitState& state,
               uint64_t next_tx)
    : impl_(std::make_unique<Impl>(batch, branch, head, state, next_tx)) {}

Folder::~Folder() = default;

void Folder::add(const LogEntry& entry, const PartLoader& load_part) {
  LogRows rows(entry.xid, load_part);
  std::set<uint64_t> writers = {entry.xid};
  for (const TableDelta& table : entry.delta.tables) {
    impl_->store_rows(table, rows, writers);
    impl_->store_lineage(table, entry.xid);
  }
  impl_->append_commit(entry, impl_->digest.finish(), writers);
}

Commit Folder::finish() {
  impl_->packer.flush();
  if (impl_->head_open) {
    if (!impl_->head.keyframe) impl_->make_head_keyframe();
    impl_->close_head();
  }
  return impl_->head;
}

uint64_t Folder::next_tx() const { return impl_->next_tx; }

}  // namespace datahike::store
