#include "datalog/run.h"

#include <algorithm>

#include "datalog/grouping.h"
#include "datalog/rules.h"
#include "datalog/sorting.h"

namespace datahike::datalog {

namespace {

// What has been found, one or the other. The variables of `rows` are the elements of :find.
struct Found {
  Relation rows;
  std::unique_ptr<RowFile> file;
};

// Writes rows to a file as they are read.
class RowWriter : public RowSet::Reader {
 public:
  RowWriter(const Query& query, RowFile& out) : query_(query), out_(out) {}
  void whole(const Relation& rows) override {
    Columns columns;
    for (const FindElement& e : query_.find) columns.push_back(rows.of(e.var));
    out_.append(columns, 0, rows.rows);
  }
  void some(const Relation& rows) override { whole(rows); }
  void end() override {}

 private:
  const Query& query_;
  RowFile& out_;
};

Relation find_columns(const Query& query, Relation rows) {
  Relation found(rows.budget());
  found.rows = rows.rows;
  for (size_t i = 0; i < query.find.size(); ++i) {
    const auto same = [&](const FindElement& e) { return e.var == query.find[i].var; };
    const bool last =
        std::none_of(query.find.begin() + static_cast<ptrdiff_t>(i) + 1, query.find.end(), same);
    Column& column = rows.columns[rows.index_of(query.find[i].var)];
    Column taken = last ? std::move(column) : column;
    rows.charge();
    found.add_column(static_cast<Var>(i), std::move(taken));
  }
  return found;
}

// The rows of :find, of what the clauses have found.
Found find(Evaluator& evaluator, const Query& query, RowSet& answers, bool aggregates) {
  Budget& budget = evaluator.budget();
  Found found{Relation(budget), nullptr};
  if (!answers.is_in_files()) {
    Relation rows = answers.take();
    if (!aggregates) {
      found.rows = find_columns(query, std::move(rows));
      return found;
    }
    try {
      found.rows = aggregate_groups(query, rows);
      return found;
    } catch (const OutOfMemory&) {
    }
    answers.add_all(std::move(rows));
    answers.move_to_files();
  }
  found.file = make_row_file(budget, evaluator.files().make_file(), query.find.size());
  if (aggregates) {
    GroupReader groups(budget, query, *found.file);
    answers.read(groups);
  } else {
    RowWriter all(query, *found.file);
    answers.read(all);
  }
  found.file->flush();
  return found;
}

void move_to_file(Evaluator& evaluator, Found& found) {
  Relation& rows = found.rows;
  found.file = make_row_file(rows.budget(), evaluator.files().make_file(), rows.columns.size());
  found.file->append(rows.columns, 0, rows.rows);
  found.file->flush();
  rows = Relation(rows.budget());
}

void sort(Evaluator& evaluator, const Query& query, Found& found) {
  if (!found.file) {
    try {
      return sort_rows(query, found.rows);
    } catch (const OutOfMemory&) {
    }
    move_to_file(evaluator, found);
  }
  found.file = sort_file(query, evaluator.budget(), evaluator.files(), std::move(found.file));
}

class Pulls {
 public:
  // QueryError 42601: a source or pattern is not there.
  Pulls(Evaluator& evaluator, const Query& query, const std::map<std::string, Value>& patterns)
      : evaluator_(evaluator) {
    for (size_t i = 0; i < query.find.size(); ++i) {
      const FindElement& e = query.find[i];
      if (e.kind != FindElement::Pull) continue;
      const Value* pattern = &e.pattern;
      if (pattern->is(Kind::Symbol)) {
        auto found = patterns.find(pattern->text());
        if (found == patterns.end())
          throw QueryError(kSyntax, "the query has no input " + pattern->text() + " in :in");
        pattern = &found->second;
      }
      auto source = evaluator.sources.find(e.source);
      if (source == evaluator.sources.end() || !source->second.facts)
        throw QueryError(kSyntax, "pull needs a database, which " + e.source + " is not");
      pulls_.push_back({i, source->second.facts.get(), pattern});
    }
  }
  bool any() const { return !pulls_.empty(); }
  // Replaces entities by what is pulled. OutOfMemory: the columns are as before.
  void apply(Columns& columns) const {
    Columns pulled;
    for (const Pull& p : pulls_) {
      Column entities = columns[p.column];
      pulled.emplace_back(pull(evaluator_, *p.source, *p.pattern, std::move(entities).take()));
    }
    for (size_t i = 0; i < pulls_.size(); ++i) columns[pulls_[i].column] = std::move(pulled[i]);
  }

 private:
  struct Pull {
    size_t column;
    Source* source;
    const Value* pattern;
  };
  Evaluator& evaluator_;
  std::vector<Pull> pulls_;
};

void apply(Evaluator& evaluator, const Pulls& pulls, Found& found) {
  if (!pulls.any()) return;
  if (!found.file) {
    bool pulled = false;
    try {
      pulls.apply(found.rows.columns);
      pulled = true;
      found.rows.charge();
      return;
    } catch (const OutOfMemory&) {
    }
    move_to_file(evaluator, found);
    if (pulled) return;
  }
  auto out =
      make_row_file(evaluator.budget(), evaluator.files().make_file(), found.file->columns());
  for (size_t number = 0; number < found.file->blocks(); ++number) {
    Columns columns = found.file->read_number(number);
    pulls.apply(columns);
    out->append(columns, 0, columns[0].size());
  }
  out->flush();
  found.file = std::move(out);
}

}  // namespace

QueryResult run_query(Evaluator& evaluator, const Query& query, std::vector<QueryInput> inputs,
                      bool may_use_file) {
  if (inputs.size() != query.inputs.size())
    throw QueryError(kSyntax, "the query has " + std::to_string(query.inputs.size()) +
                                  " inputs in :in, and is given " + std::to_string(inputs.size()));
  Budget& budget = evaluator.budget();
  Relation rows = Relation::unit(budget);
  std::map<std::string, Value> patterns;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Input& in = query.inputs[i];
    QueryInput& given = inputs[i];
    if (given.is_source && in.kind != Input::Source)
      throw QueryError(kSyntax, "a database is given where the query's :in has no source");
    switch (in.kind) {
      case Input::Source:
        if (!given.is_source) {
          if (!given.value.is_sequence() && !given.value.is(Kind::Set))
            throw QueryError(kMismatch, "source " + in.name +
                                            " is neither a database nor a collection of tuples");
          given.source.tuples = given.value;
        }
        evaluator.sources[in.name] = std::move(given.source);
        break;
      case Input::Rules:
        evaluator.rules = parse_rules(given.value, evaluator.names());
        break;
      case Input::Pattern:
        patterns[in.name] = given.value;
        break;
      case Input::Bound:
        rows = join(rows, evaluator.bind(in.binding, given.value));
        break;
    }
  }
  check_rules(evaluator.rules, query.where);
  lift_disjunctions(evaluator.rules, evaluator.names());
  std::set<Var> wanted(query.with.begin(), query.with.end());
  bool aggregates = false;
  for (const FindElement& e : query.find) {
    wanted.insert(e.var);
    aggregates = aggregates || e.kind == FindElement::Aggregate;
  }
  const std::vector<Var> all_vars(wanted.begin(), wanted.end());
  RowSet answers = evaluator.answers(query.where, std::move(rows), wanted,
                                     aggregates ? group_vars(query) : all_vars);
  Found found = find(evaluator, query, answers, aggregates);
  sort(evaluator, query, found);
  apply(evaluator, Pulls(evaluator, query, patterns), found);
  QueryResult result;
  if (found.file && !may_use_file) {
    for (size_t i = 0; i < query.find.size(); ++i) found.rows.add_column(static_cast<Var>(i), {});
    for (size_t number = 0; number < found.file->blocks(); ++number) {
      Columns columns = found.file->read_number(number);
      found.rows.rows += columns[0].size();
      for (size_t i = 0; i < columns.size(); ++i)
        found.rows.columns[i].append(std::move(columns[i]));
      found.rows.charge();
    }
    found.file.reset();
  }
  if (found.file) {
    result.rows = found.file->rows();
    if (evaluator.explain)
      evaluator.explain->push_back("in a temporary file, for it does not fit into memory  -> " +
                                   std::to_string(result.rows) + " rows, " +
                                   std::to_string(found.file->file_bytes() / 1024) + " kB");
    result.file = std::move(found.file);
    return result;
  }
  result.rows = found.rows.rows;
  result.columns = std::move(found.rows.columns);
  return result;
}

Value to_value(const QueryResult& result, const Query& query, bool plain_keys) {
  auto row_value = [&](size_t row) {
    if (query.keys.empty()) {
      std::vector<Value> items;
      for (const Column& c : result.columns) items.push_back(c[row]);
      return Value::vector(std::move(items));
    }
    std::vector<edn::Entry> entries;
    for (size_t i = 0; i < query.keys.size(); ++i)
      entries.emplace_back(plain_keys ? Value::string(query.keys[i]) : query.key(i),
                           result.columns[i][row]);
    return Value::map(std::move(entries));
  };
  switch (query.shape) {
    case Query::Scalar:
      return result.rows ? result.columns[0][0] : Value();
    case Query::Tuple:
      return result.rows ? row_value(0) : Value();
    case Query::Collection:
      return Value::vector(Values(result.columns[0].begin(), result.columns[0].end()));
    default:
      break;
  }
  std::vector<Value> rows;
  for (size_t row = 0; row < result.rows; ++row) rows.push_back(row_value(row));
  return Value::vector(std::move(rows));
}

}  // namespace datahike::datalog
