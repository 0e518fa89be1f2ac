// A source of datoms in memory, and queries of it by text.
#pragma once

#include <gtest/gtest.h>

#include "datalog/run.h"

namespace datahike::datalog {

// Tuples [entity attribute value]. Attributes named `likes` and `parent` are references.
class MemorySource : public Source {
 public:
  explicit MemorySource(Value datoms) : datoms_(std::move(datoms)) {}
  double estimate(const Scan& scan) override {
    return static_cast<double>(datoms_.items().size()) / (scan.constants[kEntity] ? 10 : 1);
  }
  void scan(const Scan& scan, const std::function<void(Columns&, size_t)>& full) override {
    Columns columns;
    size_t rows = 0;
    for (const Value& d : datoms_.items()) {
      std::span<const Value> at = d.items();
      bool fits = true;
      for (size_t i = 0; i < 3; ++i)
        fits = fits && (!scan.constants[i] || *scan.constants[i] == at[i]);
      if (!fits) continue;
      ++rows;
      for (size_t i = 0; i < 3; ++i)
        if (scan.wanted[i]) columns[i].push_back(at[i]);
    }
    full(columns, rows);
  }
  std::optional<Value> entity(const Value& name) override {
    if (name.is(Kind::Long)) return name;
    for (const Value& d : datoms_.items())
      if (name.is(Kind::Vector) && d.items()[1] == name.items()[0] &&
          d.items()[2] == name.items()[1])
        return d.items()[0];
    return std::nullopt;
  }
  bool is_ref(const Value& a) override { return a.is_keyword("likes") || a.is_keyword("parent"); }
  bool is_many(const Value&) override { return false; }
  bool is_component(const Value&) override { return false; }

 private:
  Value datoms_;
};

class MemoryFile : public TemporaryFile {
 public:
  void append(std::string_view bytes) override {
    bytes_ += bytes;
    size_ = bytes_.size();
  }
  void read(uint64_t at, char* out, size_t count) override {
    ASSERT_LE(at + count, bytes_.size());
    bytes_.copy(out, count, at);
  }

 private:
  std::string bytes_;
};

class NoFunctions : public Host {
 public:
  std::unique_ptr<TemporaryFile> make_file() override { return std::make_unique<MemoryFile>(); }
  std::optional<Column> call(const std::string&, const std::vector<Argument>&, size_t) override {
    return std::nullopt;
  }
};

// The answer as EDN, rows sorted; or "SQLSTATE message". `inputs` follow the datoms, which are $.
inline std::string answer(const std::string& datoms, const std::string& query,
                          std::vector<const char*> inputs, size_t memory = 64 << 20) {
  try {
    Names names;
    Budget budget(memory, nullptr);
    NoFunctions host;
    Query parsed = parse_query(edn::read(query), names);
    std::vector<QueryInput> given(1);
    given[0].is_source = true;
    given[0].source.facts = std::make_shared<MemorySource>(edn::read(datoms));
    for (const char* in : inputs) given.push_back({edn::read(in), {}, false});
    QueryResult result;
    {
      Evaluator evaluator(names, budget, host);
      result = run_query(evaluator, parsed, std::move(given), false);
    }
    EXPECT_EQ(budget.used(), 0u);
    Value v = to_value(result, parsed);
    bool relation = parsed.shape == Query::Relation || parsed.shape == Query::Collection;
    if (relation && parsed.order_by.empty()) {
      std::vector<Value> rows(v.items().begin(), v.items().end());
      std::sort(rows.begin(), rows.end());
      v = Value::vector(rows);
    }
    return edn::write(v);
  } catch (const QueryError& e) {
    return std::string(e.sqlstate) + " " + e.what();
  }
}

}  // namespace datahike::datalog
