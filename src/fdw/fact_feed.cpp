#include "fdw/fact_feed.h"

#include "datom/encoding.h"
#include "datom/sql/ids.h"
#include "fdw/decode.h"
#include "fdw/other_store.h"
#include "fdw/row_conditions.h"

extern "C" {
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
}

namespace datahike::fdw {

namespace {

using datom::Attribute;
using datom::Datom;
using facts::Pattern;

// ---- Of this database: the reader of facts, under settings that name the server's view.

struct Surroundings {
  Oid user;
  int context, level;
};

void set_until_left(const char* name, const char* value) {
  set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

class LocalFeed : public FactFeed {
 public:
  LocalFeed(const ServerOptions& options, Oid role) : view_(options.view), role_(role) {
    within([&] { reader_.emplace(); });
  }
  const Attribute* attribute(int64_t id) override {
    return within([&] { return reader_->attribute(id); });
  }
  const Attribute* attribute(std::string_view ident) override {
    return within([&] { return reader_->attribute(ident); });
  }
  std::vector<const Attribute*> attributes() override {
    return within([&] { return reader_->attributes(); });
  }
  void scan(const Pattern& pattern, const facts::Reader::Batch& batch) override {
    within([&] { reader_->scan(pattern, batch); });
  }

 private:
  template <class F>
  auto within(F&& body) -> decltype(body()) {
    const Surroundings before = enter();
    const auto leave = [&] {
      SetUserIdAndSecContext(before.user, before.context);
      pg::call([level = before.level] { AtEOXact_GUC(true, level); });
    };
    try {
      if constexpr (std::is_void_v<decltype(body())>) {
        body();
        leave();
      } else {
        auto result = body();
        leave();
        return result;
      }
    } catch (...) {
      leave();
      throw;
    }
  }

  Surroundings enter() {
    const versioning::ViewOptions view = view_;
    const Oid role = role_;
    return pg::call([=] {
      Surroundings before;
      before.level = NewGUCNestLevel();
      GetUserIdAndSecContext(&before.user, &before.context);
      set_until_left("datahike.commit_id", view.commit_id ? view.commit_id : "");
      set_until_left("datahike.as_of", view.as_of ? view.as_of : "");
      set_until_left("datahike.since", view.since ? view.since : "");
      set_until_left("datahike.history", "off");
      if (!view.commit_id) set_until_left("datahike.branch", view.branch ? view.branch : "db");
      if (role != before.user)
        SetUserIdAndSecContext(role, before.context | SECURITY_LOCAL_USERID_CHANGE);
      return before;
    });
  }

  versioning::ViewOptions view_;
  Oid role_;
  std::optional<facts::Reader> reader_;
};

// ---- Of another store: all rows of its table of facts, each time.

class OtherFeed : public FactFeed {
 public:
  OtherFeed(const ServerOptions& options, Oid role) {
    const OtherStoreLease lease;
    OtherStore& store = open_other_store(options, role);
    OtherCommit commit = read_other_commit(store, options);
    auto found = commit.tables.find({"datahike", "facts"});
    if (found == commit.tables.end()) return;  // nothing was ever transacted there
    table_ = found->second;
    rows_ = std::make_unique<OtherRows>(store, commit.state, table_.id);
    context_ = pg::call([] {
      return AllocSetContextCreate(CurrentMemoryContext, "foreign facts", ALLOCSET_DEFAULT_SIZES);
    });
    relation_ = facts::fact_relations().facts;
    find_columns();
    load_attributes();
  }
  ~OtherFeed() override {
    rows_.reset();
    const OtherStoreLease lease;
  }
  const Attribute* attribute(int64_t id) override {
    if (const Attribute* builtin = datom::builtin_attribute(id)) return builtin;
    auto at = by_id_.find(id);
    return at == by_id_.end() ? nullptr : &at->second;
  }
  const Attribute* attribute(std::string_view ident) override {
    for (const auto& [id, a] : by_id_)
      if (a.ident == ident) return &a;
    return datom::builtin_attribute(ident);
  }
  std::vector<const Attribute*> attributes() override {
    std::vector<const Attribute*> all;
    for (const auto& [id, a] : by_id_) all.push_back(&a);
    return all;
  }
  void scan(const Pattern& pattern, const facts::Reader::Batch& batch) override {
    std::vector<Datom> found;
    RowConditions conditions;
    if (pattern.e) conditions.add(between(kE, *pattern.e, *pattern.e));
    if (pattern.a) conditions.add(between(kA, *pattern.a, *pattern.a));
    each(std::move(conditions), [&](const Datom& d) {
      if ((!pattern.e || d.e == *pattern.e) && (!pattern.a || d.a == *pattern.a) &&
          (!pattern.from || d.v == *pattern.from))
        found.push_back(d);
    });
    const bool by_entity = pattern.order == facts::Order::Eavt;
    const bool by_value = pattern.order == facts::Order::Avet;
    std::sort(found.begin(), found.end(), [=](const Datom& x, const Datom& y) {
      if (by_entity && x.e != y.e) return x.e < y.e;
      if (x.a != y.a) return x.a < y.a;
      const int order = datom::compare(x.v, y.v);
      if (by_value && order != 0) return order < 0;
      if (x.e != y.e) return x.e < y.e;
      return order < 0;
    });
    if (!found.empty()) batch(found);
  }

 private:
  enum Place { kE, kA, kTx, kK, kV, kPlaces };

  void find_columns() {
    static constexpr const char* kNames[kPlaces] = {"e", "a", "tx", "k", "v"};
    const Oid relid = relation_;
    slot_ = pg::call([=] {
      Relation relation = table_open(relid, AccessShareLock);
      TupleDesc desc = CreateTupleDescCopy(RelationGetDescr(relation));
      table_close(relation, NoLock);
      return MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
    });
    for (int p = 0; p < kPlaces; ++p) {
      const TupleDesc desc = slot_->tts_tupleDescriptor;
      for (int i = 0; i < desc->natts; ++i)
        if (std::strcmp(NameStr(TupleDescAttr(desc, i)->attname), kNames[p]) == 0) index_[p] = i;
      for (const auto& [number, was] : table_.schema.columns)
        if (was.name == kNames[p])
          columns_.push_back(
              {index_[p], number, am::describe_attribute(*TupleDescAttr(desc, index_[p])), &was});
    }
    if (columns_.size() != kPlaces)
      throw pg::SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                         "the facts of that store are of another version of the extension");
  }

  std::string_view bytes(int place) {
    auto* value = reinterpret_cast<bytea*>(DatumGetPointer(slot_->tts_values[index_[place]]));
    return {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
  }

  RowCondition between(Place place, int64_t low, int64_t high) const {
    if (!rows_) return {};
    return {columns_[place].number, INT8OID, low, high, std::nullopt, std::nullopt};
  }

  template <class F>
  void each(RowConditions conditions, F&& take) {
    if (!rows_) return;
    const RowFormat format{columns_, table_.schema, relation_, false};
    rows_->rewind();
    for (uint64_t n = 0; rows_->next(); ++n) {
      if (n % 1024 == 0) pg::call([] { CHECK_FOR_INTERRUPTS(); });
      const store::SegmentReader& segment = rows_->segment();
      const auto row = static_cast<uint32_t>(rows_->rowid() - segment.first_rowid());
      if (!conditions.passes(segment, row)) continue;
      pg::call([context = context_] { MemoryContextReset(context); });
      std::memset(slot_->tts_isnull, true,
                  static_cast<size_t>(slot_->tts_tupleDescriptor->natts) * sizeof(bool));
      decode_row(format, known_columns_, segment, row, slot_, context_);
      Datom d;
      d.e = DatumGetInt64(slot_->tts_values[index_[kE]]);
      d.a = DatumGetInt64(slot_->tts_values[index_[kA]]);
      d.tx = DatumGetInt64(slot_->tts_values[index_[kTx]]);
      d.v = datom::decode(bytes(slot_->tts_isnull[index_[kV]] ? kK : kV));
      take(d);
    }
  }

  void load_attributes() {
    std::map<int64_t, std::vector<datom::Fact>> entities;
    RowConditions conditions;
    conditions.add(
        between(kA, datom::id_of(datom::Builtin::Ident), datom::id_of(datom::Builtin::AttrPreds)));
    each(std::move(conditions), [&](const Datom& d) {
      if (datom::is_schema_attribute(d.a)) entities[d.e].push_back({d.a, d.v});
    });
    for (const auto& [e, facts] : entities)
      if (std::optional<Attribute> a = datom::attribute_of_facts(e, facts)) by_id_.emplace(e, *a);
  }

  RecordedTable table_;
  std::unique_ptr<OtherRows> rows_;
  std::map<int64_t, Attribute> by_id_;
  MemoryContext context_ = nullptr;
  Oid relation_ = InvalidOid;
  TupleTableSlot* slot_ = nullptr;
  std::vector<Column> columns_;
  SegmentColumns known_columns_;
  int index_[kPlaces] = {};
};

}  // namespace

std::unique_ptr<FactFeed> open_feed(const ServerOptions& options, Oid role) {
  if (options.is_local()) return std::make_unique<LocalFeed>(options, role);
  return std::make_unique<OtherFeed>(options, role);
}

}  // namespace datahike::fdw
