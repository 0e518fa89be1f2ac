#include <algorithm>

#include "datalog/query.h"

namespace datahike::datalog {

namespace {

[[noreturn]] void fail(const std::string& message, const Value& form) {
  std::string text = edn::write(form);
  if (text.size() > 200) text = text.substr(0, 200) + "...";
  throw QueryError(kSyntax, message + ": " + text);
}

bool is_source(const Value& form) { return form.is(Kind::Symbol) && form.text()[0] == '$'; }
bool is_blank(const Value& form) { return form.is_symbol("_"); }

Term parse_term(const Value& form, Names& names) {
  if (is_blank(form)) return {};
  if (is_variable(form)) return {Term::Variable, names.var(form.text()), {}, {}};
  if (is_source(form)) return {Term::Source, 0, {}, form.text()};
  return {Term::Constant, 0, form, {}};
}

Binding parse_binding(const Value& form, Names& names) {
  if (is_blank(form)) return {};
  if (is_variable(form)) return {Binding::Scalar, names.var(form.text()), {}};
  if (!form.is(Kind::Vector) || form.items().empty())
    fail("a binding is ?x, [?x ...], [?x ?y] or [[?x ?y]]", form);
  std::span<const Value> items = form.items();
  if (items.size() == 2 && items[1].is_symbol("..."))
    return {Binding::Collection, 0, {parse_binding(items[0], names)}};
  bool relation = items.size() == 1 && items[0].is(Kind::Vector);
  Binding b{relation ? Binding::Relation : Binding::Tuple, 0, {}};
  for (const Value& part : relation ? items[0].items() : items)
    b.parts.push_back(parse_binding(part, names));
  if (relation && items[0].items().size() == 2 && items[0].items()[1].is_symbol("..."))
    fail("a binding is ?x, [?x ...], [?x ?y] or [[?x ?y]]", form);
  return b;
}

std::vector<Var> parse_vars(std::span<const Value> forms, const Value& whole, Names& names) {
  std::vector<Var> vars;
  for (const Value& form : forms) {
    if (!is_variable(form)) fail("\"" + edn::write(form) + "\" is not a variable", whole);
    Var v = names.var(form.text());
    if (std::find(vars.begin(), vars.end(), v) != vars.end())
      fail("variable " + form.text() + " is there twice", whole);
    vars.push_back(v);
  }
  return vars;
}

class ClauseParser {
 public:
  explicit ClauseParser(Names& names) : names_(names) {}

  std::vector<Clause> all(std::span<const Value> forms) {
    std::vector<Clause> clauses;
    for (const Value& form : forms) {
      Clause c = one(form);
      if (c.kind == Clause::And)
        for (Clause& inner : c.branches[0]) clauses.push_back(std::move(inner));
      else
        clauses.push_back(std::move(c));
    }
    return clauses;
  }

 private:
  Clause one(const Value& form) {
    if (form.is(Kind::Vector) && !form.items().empty()) {
      if (form.items()[0].is(Kind::List)) return call(form);
      return pattern(form);
    }
    if (form.is(Kind::List) && !form.items().empty()) return list(form);
    fail("a clause is [e a v], [(f x) ?y], (rule ?x), (not ...) or (or ...)", form);
  }

  Clause make(Clause::Kind kind, const Value& form) {
    Clause c{};
    c.kind = kind;
    c.source = default_source_;
    c.form = form;
    return c;
  }

  Clause pattern(const Value& form) {
    Clause c = make(Clause::Pattern, form);
    std::span<const Value> items = form.items();
    if (is_source(items[0])) {
      c.source = items[0].text();
      items = items.subspan(1);
    }
    if (items.empty()) fail("a pattern is empty", form);
    for (const Value& item : items) {
      c.terms.push_back(parse_term(item, names_));
      if (c.terms.back().kind == Term::Source)
        fail("a source stands only in front of a pattern", form);
    }
    return c;
  }

  Clause call(const Value& form) {
    Clause c = make(Clause::Call, form);
    std::span<const Value> items = form.items(), call = items[0].items();
    if (call.empty() || !call[0].is(Kind::Symbol) || is_variable(call[0]) || items.size() > 2)
      fail("a function is called as [(f ?x ...)] or [(f ?x ...) ?y]", form);
    c.name = call[0].text();
    for (const Value& argument : call.subspan(1)) c.terms.push_back(parse_term(argument, names_));
    c.is_predicate = items.size() == 1;
    if (!c.is_predicate) c.binding = parse_binding(items[1], names_);
    return c;
  }

  Clause list(const Value& form) {
    std::span<const Value> items = form.items();
    std::string outer = default_source_;
    if (is_source(items[0])) {
      default_source_ = items[0].text();
      items = items.subspan(1);
      if (items.empty()) fail("a source is not followed by a clause", form);
    }
    Clause c = list_of_source(form, items);
    default_source_ = outer;
    return c;
  }

  Clause list_of_source(const Value& form, std::span<const Value> items) {
    if (items[0].is(Kind::List) || items[0].is(Kind::Vector))
      fail("a clause begins with a name", form);
    if (!items[0].is(Kind::Symbol) || is_variable(items[0]) || is_blank(items[0]))
      fail("\"" + edn::write(items[0]) + "\" is no name of a rule", form);
    const std::string& name = items[0].text();
    std::span<const Value> rest = items.subspan(1);
    if (rest.empty()) fail("\"" + name + "\" is followed by nothing", form);
    if (name == "and") {
      Clause c = make(Clause::And, form);
      c.branches.push_back(all(rest));
      return c;
    }
    if (name == "not" || name == "not-join") {
      Clause c = make(Clause::Not, form);
      c.join = name == "not-join";
      if (c.join) rest = join_vars(c, form, rest);
      if (!c.required.empty()) fail("not-join has no required variables", form);
      c.branches.push_back(all(rest));
      finish_join(c, form);
      return c;
    }
    if (name == "or" || name == "or-join") {
      Clause c = make(Clause::Or, form);
      c.join = name == "or-join";
      if (c.join) rest = join_vars(c, form, rest);
      for (const Value& branch : rest) {
        c.branches.emplace_back();
        c.branches.back() = all(std::span(&branch, 1));
      }
      finish_join(c, form);
      return c;
    }
    Clause c = make(Clause::Rule, form);
    c.name = name;
    for (const Value& item : rest) {
      c.terms.push_back(parse_term(item, names_));
      if (c.terms.back().kind == Term::Source) fail("a rule takes no source", form);
    }
    return c;
  }

  std::span<const Value> join_vars(Clause& c, const Value& form, std::span<const Value> rest) {
    if (!rest[0].is(Kind::Vector) || rest.size() < 2)
      fail("a vector of variables and then clauses are expected", form);
    std::span<const Value> vars = rest[0].items();
    if (!vars.empty() && vars[0].is(Kind::Vector)) {
      c.required = parse_vars(vars[0].items(), form, names_);
      vars = vars.subspan(1);
    }
    c.vars = parse_vars(vars, form, names_);
    c.vars.insert(c.vars.begin(), c.required.begin(), c.required.end());
    if (c.vars.empty()) fail("there is no variable to join on", form);
    return rest.subspan(1);
  }

  void finish_join(Clause& c, const Value& form) {
    std::set<Var> first;
    collect_vars(c.branches[0], first);
    if (!c.join) c.vars.assign(first.begin(), first.end());
    for (const std::vector<Clause>& branch : c.branches) {
      std::set<Var> vars;
      collect_vars(branch, vars);
      if (!c.join && vars != first) fail("the branches of or do not have the same variables", form);
      for (Var v : c.vars)
        if (c.join && !vars.count(v))
          throw QueryError(kUnbound, "variable " + names_[v] + " is not in every branch of " +
                                         edn::write(form).substr(0, 200));
    }
  }

  Names& names_;
  std::string default_source_ = "$";
};

class QueryParser {
 public:
  explicit QueryParser(Names& names) : names_(names) {}

  Query parse(const Value& form) {
    sections(form);
    if (!parts_.count("find")) fail("a query has no :find", form);
    Query q;
    find(q);
    if (parts_.count("with")) q.with = parse_vars(parts_["with"], section("with"), names_);
    inputs(q);
    if (parts_.count("where")) q.where = ClauseParser(names_).all(parts_["where"]);
    keys(q);
    order_by(q);
    if (auto n = number("limit")) q.limit = *n;
    if (auto n = number("offset")) q.offset = *n;
    check_bound(q);
    return q;
  }

 private:
  Value section(const std::string& name) { return Value::vector(parts_[name]); }

  void sections(const Value& form) {
    constexpr const char* known[] = {"find", "keys",  "strs",     "syms",  "with",
                                     "in",   "where", "order-by", "limit", "offset"};
    auto check = [&](const Value& key) {
      for (const char* name : known)
        if (key.is_keyword(name)) return key.text();
      fail("unknown part of a query", key);
    };
    if (form.is(Kind::Map)) {
      for (const edn::Entry& e : form.entries()) {
        std::string name = check(e.first);
        bool one = name == "limit" || name == "offset";
        if (!one && !e.second.is_sequence()) fail(":" + name + " is not a vector", e.second);
        if (one)
          parts_[name] = {e.second};
        else
          parts_[name].assign(e.second.items().begin(), e.second.items().end());
      }
      return;
    }
    if (!form.is_sequence()) fail("a query is a vector or a map", form);
    std::vector<Value>* part = nullptr;
    for (const Value& item : form.items()) {
      if (item.is(Kind::Keyword) &&
          !(part == &parts_["order-by"] && (item.is_keyword("asc") || item.is_keyword("desc")))) {
        std::string name = check(item);
        if (!seen_.insert(name).second) fail(":" + name + " is there twice", form);
        part = &parts_[name];
      } else if (!part) {
        fail("a query begins with :find", form);
      } else {
        part->push_back(item);
      }
    }
    for (auto it = parts_.begin(); it != parts_.end();)
      it = seen_.count(it->first) ? std::next(it) : parts_.erase(it);
  }

  FindElement find_element(const Value& form) {
    FindElement e;
    if (is_variable(form)) {
      e.var = names_.var(form.text());
      return e;
    }
    if (!form.is(Kind::List) || form.items().size() < 2 || !form.items()[0].is(Kind::Symbol))
      fail("an element of :find is ?x, (aggregate ?x) or (pull ?x pattern)", form);
    std::span<const Value> items = form.items();
    e.name = items[0].text();
    if (e.name == "pull") {
      e.kind = FindElement::Pull;
      if (is_source(items[1])) {
        e.source = items[1].text();
        items = items.subspan(1);
      }
      if (items.size() != 3 || !is_variable(items[1])) fail("pull is (pull ?e pattern)", form);
      e.var = names_.var(items[1].text());
      e.pattern = items[2];
      return e;
    }
    e.kind = FindElement::Aggregate;
    if (!is_variable(items.back())) fail("the last argument of an aggregate is a variable", form);
    e.var = names_.var(items.back().text());
    for (const Value& argument : items.subspan(1, items.size() - 2)) {
      if (is_variable(argument)) fail("an aggregate has one variable", form);
      e.arguments.push_back(argument);
    }
    return e;
  }

  void find(Query& q) {
    std::span<const Value> items = parts_["find"];
    if (items.empty()) fail(":find is empty", section("find"));
    if (items.size() == 2 && items[1].is_symbol(".")) {
      q.shape = Query::Scalar;
      items = items.first(1);
    } else if (items.size() == 1 && items[0].is(Kind::Vector) && !items[0].items().empty()) {
      std::span<const Value> inner = items[0].items();
      bool collection = inner.size() == 2 && inner[1].is_symbol("...");
      q.shape = collection ? Query::Collection : Query::Tuple;
      items = collection ? inner.first(1) : inner;
    }
    for (const Value& item : items) q.find.push_back(find_element(item));
  }

  void keys(Query& q) {
    for (const char* name : {"keys", "strs", "syms"}) {
      if (!parts_.count(name)) continue;
      if (!q.keys.empty()) fail("a query has one of :keys, :strs and :syms", section(name));
      q.key_kind = name[0] == 'k' ? Kind::Keyword : name[1] == 't' ? Kind::String : Kind::Symbol;
      for (const Value& key : parts_[name]) {
        if (!key.is(Kind::Symbol) && !key.is(Kind::Keyword) && !key.is(Kind::String))
          fail("a key of a return map is a symbol", key);
        q.keys.push_back(key.text());
      }
      if (q.keys.size() != q.find.size())
        fail("there are not as many keys as elements of :find", section(name));
      if (q.shape != Query::Relation && q.shape != Query::Tuple)
        fail("only relations and tuples can be maps", section(name));
    }
  }

  void inputs(Query& q) {
    if (!parts_.count("in")) {
      q.inputs.push_back({Input::Source, "$", {}});
      return;
    }
    for (const Value& form : parts_["in"]) {
      Input in{Input::Bound, "", {}};
      if (is_source(form)) {
        in = {Input::Source, form.text(), {}};
      } else if (form.is_symbol("%")) {
        in.kind = Input::Rules;
      } else if (form.is(Kind::Symbol) && !is_variable(form) && !is_blank(form)) {
        in = {Input::Pattern, form.text(), {}};
      } else {
        in.binding = parse_binding(form, names_);
      }
      q.inputs.push_back(std::move(in));
    }
  }

  void order_by(Query& q) {
    if (!parts_.count("order-by")) return;
    std::vector<Value> flat;
    for (const Value& form : parts_["order-by"]) {
      if (form.is(Kind::Vector))
        flat.insert(flat.end(), form.items().begin(), form.items().end());
      else
        flat.push_back(form);
    }
    for (const Value& form : flat) {
      bool descending = form.is_keyword("desc");
      if (descending || form.is_keyword("asc")) {
        if (q.order_by.empty()) fail(":order-by begins with a variable", section("order-by"));
        q.order_by.back().descending = descending;
        continue;
      }
      q.order_by.push_back({element(q, form), false});
    }
  }

  size_t element(const Query& q, const Value& form) {
    if (form.is(Kind::Long)) {
      if (form.as_integer() >= 0 && static_cast<size_t>(form.as_integer()) < q.find.size())
        return static_cast<size_t>(form.as_integer());
    } else {
      std::span<const Value> items = parts_["find"];
      if (q.shape == Query::Collection || q.shape == Query::Tuple) items = items[0].items();
      for (size_t i = 0; i < q.find.size(); ++i)
        if (items[i] == form) return i;
    }
    fail(":order-by names what :find does not have", form);
  }

  std::optional<uint64_t> number(const std::string& name) {
    if (!parts_.count(name)) return std::nullopt;
    std::vector<Value>& items = parts_[name];
    if (items.size() == 1 && items[0].is_nil()) return std::nullopt;
    if (items.size() != 1 || !items[0].is(Kind::Long) || items[0].as_integer() < 0)
      fail(":" + name + " is not a number that is not negative", section(name));
    return static_cast<uint64_t>(items[0].as_integer());
  }

  void check_bound(const Query& q) {
    std::set<Var> bound;
    collect_bound_vars(q.where, bound);
    for (const Input& in : q.inputs) collect_vars(in.binding, bound);
    auto check = [&](Var v) {
      if (!bound.count(v))
        throw QueryError(kUnbound, "variable " + names_[v] + " of the query is bound by nothing");
    };
    for (const FindElement& e : q.find) check(e.var);
    for (Var v : q.with) check(v);
  }

  Names& names_;
  std::map<std::string, std::vector<Value>> parts_;
  std::set<std::string> seen_;
};

}  // namespace

Query parse_query(const Value& form, Names& names) { return QueryParser(names).parse(form); }

Rules parse_rules(const Value& form, Names& names) {
  if (!form.is_sequence()) fail("rules are a vector", form);
  Rules rules;
  for (const Value& rule : form.items()) {
    if (!rule.is_sequence() || rule.items().empty() || !rule.items()[0].is(Kind::List) ||
        rule.items()[0].items().size() < 2 || !rule.items()[0].items()[0].is(Kind::Symbol))
      fail("a rule is [(name ?x ...) clause ...]", rule);
    std::span<const Value> head = rule.items()[0].items();
    RuleBranch branch;
    std::span<const Value> vars = head.subspan(1);
    if (vars[0].is(Kind::Vector)) {
      branch.required = parse_vars(vars[0].items(), rule, names);
      vars = vars.subspan(1);
    }
    branch.head = branch.required;
    for (Var v : parse_vars(vars, rule, names)) {
      if (std::find(branch.head.begin(), branch.head.end(), v) != branch.head.end())
        fail("variable " + names[v] + " is there twice", rule);
      branch.head.push_back(v);
    }
    if (rule.items().size() < 2) fail("a rule has no clause", rule);
    branch.body = ClauseParser(names).all(rule.items().subspan(1));
    std::set<Var> bound;
    collect_vars(branch.body, bound);
    for (Var v : branch.head)
      if (!bound.count(v))
        throw QueryError(kUnbound, "variable " + names[v] + " of rule " + head[0].text() +
                                       " is not in its body");
    std::vector<RuleBranch>& branches = rules[head[0].text()];
    if (!branches.empty() && (branches[0].head.size() != branch.head.size() ||
                              branches[0].required.size() != branch.required.size()))
      fail("the branches of rule " + head[0].text() + " do not have as many arguments", rule);
    branches.push_back(std::move(branch));
  }
  return rules;
}

}  // namespace datahike::datalog
