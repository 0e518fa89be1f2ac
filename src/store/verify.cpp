#include "store/verify.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <unordered_map>
#include <vector>

#include "store/digest.h"
#include "store/maps.h"
#include "store/redaction.h"
#include "store/tree_verifier.h"
#include "store/version.h"
#include "store/version_tree.h"
#include "tree/ordered_map.h"

namespace datahike::store {
namespace {

// Nodes that are made to be compared and forgotten, over those of the store.
class ScratchNodes : public tree::NodeSink {
 public:
  explicit ScratchNodes(Environment& env) : env_(env) {}
  ByteView node(uint64_t id) override {
    return id < kFirst ? env_.node(id) : ByteView(made_.at(static_cast<size_t>(id - kFirst)));
  }
  uint64_t put_node(ByteView bytes) override {
    made_.emplace_back(bytes.begin(), bytes.end());
    return kFirst + made_.size() - 1;
  }

 private:
  static constexpr uint64_t kFirst = uint64_t{1} << 62;
  Environment& env_;
  std::vector<Bytes> made_;
};

std::string row_name(uint64_t table, uint64_t rowid) {
  return "row " + std::to_string(rowid) + " of table " + std::to_string(table);
}

std::string format_hash(const tree::Hash& hash) {
  std::string text;
  for (const uint8_t byte : hash) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// Microseconds since 2000-01-01 00:00 UTC, as ISO 8601 has it.
std::string format_time(int64_t time) {
  constexpr int64_t kEpoch = 946684800;
  const std::time_t seconds = static_cast<std::time_t>(time / 1000000 + kEpoch);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

class Verifier {
 public:
  Verifier(Environment& env, bool deep, const std::function<void(const Finding&)>& report,
           const std::function<void()>& pause)
      : env_(env), deep_(deep), report_(report), pause_(pause), trees_(env, pause) {}

  void run() {
    env_.forget_verified();
    read_records();
    check_numbered_commits();
    check_other_commits();
    report_redactions();
    if (!deep_) return;
    trees_.check_others([&](const std::string& what) { damaged(what); });
    check_segments();
    check_checked_values();
  }

 private:
  struct Brief {
    uint64_t tx;
    int64_t time;
  };
  using Problems = std::vector<std::string>;

  void damaged(const std::string& what) { report_({std::nullopt, true, false, what}); }

  // Without the records, rows that have been erased are missing.
  void read_records() {
    try {
      redactions_ = read_redactions(env_);
      if (auto rows = redacted_rows(env_)) gone_ = std::move(*rows);
      unerased_ = first_unerased(env_).value_or(UINT64_MAX);
    } catch (const Error& error) {
      damaged(error.what());
      redactions_.clear();
    }
    digests_.emplace(redactions_);
  }

  void report_redactions() {
    for (const Redaction& r : redactions_)
      report_({std::nullopt, false, true,
               "redaction " + std::to_string(r.number) + ": " +
                   std::to_string(count_rowids(r.rows)) + " versions of " +
                   std::to_string(r.entities) + " rows of table " + r.table_name +
                   " were erased by " + r.who + " at " + format_time(r.time) + " from " +
                   std::to_string(r.commits.size()) + " commits; record " + format_hash(r.hash) +
                   (r.number >= unerased_ ? "; the worker has not taken them out of the store yet"
                                          : "")});
  }

  std::string describe_redaction(const Uuid& id) const {
    const auto* records = digests_->of(id);
    if (!records) return "";
    std::string text = "rows that it added have been erased: ";
    for (const Redaction* record : *records) {
      uint64_t rows = 0;
      for (const RedactedCommit& commit : record->commits)
        if (commit.commit == id) rows += commit.rows;
      text += (record == records->front() ? "" : ", ") + std::to_string(rows) + " by redaction " +
              std::to_string(record->number);
    }
    return text;
  }

  // Commits in the order of their numbers, so that parents come first.
  void check_numbered_commits() {
    env_.scan(Map::Txs, {}, [&](ByteView key, ByteView value) {
      pause_();
      const auto tx = ByteReader(key, "transaction number").fixed<uint64_t>();
      Uuid id{};
      if (value.size() != id.size()) {
        damaged("transaction number " + std::to_string(tx) + " names no commit");
        return true;
      }
      std::ranges::copy(value, id.begin());
      const auto record = env_.commit(id);
      if (!record)
        damaged("transaction number " + std::to_string(tx) + " names commit " + format_uuid(id) +
                ", which is missing");
      else
        check_commit(tx, id, *record);
      return true;
    });
  }

  // Those that no number leads to.
  void check_other_commits() {
    env_.scan(Map::Commits, {}, [&](ByteView key, ByteView) {
      pause_();
      Uuid id{};
      if (key.size() == id.size()) std::ranges::copy(key, id.begin());
      if (!known_.count(id) && !is_root(id))
        damaged("no transaction number leads to commit " + format_uuid(id));
      return true;
    });
  }

  void check_commit(uint64_t tx, const Uuid& id, ByteView record) {
    Problems problems;
    Brief& brief = known_[id];
    brief = {tx, INT64_MIN};
    try {
      const Commit commit = decode_commit(record, id);
      brief.time = commit.time;
      if (commit.tx != tx)
        problems.push_back("it is found under transaction number " + std::to_string(tx) +
                           " and says " + std::to_string(commit.tx));
      check_parents(commit, problems);
      if (deep_) check_content(commit, problems);
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
    report_problems(id, problems);
  }

  void report_problems(const Uuid& id, const Problems& problems) {
    constexpr size_t kMostTold = 5;
    std::string detail;
    for (size_t i = 0; i < problems.size() && i < kMostTold; ++i)
      detail += (i ? "; " : "") + problems[i];
    if (problems.size() > kMostTold)
      detail += "; and " + std::to_string(problems.size() - kMostTold) + " more";
    const std::string redaction = problems.empty() ? describe_redaction(id) : "";
    report_({id, !problems.empty(), !redaction.empty(), detail + redaction});
  }

  void check_parents(const Commit& commit, Problems& problems) {
    if (commit.parents.empty() && commit.tx != 1 && !commit.delta.empty())
      problems.emplace_back("it has no parent");
    for (size_t i = 0; i < commit.parents.size(); ++i) {
      const auto parent = known_.find(commit.parents[i]);
      const std::string name = "parent " + format_uuid(commit.parents[i]);
      if (parent == known_.end()) {
        if (env_.tombstone(commit.parents[i])) continue;  // collected
        if (!is_root(commit.parents[i])) problems.push_back(name + " is missing or not older");
        continue;
      }
      if (parent->second.tx >= commit.tx) problems.push_back(name + " is not older");
      if (i == 0 && parent->second.time >= commit.time)
        problems.push_back("its time is not after that of its first parent");
    }
  }

  // The first commit of a former installation has lost its number to that of the present one.
  bool is_root(const Uuid& id) {
    try {
      const auto commit = load_commit(env_, id);
      return commit && commit->parents.empty() && commit->tx == 1 && commit->root.empty();
    } catch (const Error&) {
      return false;
    }
  }

  void check_content(const Commit& commit, Problems& problems) {
    check_rows(commit, problems);
    check_lineage(commit, problems);
    check_writes(commit, problems);
    if (!commit.keyframe) return;
    trees_.check(commit.root, problems);
    if (problems.empty()) check_keyframe(commit, problems);
  }

  // The rows it added, against the digest that its hash covers, or that has taken its place.
  void check_rows(const Commit& commit, Problems& problems) {
    try {
      const tree::Hash& expected = digests_->expected(commit.id, commit.rows_digest);
      if (RemainingRows(env_, pause_).digest(commit.delta, {&gone_}) != expected)
        problems.emplace_back("the rows it added are not those it was made with");
    } catch (const CorruptError& error) {
      problems.emplace_back(error.what());
    }
  }

  // What replaced the rows it removed.
  void check_lineage(const Commit& commit, Problems& problems) {
    for (const TableDelta& table : commit.delta.tables)
      for (const Removal& removal : table.removed) {
        bool found = false, right = false;
        for (const BranchLineage& at : env_.lineage_on_branches(table.table, removal.rowid)) {
          found |= at.branch == commit.branch;
          right |= at.branch == commit.branch && at.lineage.xid == commit.xid &&
                   at.lineage.successor == removal.successor;
        }
        if (!right)
          problems.push_back("what became of " + row_name(table.table, removal.rowid) +
                             (found ? " is not what it says" : " is missing"));
      }
  }

  // That it is found by its transaction, and by the tables that it emptied.
  void check_writes(const Commit& commit, Problems& problems) {
    if (commit.parents.empty()) return;
    bool found = false;
    for (const WrittenCommit& write : env_.commits_of(commit.xid))
      found |= write.branch == commit.branch && write.tx == commit.tx;
    if (!found) problems.emplace_back("its transaction does not lead to it");
    for (const TableDelta& table : commit.delta.tables) {
      if (!table.cleared) continue;
      const std::vector<uint64_t> clears = env_.clears_of(table.table, commit.tx - 1);
      if (clears.empty() || clears.front() != commit.tx)
        problems.push_back("table " + std::to_string(table.table) + " does not lead to it");
    }
  }

  // A keyframe's tree is that of the keyframe before it and the deltas since.
  void check_keyframe(const Commit& keyframe, Problems& problems) {
    if (keyframe.parents.empty()) {
      if (!keyframe.root.empty()) problems.emplace_back("the first commit is not empty");
      return;
    }
    std::vector<std::shared_ptr<const Delta>> deltas;
    std::vector<HistoryEntry> history;
    Commit commit = keyframe;
    do {
      deltas.push_back(std::make_shared<const Delta>(commit.delta));
      history.push_back(history_entry(commit));
      const std::optional<Commit> parent = load_parent(commit);
      if (!parent) return;  // collected: this is where the line begins now
      commit = *parent;
    } while (!commit.keyframe);
    if (commit.root.empty()) history.push_back(history_entry(commit));
    std::ranges::reverse(deltas);
    std::ranges::reverse(history);
    ScratchNodes scratch(env_);
    const tree::NodeRef made = advance_version(scratch, commit.root, deltas, history);
    if (!made.same_content(keyframe.root))
      problems.emplace_back("its version tree is not what the commits up to it make");
  }

  std::optional<Commit> load_parent(const Commit& commit) {
    const Uuid& parent = first_parent(commit);
    if (env_.tombstone(parent)) return std::nullopt;
    return load_known_commit(env_, parent);
  }

  void check_erased(const SegmentReader& segment, const std::string& name) {
    for (auto at = gone_.at_or_after(segment.first_rowid()); at && *at <= segment.last_rowid();
         at = gone_.at_or_after(*at + 1)) {
      if (segment.is_hole(static_cast<uint32_t>(*at - segment.first_rowid()))) continue;
      damaged(name + " holds row " + std::to_string(*at) + ", which has been erased");
      return;
    }
  }

  // Segments: checksums, and that they do not overlap.
  void check_segments() {
    uint64_t last_table = 0, last_end = 0;
    env_.scan(Map::Rows, {}, [&](ByteView key, ByteView value) {
      pause_();
      if (key.size() != sizeof(RowKey)) {
        damaged("a segment has a key of the wrong length");
        return true;
      }
      const uint64_t table = get_big_endian(key.data()), first = get_big_endian(key.data() + 8);
      const std::string name =
          "segment of table " + std::to_string(table) + " at rowid " + std::to_string(first);
      try {
        const SegmentReader segment(value);
        segment.verify();
        if (segment.first_rowid() != first) damaged(name + " belongs to another rowid");
        if (table == last_table && first < last_end) damaged(name + " overlaps the one before it");
        if (unerased_ == UINT64_MAX) check_erased(segment, name);
        last_table = table;
        last_end = segment.last_rowid() + 1;
      } catch (const Error& error) {
        damaged(name + ": " + error.what());
      }
      return true;
    });
  }

  void check_checked_values() {
    uint64_t last_node = 0, next_node = 1;
    env_.scan(Map::Nodes, {}, [&](ByteView key, ByteView) {
      last_node = ByteReader(key, "node id").fixed<uint64_t>();
      return true;
    });
    const auto check = [&](ByteView key, ByteView value, const std::string& what) {
      pause_();
      try {
        const ByteView content = check_value(key, value, what);
        if (as_string_view(key) == kNextNodeKey)
          next_node = ByteReader(content, "next node id").fixed<uint64_t>();
      } catch (const CorruptError& error) {
        damaged(error.what());
      }
      return true;
    };
    env_.scan(Map::Meta, {}, [&](ByteView key, ByteView value) {
      // Compared whenever the store is opened.
      if (as_string_view(key) == kFormatKey || as_string_view(key) == kIdentityKey) return true;
      return check(key, value,
                   "the entry \"" + std::string(as_string_view(key)) + "\" of map meta");
    });
    env_.scan(Map::Lineage, {}, [&](ByteView key, ByteView value) {
      const bool whole = key.size() == sizeof(LineageKey);
      return check(key, value,
                   whole ? "what became of " +
                               row_name(get_big_endian(key.data()), get_big_endian(key.data() + 8))
                         : "a lineage entry");
    });
    env_.scan(Map::Writes, {}, [&](ByteView key, ByteView value) {
      return check(key, value, "an entry of map writes");
    });
    env_.scan(Map::Clears, {}, [&](ByteView key, ByteView value) {
      return check(key, value, "an entry of map clears");
    });
    env_.scan(Map::Tombstones, {}, [&](ByteView key, ByteView value) {
      return check(key, value, "what is left of a collected commit");
    });
    if (last_node >= next_node)
      damaged("the next node id is not after node " + std::to_string(last_node));
  }

  Environment& env_;
  bool deep_;
  const std::function<void(const Finding&)>& report_;
  const std::function<void()>& pause_;
  TreeVerifier trees_;
  std::vector<Redaction> redactions_;
  std::optional<RedactedDigests> digests_;
  tree::RowidSet gone_;
  uint64_t unerased_ = UINT64_MAX;  // the first record whose rows may still be stored
  std::unordered_map<Uuid, Brief, HashUuid> known_;
};

}  // namespace

void verify(Environment& env, bool deep, const std::function<void(const Finding&)>& report,
            const std::function<void()>& pause) {
  Verifier(env, deep, report, pause).run();
}

}  // namespace datahike::store
