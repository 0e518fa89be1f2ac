#include "fold_world.h"

#include <gtest/gtest.h>

#include <bit>
#include <filesystem>

#include "tree/live_set.h"

namespace datahike::store::test {
namespace {

const Identity kIdentity{.system_id = 42, .database = 5};
constexpr uint64_t kXidsOfTransaction = 4;  // one, and of its subtransactions

std::vector<ColumnSpec> columns(bool wide) {
  std::vector<ColumnSpec> specs = {{1, Kind::Int64, 0, 20, -1}, {2, Kind::Bytes, 0, 25, -1}};
  if (wide) specs.push_back({4, Kind::Int32, 0, 23, -1});
  return specs;
}

Row read_row(const SegmentReader& segment, uint32_t i) {
  Row row;
  row.entity = segment.entity(i);
  row.xid = segment.xid(i);
  row.number = static_cast<int64_t>(segment.bits(segment.find(1), i));
  const int text = segment.find(2), extra = segment.find(4);
  column::Scratch scratch;
  if (!segment.is_null(text, i)) row.text = as_string_view(segment.bytes(text, i, scratch));
  row.wide = extra >= 0;
  if (row.wide) {
    EXPECT_EQ(segment.bits(extra, i), 7u);
  }
  return row;
}

void apply(const TableDelta& delta, Contents& contents) {
  auto& live = contents.live[delta.table];
  if (delta.cleared) live.clear();
  for (const auto& range : delta.added)
    for (uint64_t i = 0; i < range.count; ++i) live.insert(range.first + i);
  for (const Removal& removal : delta.removed) live.erase(removal.rowid);
  if (live.empty()) contents.live.erase(delta.table);
  if (!delta.schema.empty()) contents.schemas[delta.table] = delta.schema;
}

}  // namespace

Bytes build_segment(const std::map<uint64_t, Row>& rows, uint64_t first, uint32_t count) {
  const bool wide = rows.at(first).wide;
  SegmentBuilder builder(columns(wide));
  for (uint32_t i = 0; i < count; ++i) {
    const Row& row = rows.at(first + i);
    builder.begin_row(row.entity == first + i ? 0 : row.entity, row.xid);
    builder.add_bits(static_cast<uint64_t>(row.number));
    if (row.text)
      builder.add_bytes(as_bytes(*row.text));
    else
      builder.add_null();
    if (wide) builder.add_bits(7);
  }
  return builder.finish(first);
}

uint64_t Generator::new_rowid(uint64_t table, uint64_t writer) {
  Run& run = runs_[{table, writer}];
  if (run.next == run.end) {
    uint64_t& next = next_rowid_.try_emplace(table, 65500).first->second;  // near a container's end
    run = {next, next + 1 + pick(40)};
    next = run.end + (pick(6) == 0);  // sometimes a gap that nobody ever fills
  }
  return run.next++;
}

uint64_t Generator::new_row(TableDelta& delta, uint64_t writer, uint64_t entity) {
  const uint64_t rowid = new_rowid(delta.table, writer);
  Row row{.entity = entity ? entity : rowid,
          .xid = xid_ + pick(kXidsOfTransaction),  // of a subtransaction
          .number = static_cast<int64_t>(random_()),
          .text = std::nullopt,
          .wide = wide_[delta.table]};
  if (pick(5) > 0) row.text = std::string(pick(12), static_cast<char>('a' + pick(26)));
  rows_[delta.table][rowid] = row;
  auto& added = delta.added;
  if (!added.empty() && added.back().first + added.back().count == rowid)
    ++added.back().count;
  else
    added.push_back({rowid, 1});
  return rowid;
}

void Generator::remove_some(TableDelta& delta, uint64_t writer, const std::set<uint64_t>& live) {
  std::vector<uint64_t> victims;
  auto at =
      live.lower_bound(live.empty() ? 0 : *live.begin() + pick(*live.rbegin() - *live.begin() + 1));
  for (uint64_t n = pick(30); n > 0 && at != live.end(); --n) {
    victims.push_back(*at);
    for (uint64_t step = 1 + pick(3); step > 0 && at != live.end(); --step) ++at;
  }
  const bool update = pick(2) == 0;
  for (uint64_t rowid : victims) {
    const uint64_t entity = rows_[delta.table].at(rowid).entity;
    delta.removed.push_back({rowid, update ? new_row(delta, writer, entity) : 0});
  }
}

void Generator::change(TableDelta& delta, Contents& now) {
  const uint64_t writer = pick(kWriters);
  if (pick(40) == 0) wide_[delta.table] = !wide_[delta.table];
  const Bytes schema = wide_[delta.table] ? Bytes{'w'} : Bytes{'n'};
  if (now.schemas[delta.table] != schema) delta.schema = schema;
  delta.cleared = pick(40) == 0;
  if (!delta.cleared) remove_some(delta, writer, now.live[delta.table]);
  for (uint64_t n = pick(100) == 0 ? 4500 : pick(8); n > 0; --n) new_row(delta, writer, 0);
  // A row inserted and deleted by the same transaction.
  if (!delta.added.empty() && delta.removed.empty() && pick(5) == 0)
    delta.removed.push_back({delta.added.front().first, 0});
  std::sort(delta.added.begin(), delta.added.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::sort(delta.removed.begin(), delta.removed.end(),
            [](const auto& a, const auto& b) { return a.rowid < b.rowid; });
  apply(delta, now);
}

void Generator::place_rows(TableDelta& delta, std::vector<Bytes>& parts) {
  const auto& rows = rows_[delta.table];
  for (const auto& range : delta.added) {
    for (uint64_t used = 0; used < range.count;) {
      const auto count =
          static_cast<uint32_t>(std::min(range.count - used, pick(4) ? 1 + pick(10) : range.count));
      const Bytes segment = build_segment(rows, range.first + used, count);
      const auto part = static_cast<uint32_t>(pick(parts.size()));
      delta.segments.push_back(
          {range.first + used, count, part, parts[part].size(), segment.size()});
      parts[part].insert(parts[part].end(), segment.begin(), segment.end());
      used += count;
    }
  }
}

Transaction Generator::next(uint32_t branch) {
  Transaction transaction;
  transaction.branch = branch;
  transaction.parts.resize(1 + pick(2));
  LogEntry& entry = transaction.entry;
  entry.xid = xid_ += kXidsOfTransaction;
  entry.time =
      static_cast<int64_t>(xid_ / kXidsOfTransaction * 10 - pick(30));  // clocks may step back
  entry.author = "writer" + std::to_string(pick(3));
  entry.message = pick(2) ? "" : "change " + std::to_string(xid_);
  Contents& now = now_[branch];
  for (uint64_t table = 1; table <= kTables; ++table) {
    if (pick(3) == 0) continue;
    TableDelta delta;
    delta.table = table * 1000;
    change(delta, now);
    place_rows(delta, transaction.parts);
    entry.delta.tables.push_back(std::move(delta));
  }
  std::erase_if(now.live, [](const auto& table) { return table.second.empty(); });
  std::erase_if(now.schemas, [](const auto& table) { return table.second.empty(); });
  transaction.after = now;
  return transaction;
}

TestStore::TestStore() : root_(root_commit(0)) {
  std::string path = (std::filesystem::temp_directory_path() / "fold_XXXXXX").string();
  if (!mkdtemp(path.data())) throw std::runtime_error("mkdtemp");
  directory_ = path;
  open();
}

void TestStore::open() {
  env_ = Environment::open(directory_, {.read_only = false,
                                        .map_size = size_t{512} << 20,
                                        .max_readers = 16,
                                        .identity = kIdentity});
}

TestStore::~TestStore() {
  env_.reset();
  std::filesystem::remove_all(directory_);
}

Commit TestStore::fold(const Uuid& head, uint64_t next_tx,
                       const std::vector<const Transaction*>& entries, std::vector<Uuid>* ids) {
  const bool first = head == root_.id && !env_->commit(head);
  const Commit start = first ? root_ : load_known_commit(*env_, head);
  const CommitState state = first ? CommitState{} : load_state(*env_, head);
  auto batch = env_->begin_write();
  batch->erase_commits_from(next_tx);
  Folder folder(*batch, entries.empty() ? 0 : entries[0]->branch, start, state, next_tx);
  for (const Transaction* transaction : entries)
    folder.add(transaction->entry,
               [&](uint32_t part) { return ByteView(transaction->parts[part]); });
  const Commit result = folder.finish();
  EXPECT_EQ(folder.next_tx(), next_tx + entries.size());
  batch->commit();
  env_->refresh();
  if (ids) {
    for (uint64_t tx = next_tx; tx < next_tx + entries.size(); ++tx) {
      const auto id = env_->commit_by_tx(tx);
      ids->push_back(id ? *id : Uuid{});
    }
  }
  return result;
}

Contents read_contents(Environment& env, const Uuid& id) {
  const CommitState state = load_state(env, id);
  Contents contents;
  for (uint64_t table = 1000; table <= 3000; table += 1000) {
    const TableVersion version = find_table(env, state.root, table);
    EXPECT_EQ(version.rows, tree::live_count(env, version.live));
    tree::ContainerCursor cursor(env, version.live);
    for (cursor.first(); cursor.valid(); cursor.next()) {
      tree::Container container;
      cursor.load(&container);
      for (uint64_t word = 0; word < container.words.size(); ++word)
        for (uint64_t bits = container.words[word]; bits; bits &= bits - 1)
          contents.live[table].insert(cursor.high() << 16 | word << 6 |
                                      static_cast<uint64_t>(std::countr_zero(bits)));
    }
    if (const auto schema = find_schema(env, state.root, table)) contents.schemas[table] = *schema;
  }
  for (const auto& delta : state.deltas)
    for (const TableDelta& table : delta->tables) apply(table, contents);
  return contents;
}

void expect_rows(Environment& env, const std::map<uint64_t, std::map<uint64_t, Row>>& rows) {
  uint64_t segments = 0;
  for (const auto& [table, expected] : rows) {
    std::map<uint64_t, Row> stored;
    uint64_t at = 0;
    while (const auto segment = env.segment_at_or_after(table, at)) {
      ASSERT_GE(segment->first_rowid(), at) << "segments overlap";
      segment->verify();
      ++segments;
      ASSERT_FALSE(segment->is_hole(0) || segment->is_hole(segment->rows() - 1));
      for (uint32_t i = 0; i < segment->rows(); ++i)
        if (!segment->is_hole(i)) stored[segment->first_rowid() + i] = read_row(*segment, i);
      at = segment->last_rowid() + 1;
    }
    ASSERT_EQ(stored.size(), expected.size());
    EXPECT_TRUE(stored == expected) << "table " << table;
  }
  EXPECT_EQ(env.statistics().segments, segments) << "segments overlap";
}

size_t count_segments(Environment& env, uint64_t table) {
  size_t n = 0;
  uint64_t at = 0;
  while (const auto segment = env.segment_at_or_after(table, at)) {
    ++n;
    at = segment->last_rowid() + 1;
  }
  return n;
}

}  // namespace datahike::store::test
