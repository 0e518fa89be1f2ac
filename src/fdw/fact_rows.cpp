#include "fdw/fact_rows.h"

#include "datalog/sql/values.h"
#include "datom/edn_values.h"
#include "datom/json.h"
#include "datom/sql/pg_values.h"
#include "fdw/fact_feed.h"

extern "C" {
#include "foreign/foreign.h"
#include "utils/array.h"
}

namespace datahike::fdw {

namespace {

using datom::Attribute;
using datom::Datom;
using datom::Value;
using facts::Pattern;

constexpr size_t kMostLookups = 200;  // of entities one by one, before all of an attribute is read

std::string utf8(const char* text) { return query::to_utf8(text); }

std::string without_colon(std::string name) {
  return name.starts_with(':') ? name.substr(1) : name;
}

Oid value_type(const Attribute& a) {
  return a.type == datom::Type::Nil ? JSONBOID : facts::sql_type(a.type);
}

Datum datum_of(const Value& v, Oid type) {
  if (type == TEXTOID) {
    char* text = query::from_utf8(v.text);
    return pg::call([=] { return CStringGetTextDatum(text); });
  }
  if (type != JSONBOID) return facts::to_datum(v);
  std::string json;
  datom::write_json(v, json);
  char* text = query::from_utf8(json);
  return facts::jsonb_datum(text);
}

Datum array_of(std::vector<Datum>& items, Oid type) {
  Datum* first = items.data();
  const int count = static_cast<int>(items.size());
  return pg::call([=] {
    int16 length;
    bool by_value;
    char align;
    get_typlenbyvalalign(type, &length, &by_value, &align);
    return PointerGetDatum(construct_array(first, count, type, length, by_value, align));
  });
}

[[noreturn]] void wrong_type(const std::string& column, Oid type) {
  throw pg::SqlError(
      ERRCODE_DATATYPE_MISMATCH,
      "column \"" + column + "\" must be of type " +
          std::string(pg::call([=] { return format_type_be(type); })),
      "IMPORT FOREIGN SCHEMA makes foreign tables with the columns of the server's view.");
}

// Rows on their way into the tuplestore, in a memory context of their own.
class RowWriter {
 public:
  RowWriter(TupleDesc desc, Tuplestorestate* rows)
      : desc_(desc),
        rows_(rows),
        values_(static_cast<size_t>(desc->natts)),
        nulls_(new bool[static_cast<size_t>(desc->natts)]),
        context_(pg::call([] {
          return AllocSetContextCreate(CurrentMemoryContext, "facts", ALLOCSET_DEFAULT_SIZES);
        })) {}
  // Calls put(attribute index, datum) of `fill` in the row's memory.
  template <class F>
  void row(F&& fill) {
    std::fill_n(nulls_.get(), values_.size(), true);
    MemoryContext before = MemoryContextSwitchTo(context_);
    fill([this](int index, Datum value) {
      values_[static_cast<size_t>(index)] = value;
      nulls_[static_cast<size_t>(index)] = false;
    });
    Datum* v = values_.data();
    bool* n = nulls_.get();
    pg::call([this, v, n] { tuplestore_putvalues(rows_, desc_, v, n); });
    MemoryContextSwitchTo(before);
    pg::call([context = context_] {
      MemoryContextReset(context);
      CHECK_FOR_INTERRUPTS();
    });
  }

 private:
  TupleDesc desc_;
  Tuplestorestate* rows_;
  std::vector<Datum> values_;
  std::unique_ptr<bool[]> nulls_;
  MemoryContext context_;
};

struct Condition {
  int number;  // of the column
  Oid type;
  Datum value;
};

std::vector<Condition> conditions_of(List* list) {
  std::vector<Condition> conditions;
  for (int i = 0; i < list_length(list); ++i) {
    auto* pair = static_cast<List*>(list_nth(list, i));
    auto* value = static_cast<Const*>(lsecond(pair));
    conditions.push_back({intVal(linitial(pair)), value->consttype, value->constvalue});
  }
  return conditions;
}

std::string column_name(TupleDesc desc, int number) {
  return utf8(NameStr(TupleDescAttr(desc, number - 1)->attname));
}

// ---- Datoms as rows.

struct IndexColumn {
  const char* name;
  Oid type;
};
constexpr IndexColumn kIndexColumns[] = {
    {"e", INT8OID}, {"a", TEXTOID}, {"v", JSONBOID}, {"tx", INT8OID}, {"added", BOOLOID}};

void put_datoms(const FactScanRequest& request, FactFeed& feed, const char* index,
                RowWriter& writer) {
  const TupleDesc desc = RelationGetDescr(request.foreign);
  int at[std::size(kIndexColumns)];
  std::fill(std::begin(at), std::end(at), -1);
  for (int i = 0; i < desc->natts; ++i) {
    FormData_pg_attribute* att = TupleDescAttr(desc, i);
    if (att->attisdropped) continue;
    const std::string name = column_name(desc, i + 1);
    auto known = std::find_if(std::begin(kIndexColumns), std::end(kIndexColumns),
                              [&](const IndexColumn& c) { return name == c.name; });
    if (known == std::end(kIndexColumns))
      throw pg::SqlError(ERRCODE_UNDEFINED_COLUMN, "datoms have no column \"" + name + "\"",
                         "They have e, a, v, tx and added.");
    if (att->atttypid != known->type) wrong_type(name, known->type);
    at[known - std::begin(kIndexColumns)] = i;
  }
  Pattern pattern;
  const std::string_view name = index;
  pattern.order = name == "eavt"   ? facts::Order::Eavt
                  : name == "aevt" ? facts::Order::Aevt
                                   : facts::Order::Avet;
  for (const Condition& c : conditions_of(request.conditions)) {
    if (c.number - 1 == at[0]) pattern.e = DatumGetInt64(c.value);
    if (c.number - 1 != at[1]) continue;
    const std::string ident = utf8(pg::call([v = c.value] { return TextDatumGetCString(v); }));
    if (!ident.starts_with(':')) continue;  // the number of an attribute without ident
    const Attribute* a = feed.attribute(std::string_view(ident).substr(1));
    if (!a) return;
    pattern.a = a->id;
  }
  feed.scan(pattern, [&](std::span<const Datom> batch) {
    for (const Datom& d : batch) {
      if (name == "vaet" && d.v.type != datom::Type::Ref) continue;
      writer.row([&](auto put) {
        if (at[0] >= 0) put(at[0], Int64GetDatum(d.e));
        if (at[1] >= 0) {
          const Attribute* a = feed.attribute(d.a);
          put(at[1], datum_of(Value::string(a ? ":" + a->ident : std::to_string(d.a)), TEXTOID));
        }
        if (at[2] >= 0) put(at[2], datum_of(d.v, JSONBOID));
        if (at[3] >= 0) put(at[3], Int64GetDatum(d.tx));
        if (at[4] >= 0) put(at[4], BoolGetDatum(d.added));
      });
    }
    return true;
  });
}

// ---- Entities as rows.

struct FactColumn {
  int index;
  const Attribute* attribute;
  const Attribute* shown;  // of a reference: by which attribute of the target; else nullptr
  bool wanted;
  Oid type;                                       // of a value
  std::vector<std::pair<int64_t, Value>> values;  // by entity; without values where not wanted
  size_t next = 0;
};

class Namespace {
 public:
  Namespace(const FactScanRequest& request, FactFeed& feed, const char* space)
      : request_(request), feed_(feed), space_(utf8(space)) {
    const TupleDesc desc = RelationGetDescr(request.foreign);
    for (int i = 0; i < desc->natts; ++i)
      if (!TupleDescAttr(desc, i)->attisdropped) add_column(desc, i);
  }

  void put(RowWriter& writer) {
    narrow();
    for (FactColumn& c : columns_)
      if (c.wanted || !is_known_) read(c);
    for (;;) {
      std::optional<int64_t> e;
      for (const FactColumn& c : columns_)
        if (c.next < c.values.size() && (!e || c.values[c.next].first < *e))
          e = c.values[c.next].first;
      if (is_known_) {  // entities without any of the wanted columns are there, too
        const bool more = known_next_ != entities_->end();
        if (!more) return;
        e = *known_next_++;
      }
      if (!e) return;
      writer.row([&](auto put) { fill(*e, put); });
    }
  }

 private:
  void add_column(TupleDesc desc, int index) {
    FormData_pg_attribute* att = TupleDescAttr(desc, index);
    const std::string name = column_name(desc, index + 1);
    const bool wanted =
        pg::call([=, this] { return list_member_int(request_.columns, index + 1); });
    if (name == "db_id") {
      if (att->atttypid != INT8OID) wrong_type(name, INT8OID);
      id_index_ = index;
      return;
    }
    const Oid relid = RelationGetRelid(request_.foreign);
    const auto option = [&](const char* which) {
      const char* text =
          pg::call([=] { return column_option(relid, static_cast<AttrNumber>(index + 1), which); });
      return text ? without_colon(utf8(text)) : std::string();
    };
    std::string ident = option("attribute");
    if (ident.empty()) ident = space_ + "/" + name;
    const Attribute* a = feed_.attribute(ident);
    if (!a) return;  // not known in that view: NULL
    FactColumn c{index, a, nullptr, wanted, value_type(*a), {}};
    if (std::string shown = option("references"); !shown.empty() && a->type == datom::Type::Ref) {
      c.shown = feed_.attribute(shown);
      if (!c.shown) return;
      c.type = value_type(*c.shown);
    }
    Oid declared = c.type;
    if (a->many) declared = pg::call([type = c.type] { return get_array_type(type); });
    if (att->atttypid != declared) wrong_type(name, declared);
    columns_.push_back(std::move(c));
  }

  // The entities that conditions leave.
  void narrow() {
    for (const Condition& condition : conditions_of(request_.conditions)) {
      if (condition.number - 1 == id_index_) {
        intersect({DatumGetInt64(condition.value)});
        continue;
      }
      for (const FactColumn& c : columns_) {
        if (c.index != condition.number - 1 || c.attribute->many || c.shown) continue;
        intersect(holders(*c.attribute, condition));
        is_known_ = true;
      }
    }
    if (is_known_) known_next_ = entities_->begin();
  }

  std::set<int64_t> holders(const Attribute& a, const Condition& condition) {
    Pattern pattern;
    pattern.a = a.id;
    try {
      pattern.from = pattern.to = datom::from_edn(value_of(condition), a, datom::Notation::Json);
    } catch (const datom::FactError&) {
      return {};  // no value of that attribute, such as an empty keyword
    } catch (const datom::ValueError&) {
      return {};
    }
    std::set<int64_t> found;
    feed_.scan(pattern, [&](std::span<const Datom> batch) {
      for (const Datom& d : batch) found.insert(d.e);
      return true;
    });
    return found;
  }

  edn::Value value_of(const Condition& condition) {
    if (condition.type != TEXTOID) return facts::argument_to_edn(condition.type, condition.value);
    return edn::Value::string(
        utf8(pg::call([v = condition.value] { return TextDatumGetCString(v); })));
  }

  void intersect(std::set<int64_t> with) {
    if (!entities_) {
      entities_ = std::move(with);
      return;
    }
    std::erase_if(*entities_, [&](int64_t e) { return !with.contains(e); });
  }

  void take(FactColumn& c, const Pattern& pattern) {
    feed_.scan(pattern, [&](std::span<const Datom> batch) {
      for (const Datom& d : batch)
        if (!entities_ || entities_->contains(d.e))
          c.values.emplace_back(d.e, c.wanted ? d.v : Value::nil());
      return true;
    });
  }

  void read(FactColumn& c) {
    Pattern pattern;
    pattern.a = c.attribute->id;
    pattern.order = facts::Order::Aevt;
    if (entities_ && entities_->size() <= kMostLookups) {
      for (int64_t e : *entities_) {
        pattern.e = e;
        take(c, pattern);
      }
    } else {
      take(c, pattern);
    }
    std::stable_sort(c.values.begin(), c.values.end(),
                     [](const auto& x, const auto& y) { return x.first < y.first; });
    if (c.wanted && c.shown) load_targets(*c.shown);
  }

  void load_targets(const Attribute& shown) {
    auto [at, is_new] = targets_.try_emplace(shown.id);
    if (!is_new) return;
    Pattern pattern;
    pattern.a = shown.id;
    feed_.scan(pattern, [&](std::span<const Datom> batch) {
      for (const Datom& d : batch) at->second.emplace(d.e, d.v);
      return true;
    });
  }

  std::optional<Datum> shown_value(const FactColumn& c, const Value& v) {
    if (!c.shown) return datum_of(v, c.type);
    const auto& targets = targets_.at(c.shown->id);
    auto found = targets.find(v.integer);
    if (found == targets.end()) return std::nullopt;
    return datum_of(found->second, c.type);
  }

  template <class Put>
  void fill(int64_t e, Put& put) {
    if (id_index_ >= 0) put(id_index_, Int64GetDatum(e));
    for (FactColumn& c : columns_) {
      std::vector<Datum> items;
      for (; c.next < c.values.size() && c.values[c.next].first <= e; ++c.next) {
        if (!c.wanted || c.values[c.next].first < e) continue;
        if (std::optional<Datum> datum = shown_value(c, c.values[c.next].second))
          items.push_back(*datum);
      }
      if (!c.wanted || items.empty()) continue;
      put(c.index, c.attribute->many ? array_of(items, c.type) : items.front());
    }
  }

  const FactScanRequest& request_;
  FactFeed& feed_;
  std::string space_;
  int id_index_ = -1;
  std::vector<FactColumn> columns_;
  std::optional<std::set<int64_t>> entities_;  // nullopt: all
  bool is_known_ = false;                      // that each of these has a row
  std::set<int64_t>::const_iterator known_next_;
  std::map<int64_t, std::map<int64_t, Value>> targets_;  // by attribute and entity
};

}  // namespace

Oid fact_column_type(const Attribute& a) {
  const Oid type = value_type(a);
  return a.many ? pg::call([=] { return get_array_type(type); }) : type;
}

void put_fact_rows(const FactScanRequest& request, Tuplestorestate* rows) {
  const Oid foreign = RelationGetRelid(request.foreign);
  const FactTable table = pg::call([=] { return fact_table(foreign); });
  const Oid user = request.user;
  struct Opened {
    ServerOptions options;
    Oid role;
  };
  const Opened opened = pg::call([=] {
    const Oid server = GetForeignTable(foreign)->serverid;
    return Opened{server_options(server), reading_role(server, user)};
  });
  std::unique_ptr<FactFeed> feed = open_feed(opened.options, opened.role);
  RowWriter writer(RelationGetDescr(request.foreign), rows);
  if (table.index)
    put_datoms(request, *feed, table.index, writer);
  else
    Namespace(request, *feed, table.space).put(writer);
}

}  // namespace datahike::fdw
