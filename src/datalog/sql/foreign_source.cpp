#include "datalog/sql/foreign_source.h"

#include <algorithm>

#include "datalog/sql/entities.h"
#include "datalog/sql/foreign_rows_wanted.h"
#include "datalog/sql/foreign_values.h"
#include "datalog/sql/values.h"
#include "datom/edn_values.h"
#include "fdw/decode.h"
#include "fdw/fact_feed.h"
#include "fdw/other_store.h"
#include "pg/bridge.h"

extern "C" {
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "foreign/foreign.h"
#include "parser/parse_type.h"
}

namespace datahike::query {

using datalog::kAdded;
using datalog::kAttribute;
using datalog::kEntity;
using datalog::kTx;
using datalog::kValue;
using datalog::QueryError;
using datalog::Scan;

namespace {

constexpr size_t kRowsAtOnce = 4096;

// The store and view that a server names, with what the database value says in addition. The texts
// of the options stay valid as long as this.
struct Server {
  fdw::ServerOptions options{};
  Oid role = InvalidOid;
  std::string branch, commit, as_of, store, database;

  explicit Server(const DatabaseValue& d) {
    char* name = from_utf8(d.server);
    fdw::ServerOptions* found = &options;
    role = pg::call([=] {
      ForeignServer* server = GetForeignServerByName(name, false);
      if (!fdw::is_our_server(server->serverid))
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("server \"%s\" is not one of the wrapper datahike", name)));
      if (pg_foreign_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
        aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
      *found = fdw::server_options(server->serverid);
      return fdw::reading_role(server->serverid, GetUserId());
    });
    if (options.is_local())
      throw QueryError(datalog::kInvalid,
                       "server \"" + d.server + "\" names a view of this database",
                       "datahike.db() takes a branch or commit, datahike.as_of() a time.");
    if (!d.since.empty() || d.history)
      throw QueryError(datalog::kUnsupported,
                       "since and history of another store cannot be queried",
                       "Give the database there as it is and as of a time as two sources.");
    narrow(d);
    keep(options.view.branch, branch);
    keep(options.view.commit_id, commit);
    keep(options.view.as_of, as_of);
    keep(options.store, store);
    keep(options.database, database);
  }
  Server(const Server&) = delete;

 private:
  static void keep(const char*& option, std::string& text) {
    if (!option) return;
    text = option;
    option = text.c_str();
  }
  void narrow(const DatabaseValue& d) {
    versioning::ViewOptions& view = options.view;
    bool is_commit = !d.revision.empty() && store::parse_uuid(d.revision);
    if (((!d.revision.empty() || !d.as_of.empty()) && (view.commit_id || view.as_of)) ||
        (is_commit && !d.as_of.empty()))
      throw QueryError(datalog::kInvalid, "a commit or time is given of a commit or time",
                       "Name a server without the options commit_id and as_of.");
    if (is_commit)
      view.commit_id = from_utf8(d.revision), view.branch = nullptr;
    else if (!d.revision.empty())
      view.branch = from_utf8(d.revision);
    if (!d.as_of.empty()) view.as_of = from_utf8(d.as_of);
  }
};

// A store in the state that it had when the query began.
class OpenStore {
 public:
  explicit OpenStore(const Server& server) {
    const fdw::OtherStoreLease lease;
    fdw::OtherStore& store = fdw::open_other_store(server.options, server.role);
    commit = fdw::read_other_commit(store, server.options);
    store_ = &store;
    ++store_->scans;
  }
  OpenStore(const OpenStore&) = delete;
  ~OpenStore() {
    --store_->scans;
    const fdw::OtherStoreLease lease;
  }
  fdw::OtherStore& get() { return *store_; }
  fdw::OtherCommit commit;

 private:
  fdw::OtherStore* store_;
};

// A column that an attribute names.
struct ForeignColumn {
  const fdw::RecordedTable* table;
  int16_t number;
};

Oid type_of(const ForeignColumn& column) {
  return column.table->schema.columns.at(column.number).type_oid;
}

// Rows of some columns of a table, one after another.
class ForeignRows {
 public:
  ForeignRows(OpenStore& store, const fdw::RecordedTable& table,
              const std::vector<int16_t>& numbers, RowsWanted wanted)
      : table_(table),
        rows_(store.get(), store.commit.state, table.id),
        wanted_(std::move(wanted)) {
    slot_ = make_slot(numbers);
    TupleDesc desc = slot_->tts_tupleDescriptor;
    types_.resize(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      const auto& was = table.schema.columns.at(numbers[i]);
      FormData_pg_attribute* att = TupleDescAttr(desc, static_cast<int>(i));
      columns_.push_back({static_cast<int>(i), numbers[i], am::describe_attribute(*att), &was});
      values_.add(numbers[i], was.type_oid);
      CellType* type = &types_[i];
      pg::call([=] { describe_type(att->atttypid, type); });
    }
    memory_ = pg::call([] {
      return AllocSetContextCreate(CurrentMemoryContext, "datalog foreign row",
                                   ALLOCSET_DEFAULT_SIZES);
    });
  }
  ForeignRows(const ForeignRows&) = delete;
  ~ForeignRows() {
    MemoryContextDelete(memory_);
    ExecDropSingleTupleTableSlot(slot_);
  }

  bool next() {
    const store::SegmentReader* segment;
    uint32_t row;
    do {
      if ((++met_ & 0x3ff) == 0) pg::call([] { CHECK_FOR_INTERRUPTS(); });
      if (!rows_.next()) return false;
      segment = &rows_.segment();
      row = static_cast<uint32_t>(rows_.rowid() - segment->first_rowid());
    } while (!is_wanted(*segment, row));
    row_ = row;
    by_values_ = values_.open(*segment);
    if (by_values_) return true;
    pg::call([memory = memory_] { MemoryContextReset(memory); });
    std::memset(slot_->tts_isnull, true, columns_.size());
    fdw::decode_row({columns_, table_.schema, InvalidOid, false}, known_, *segment, row, slot_,
                    memory_);
    return true;
  }
  int64_t entity() const { return entity_; }
  bool is_null(size_t column) const {
    return by_values_ ? values_.is_null(column, row_) : slot_->tts_isnull[column];
  }
  Value value(size_t column) {
    if (by_values_) return values_.value(column, row_);
    Datum datum = slot_->tts_values[column];
    CellType* type = &types_[column];
    MemoryContext memory = memory_;
    return value_of(pg::call([=] {
      MemoryContext before = MemoryContextSwitchTo(memory);
      Cell cell = cell_of(datum, false, type);
      MemoryContextSwitchTo(before);
      return cell;
    }));
  }

 private:
  bool is_wanted(const store::SegmentReader& segment, uint32_t row) {
    if (!wanted_.conditions.passes(segment, row)) return false;
    entity_ = kFirstRowEntity + static_cast<int64_t>(segment.entity(row));
    return !wanted_.entities || wanted_.entities->count(entity_);
  }

  TupleTableSlot* make_slot(const std::vector<int16_t>& numbers) {
    TupleDesc desc = pg::call(
        [count = static_cast<int>(numbers.size())] { return CreateTemplateTupleDesc(count); });
    for (size_t i = 0; i < numbers.size(); ++i) {
      const auto& column = table_.schema.columns.at(numbers[i]);
      if (column.type_oid >= FirstNormalObjectId)
        throw QueryError(datalog::kUnsupported,
                         "column \"" + column.name + "\" is of type " + column.type +
                             ", which is the other database's own",
                         "Types that are not built in cannot be read from another store.");
      if (fdw::names_objects(column.type_oid))
        throw QueryError(datalog::kUnsupported,
                         "column \"" + column.name + "\" is of type " + column.type +
                             ", whose values are objects of the other database",
                         "Store their names as text there.");
      const auto number = static_cast<AttrNumber>(i + 1);
      const char *name = column.name.c_str(), *recorded = column.type.c_str();
      Oid type = column.type_oid;
      pg::call([=] {
        // The modifier that the type's name shows, so that values need no cast.
        Oid parsed = InvalidOid;
        int32 typmod = -1;
        parseTypeString(recorded, &parsed, &typmod, true);
        TupleDescInitEntry(desc, number, name, type, parsed == type ? typmod : -1, 0);
      });
    }
    return pg::call([=] { return MakeSingleTupleTableSlot(desc, &TTSOpsVirtual); });
  }

  const fdw::RecordedTable& table_;
  fdw::OtherRows rows_;
  RowsWanted wanted_;
  ForeignValues values_;
  fdw::SegmentColumns known_;
  uint32_t row_ = 0;  // in its segment
  bool by_values_ = false;
  std::vector<fdw::Column> columns_;
  std::vector<CellType> types_;
  TupleTableSlot* slot_ = nullptr;
  MemoryContext memory_ = nullptr;
  int64_t entity_ = 0;
  uint64_t met_ = 0;
};

bool fits(const std::optional<Value>& constant, const Value& v) {
  return !constant || *constant == v;
}

class ForeignSource : public datalog::Source {
 public:
  explicit ForeignSource(const DatabaseValue& database) : server_(database), store_(server_) {}

  double estimate(const Scan& scan) override {
    if (!scan.constants[kAttribute]) return 1e7;
    const Value& attribute = *scan.constants[kAttribute];
    double facts = fact(attribute) ? 1000 : 0;
    auto column = find(attribute);
    if (!column) return facts;
    if (scan.constants[kEntity]) return 1;
    double rows = count(*column->table);
    return facts + (scan.constants[kValue] ? rows * 0.01 + 1 : rows);
  }

  void scan(const Scan& scan, const std::function<void(Columns&, size_t)>& full) override {
    if (!scan.constants[kAttribute]) {
      for (const auto& [name, table] : store_.commit.tables) {
        if (name.first == kFacts) continue;
        for (const auto& [number, column] : table.schema.columns)
          scan_column(attribute_of(table, column.name), {&table, number}, scan, full);
      }
      return scan_facts(nullptr, scan, full);
    }
    const Value& attribute = *scan.constants[kAttribute];
    if (auto column = find(attribute)) scan_column(attribute, *column, scan, full);
    if (const datom::Attribute* a = fact(attribute)) scan_facts(a, scan, full);
  }

  bool same_rows(const std::vector<Value>& attributes) override {
    const fdw::RecordedTable* table = nullptr;
    for (const Value& a : attributes) {
      auto column = find(a);
      if (!column || (table && table != column->table) || fact(a)) return false;
      table = column->table;
    }
    return table;
  }

  void scan_rows(const datalog::RowScan& scan,
                 const std::function<void(std::vector<Column>&, size_t)>& full) override {
    std::vector<int16_t> numbers;
    RowsWanted wanted;
    wanted.among(std::nullopt, scan.some_entities);
    for (const datalog::RowScan::Of& of : scan.values) {
      const ForeignColumn column = *find(of.attribute);
      numbers.push_back(column.number);
      wanted.of(column.number, type_of(column), of.constant, of.least, of.greatest, of.some_values);
    }
    ForeignRows rows(store_, *find(scan.values[0].attribute)->table, numbers, std::move(wanted));
    std::vector<Column> columns(numbers.size() + 1);
    std::vector<Value> values(numbers.size());
    size_t count = 0;
    auto flush = [&] {
      full(columns, count);
      columns = std::vector<Column>(numbers.size() + 1);
      count = 0;
    };
    while (rows.next()) {
      bool is_wanted = true;
      for (size_t i = 0; is_wanted && i < numbers.size(); ++i) {
        is_wanted = !rows.is_null(i);
        if (!is_wanted) break;
        values[i] = rows.value(i);
        is_wanted = fits(scan.values[i].constant, values[i]);
      }
      if (!is_wanted) continue;
      columns[0].push_integer(rows.entity());
      for (size_t i = 0; i < values.size(); ++i) columns[i + 1].push_back(std::move(values[i]));
      if (++count == kRowsAtOnce) flush();
    }
    if (count) flush();
  }

  std::optional<Value> entity(const Value& name) override {
    if (name.is(Kind::Long)) return name;
    Scan scan;
    const datom::Attribute* a = nullptr;
    if (name.is(Kind::Keyword)) {
      a = fact(Value::keyword("db/ident"));
      scan.constants[kValue] = name;
    } else if (name.is_sequence() && name.items().size() == 2) {
      const Value& attribute = name.items()[0];
      if (find(attribute))
        throw QueryError(datalog::kUnsupported,
                         "lookup refs to rows of another store cannot be read: " + edn::write(name),
                         "A pattern finds the row: [?e " + edn::write(attribute) + " value].");
      a = fact(attribute);
      if (a && a->unique == datom::Unique::No)
        throw QueryError(datalog::kInvalid,
                         "a lookup ref needs a unique attribute: " + edn::write(name));
      scan.constants[kValue] = name.items()[1];
    }
    if (!a) return std::nullopt;
    scan.wanted[kEntity] = true;
    std::optional<Value> found;
    scan_facts(a, scan, [&](Columns& columns, size_t rows) {
      if (rows) found = columns[kEntity][0];
    });
    return found;
  }

  bool is_ref(const Value& v) override {
    const datom::Attribute* a = fact(v);
    return a && a->type == datom::Type::Ref;
  }
  bool is_many(const Value& v) override {
    const datom::Attribute* a = fact(v);
    return a && a->many;
  }
  bool is_component(const Value& v) override {
    const datom::Attribute* a = fact(v);
    return a && a->component;
  }

 private:
  static constexpr const char* kFacts = "datahike";  // the extension's schema

  std::optional<ForeignColumn> find(const Value& attribute) {
    if (!attribute.is(Kind::Keyword) || attribute.name_space().empty()) return std::nullopt;
    std::string space(attribute.name_space()), schema = "public";
    if (size_t dot = space.rfind('.'); dot != std::string::npos) {
      schema = space.substr(0, dot);
      space = space.substr(dot + 1);
    }
    if (schema == kFacts) return std::nullopt;
    auto table = store_.commit.tables.find({from_utf8(schema), from_utf8(space)});
    if (table == store_.commit.tables.end()) return std::nullopt;
    const std::string name = from_utf8(std::string(attribute.name()));
    for (const auto& [number, column] : table->second.schema.columns)
      if (column.name == name) return ForeignColumn{&table->second, number};
    return std::nullopt;
  }

  static Value attribute_of(const fdw::RecordedTable& table, const std::string& column) {
    const am::RecordedSchema& s = table.schema;
    std::string space = s.space == "public" ? s.name : s.space + "." + s.name;
    return Value::keyword(to_utf8((space + "/" + column).c_str()));
  }

  double count(const fdw::RecordedTable& table) {
    auto [known, is_new] = counts_.try_emplace(table.id);
    if (is_new)
      known->second =
          static_cast<double>(fdw::OtherRows(store_.get(), store_.commit.state, table.id).count());
    return known->second;
  }

  void scan_column(const Value& attribute, const ForeignColumn& column, const Scan& scan,
                   const std::function<void(Columns&, size_t)>& full) {
    if (scan.wanted[kTx] || scan.wanted[kAdded] || scan.constants[kTx] || scan.constants[kAdded])
      throw QueryError(datalog::kUnsupported,
                       "tx and added of rows of another store cannot be queried",
                       "Leave them out; those of facts can be.");
    RowsWanted wanted;
    wanted.among(scan.constants[kEntity], scan.some_entities);
    wanted.of(column.number, type_of(column), scan.constants[kValue], scan.least, scan.greatest,
              scan.some_values);
    ForeignRows rows(store_, *column.table, {column.number}, std::move(wanted));
    Columns columns;
    size_t count = 0;
    auto flush = [&] {
      full(columns, count);
      columns = Columns();
      count = 0;
    };
    while (rows.next()) {
      if (rows.is_null(0) || !fits(scan.constants[kEntity], Value::integer(rows.entity())))
        continue;
      Value value = rows.value(0);
      if (!fits(scan.constants[kValue], value)) continue;
      if (scan.wanted[kEntity]) columns[kEntity].push_integer(rows.entity());
      if (scan.wanted[kAttribute]) columns[kAttribute].push_back(attribute);
      if (scan.wanted[kValue]) columns[kValue].push_back(std::move(value));
      if (++count == kRowsAtOnce) flush();
    }
    if (count) flush();
  }

  fdw::FactFeed& feed() {
    if (!feed_) feed_ = fdw::open_feed(server_.options, server_.role);
    return *feed_;
  }
  const datom::Attribute* fact(const Value& attribute) {
    if (attribute.is(Kind::Long)) return feed().attribute(attribute.as_integer());
    return attribute.is(Kind::Keyword) ? feed().attribute(attribute.text()) : nullptr;
  }

  // Of all attributes where `attribute` is nullptr.
  void scan_facts(const datom::Attribute* attribute, const Scan& scan,
                  const std::function<void(Columns&, size_t)>& full) {
    facts::Pattern pattern;
    if (attribute) pattern.a = attribute->id;
    if (scan.constants[kEntity]) {
      if (!scan.constants[kEntity]->is(Kind::Long)) return;
      pattern.e = scan.constants[kEntity]->as_integer();
    }
    feed().scan(pattern, [&](std::span<const datom::Datom> datoms) {
      Columns columns;
      size_t count = 0;
      for (const datom::Datom& d : datoms) {
        Value name;
        if (!attribute) {
          const datom::Attribute* a = feed().attribute(d.a);
          name = a ? Value::keyword(a->ident) : Value::integer(d.a);
        } else if (scan.wanted[kAttribute]) {
          name = *scan.constants[kAttribute];
        }
        Value row[] = {Value::integer(d.e), std::move(name), datom::to_edn(d.v),
                       Value::integer(d.tx), Value::boolean(d.added)};
        bool is_wanted = true;
        for (size_t i = 0; i < std::size(row); ++i)
          is_wanted = is_wanted && (i == kAttribute || fits(scan.constants[i], row[i]));
        if (!is_wanted) continue;
        for (size_t i = 0; i < std::size(row); ++i)
          if (scan.wanted[i]) columns[i].push_back(std::move(row[i]));
        if (++count < kRowsAtOnce) continue;
        full(columns, count);
        columns = Columns();
        count = 0;
      }
      if (count) full(columns, count);
      return true;
    });
  }

  Server server_;
  OpenStore store_;
  std::unique_ptr<fdw::FactFeed> feed_;
  std::map<uint64_t, double> counts_;
};

}  // namespace

std::shared_ptr<datalog::Source> open_foreign_database(const DatabaseValue& database) {
  return std::make_shared<ForeignSource>(database);
}

}  // namespace datahike::query
