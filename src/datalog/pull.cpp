// Pull: trees of attributes of entities. Entities are pulled together, level by level: a pattern's
// attribute is read once for all entities that the pattern applies to at one depth.
//
//   pattern    = [spec+]
//   spec       = * | :db/id | attribute | {attribute pattern-or-depth ...}
//   attribute  = :a/b | :a/_b (reverse) | (:a/b option value ...) | [:a/b option value ...]
//   option     = :as name | :limit n-or-nil | :default value
//   depth      = n | ...      the pattern itself, for references of this attribute
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "datalog/run.h"

namespace datahike::datalog {

namespace {

constexpr uint64_t kDefaultLimit = 1000;
constexpr size_t kMostNested = 4000000;  // maps in others and what is above each, of one pull
constexpr int kMostDepth = 100;          // of nested results: what a document may hold

struct PullAttribute;
struct PullPattern {
  bool wildcard = false, id = false;
  std::vector<PullAttribute> attributes;
};
struct PullAttribute {
  Value attribute;  // forward
  bool reverse = false;
  Value key;  // in the result
  std::optional<uint64_t> limit = kDefaultLimit;
  std::optional<Value> fallback;
  std::shared_ptr<PullPattern> nested;
  std::optional<int64_t> recursion;  // levels; -1: any number
};

[[noreturn]] void malformed(const char* message, const Value& form) {
  throw QueryError(kSyntax,
                   std::string("pull: ") + message + ": " + edn::write(form).substr(0, 200));
}

PullAttribute parse_attribute(const Value& form) {
  PullAttribute a;
  const Value* name = &form;
  std::span<const Value> options;
  if (form.is_sequence()) {
    if (form.items().empty()) malformed("an attribute is expected", form);
    // (limit :a n) and (default :a v) are older forms of the same.
    if (form.items()[0].is(Kind::Symbol) && form.items().size() == 3) {
      PullAttribute inner = parse_attribute(form.items()[1]);
      const Value& argument = form.items()[2];
      if (form.items()[0].is_symbol("default")) {
        inner.fallback = argument;
      } else if (form.items()[0].is_symbol("limit")) {
        if (argument.is_nil())
          inner.limit.reset();
        else if (argument.is(Kind::Long) && argument.as_integer() > 0)
          inner.limit = argument.as_integer();
        else
          malformed("a limit is a number above zero or nil", form);
      } else {
        malformed("an attribute is expected", form);
      }
      return inner;
    }
    name = &form.items()[0];
    options = form.items().subspan(1);
  }
  if (name->is_keyword("db/id") || !name->is(Kind::Keyword))
    malformed("an attribute is expected", form);
  a.key = a.attribute = *name;
  std::string_view bare = name->name();
  if (bare.size() > 1 && bare[0] == '_') {
    a.reverse = true;
    std::string space(name->name_space());
    a.attribute = Value::keyword((space.empty() ? "" : space + "/") + std::string(bare.substr(1)));
  }
  if (options.size() % 2) malformed("an option has no value", form);
  for (size_t i = 0; i < options.size(); i += 2) {
    const Value& v = options[i + 1];
    if (options[i].is_keyword("as")) {
      a.key = v;
    } else if (options[i].is_keyword("default")) {
      a.fallback = v;
    } else if (options[i].is_keyword("limit")) {
      if (v.is_nil())
        a.limit.reset();
      else if (v.is(Kind::Long) && v.as_integer() > 0)
        a.limit = v.as_integer();
      else
        malformed("a limit is a number above zero or nil", form);
    } else {
      malformed("unknown option", form);
    }
  }
  return a;
}

std::shared_ptr<PullPattern> parse_pull(const Value& form) {
  if (!form.is_sequence()) malformed("a pattern is a vector", form);
  auto p = std::make_shared<PullPattern>();
  for (const Value& spec : form.items()) {
    if (spec.is_symbol("*") || spec.is_keyword("*") ||
        (spec.is(Kind::String) && spec.text() == "*")) {
      p->wildcard = true;
    } else if (spec.is_keyword("db/id")) {
      p->id = true;
    } else if (spec.is(Kind::Map)) {
      for (const edn::Entry& e : spec.entries()) {
        PullAttribute a = parse_attribute(e.first);
        if (e.second.is_symbol("...")) {
          a.recursion = -1;
        } else if (e.second.is(Kind::Long)) {
          if (e.second.as_integer() < 1) malformed("a depth is above zero", spec);
          a.recursion = e.second.as_integer();
        } else {
          a.nested = parse_pull(e.second);
        }
        p->attributes.push_back(std::move(a));
      }
    } else {
      p->attributes.push_back(parse_attribute(spec));
    }
  }
  if (!p->wildcard && !p->id && p->attributes.empty()) malformed("a pattern is empty", form);
  return p;
}

using EntitySet = std::unordered_set<Value, edn::Hash>;

class Puller {
 public:
  Puller(Budget& budget, Source& source) : budget_(budget), source_(source) {}

  // A map, or nil, for each entity. `remaining`: levels of a recursion by its attribute's key.
  Values pull(const PullPattern& p, const Values& entities, int depth,
              const std::vector<EntitySet>& above, const Value& recursing, int64_t remaining) {
    if (depth > kMostDepth)
      throw QueryError(
          "54001", "pull: the result nests deeper than " + std::to_string(kMostDepth) + " levels");
    budget_.poll();
    std::vector<std::vector<edn::Entry>> maps(entities.size());
    std::vector<char> found(entities.size());
    if (p.wildcard) all_attributes(p, entities, maps, found, depth, above);
    for (const PullAttribute& a : p.attributes) {
      int64_t levels = a.recursion ? *a.recursion : 0;
      if (a.recursion && a.key == recursing) levels = remaining;
      one_attribute(p, a, levels, entities, maps, found, depth, above);
    }
    Values results;
    for (size_t i = 0; i < entities.size(); ++i) {
      if (p.id || (p.wildcard && found[i]))
        maps[i].emplace_back(Value::keyword("db/id"), entities[i]);
      bool none = maps[i].empty() || entities[i].is_nil();
      results.push_back(none ? Value() : Value::map(std::move(maps[i])));
    }
    return results;
  }

 private:
  // Values (or referring entities) of an attribute for each entity, in order.
  std::vector<Values> read(const Value& attribute, bool reverse, const Values& entities) {
    std::unordered_map<Value, std::vector<size_t>, edn::Hash> where;
    Column distinct;
    for (size_t i = 0; i < entities.size(); ++i) {
      std::vector<size_t>& at = where[entities[i]];
      if (at.empty() && !entities[i].is_nil()) distinct.push_back(entities[i]);
      at.push_back(i);
    }
    std::vector<Values> values(entities.size());
    Scan scan;
    scan.constants[kAttribute] = attribute;
    scan.wanted[kEntity] = scan.wanted[kValue] = true;
    scan.references = true;
    if (distinct.size() <= 1000) (reverse ? scan.some_values : scan.some_entities) = &distinct;
    source_.scan(scan, [&](Source::Columns& columns, size_t rows) {
      budget_.poll();
      for (size_t row = 0; row < rows; ++row) {
        auto at = where.find(columns[reverse ? kValue : kEntity][row]);
        if (at == where.end()) continue;
        for (size_t i : at->second) values[i].push_back(columns[reverse ? kEntity : kValue][row]);
      }
      for (Column& column : columns) column.clear();
    });
    for (Values& v : values) std::sort(v.begin(), v.end());
    return values;
  }

  void one_attribute(const PullPattern& p, const PullAttribute& a, int64_t levels,
                     const Values& entities, std::vector<std::vector<edn::Entry>>& maps,
                     std::vector<char>& found, int depth, const std::vector<EntitySet>& above) {
    std::vector<Values> values = read(a.attribute, a.reverse, entities);
    bool component = source_.is_component(a.attribute);
    bool is_ref = a.reverse || source_.can_follow(a.attribute);
    bool many = a.reverse ? !component : source_.is_many(a.attribute);
    for (Values& v : values)
      if (a.limit && v.size() > *a.limit) v.resize(*a.limit);
    if ((a.nested || a.recursion) && !is_ref)
      throw QueryError(kMismatch, "pull: " + edn::write(a.attribute) + " is no reference");
    if (is_ref) nest(p, a, levels, component && !a.reverse, entities, values, depth, above);
    for (size_t i = 0; i < entities.size(); ++i) {
      Values kept;
      for (Value& v : values[i])
        if (!v.is_nil()) kept.push_back(std::move(v));
      if (kept.empty()) {
        if (a.fallback && !entities[i].is_nil()) maps[i].emplace_back(a.key, *a.fallback);
        continue;
      }
      found[i] = 1;
      maps[i].emplace_back(a.key, many ? Value::vector(std::move(kept)) : kept[0]);
    }
  }

  // Replaces entities by what is pulled of them.
  void nest(const PullPattern& p, const PullAttribute& a, int64_t levels, bool component,
            const Values& entities, std::vector<Values>& values, int depth,
            const std::vector<EntitySet>& above) {
    PullPattern only_id;
    only_id.id = true;
    PullPattern everything;
    everything.wildcard = true;
    const PullPattern* inner = a.nested      ? a.nested.get()
                               : a.recursion ? &p
                               : component   ? &everything
                                             : &only_id;
    bool recursive = a.recursion || (component && !a.nested);
    Values next;
    std::vector<EntitySet> paths;
    for (size_t i = 0; i < entities.size(); ++i)
      for (const Value& v : values[i]) {
        EntitySet path;
        if (recursive) {
          if (!above.empty()) path = above[i];
          path.insert(entities[i]);
          // What is above itself, or too deep, is only named.
          if (path.count(v) || (a.recursion && levels == 0)) continue;
        }
        budget_.poll_row(next.size());
        nested_ += 1 + path.size();
        if (nested_ > kMostNested)
          throw QueryError("54000", "pull: the result has too many maps in one another",
                           "Limit the recursion's depth, or how many values it follows.");
        next.push_back(v);
        paths.push_back(std::move(path));
      }
    Values pulled;
    if (inner != &only_id && !next.empty())
      pulled = pull(*inner, next, depth + 1, paths, a.recursion ? a.key : Value(),
                    levels > 0 ? levels - 1 : levels);
    size_t at = 0;
    for (size_t i = 0; i < entities.size(); ++i)
      for (Value& v : values[i]) {
        Value named = Value::map({{Value::keyword("db/id"), v}});
        bool is_next = true;
        if (recursive) {
          bool seen = v == entities[i] || (!above.empty() && above[i].count(v));
          is_next = !(seen || (a.recursion && levels == 0));
          if (a.recursion && levels == 0) {
            v = Value();
            continue;
          }
        }
        if (!is_next || inner == &only_id)
          v = std::move(named);
        else
          v = pulled[at];
        if (is_next) ++at;
      }
  }

  void all_attributes(const PullPattern& p, const Values& entities,
                      std::vector<std::vector<edn::Entry>>& maps, std::vector<char>& found,
                      int depth, const std::vector<EntitySet>& above) {
    Scan scan;
    Column wanted;
    EntitySet known;
    for (const Value& e : entities)
      if (!e.is_nil() && known.insert(e).second) wanted.push_back(e);
    std::vector<Value> attributes;
    EntitySet seen;
    scan.wanted[kEntity] = scan.wanted[kAttribute] = true;
    scan.some_entities = &wanted;
    source_.scan(scan, [&](Source::Columns& columns, size_t rows) {
      for (size_t row = 0; row < rows; ++row)
        if (known.count(columns[kEntity][row]) && seen.insert(columns[kAttribute][row]).second)
          attributes.push_back(columns[kAttribute][row]);
      for (Column& column : columns) column.clear();
    });
    std::sort(attributes.begin(), attributes.end());
    for (const Value& attribute : attributes) {
      bool named = std::any_of(
          p.attributes.begin(), p.attributes.end(),
          [&](const PullAttribute& a) { return !a.reverse && a.attribute == attribute; });
      if (named) continue;
      PullAttribute a;
      a.key = a.attribute = attribute;
      one_attribute(p, a, 0, entities, maps, found, depth, above);
    }
  }

  Budget& budget_;
  Source& source_;
  size_t nested_ = 0;
};

}  // namespace

Values pull(Evaluator& evaluator, Source& source, const Value& pattern, const Values& entities) {
  std::shared_ptr<PullPattern> parsed = parse_pull(pattern);
  Values resolved;
  for (const Value& e : entities)
    resolved.push_back(e.is(Kind::Long) ? e : source.entity(e).value_or(Value()));
  return Puller(evaluator.budget(), source).pull(*parsed, resolved, 0, {}, Value(), 0);
}

}  // namespace datahike::datalog
