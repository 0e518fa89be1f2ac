#include "datom/tempids.h"

#include "datom/encoding.h"

namespace datahike::datom {

namespace {

std::string written(const std::string& tempid) {
  return tempid[0] == 's' ? "\"" + tempid.substr(1) + "\"" : tempid.substr(1);
}

bool is_identity(const Op& op) {
  return op.kind == Op::Kind::Add && op.a->unique == Unique::Identity;
}

}  // namespace

std::string not_found_message(const EntityRef& lookup) {
  return "Nothing found for entity id [:" + lookup.attribute->ident + " " +
         edn::write(to_edn(lookup.value)) + "]";
}

Tempids::Tempids(Database& db, std::span<const Op> ops) : db_(db) {
  check_subjects(ops);
  while (unify_once(ops)) continue;
  find_rows(ops);
  allocate(ops);
}

void Tempids::check_subjects(std::span<const Op> ops) {
  std::set<std::string> subjects;
  for (const Op& op : ops)
    if (op.e.kind == EntityRef::Kind::Tempid) subjects.insert(op.e.tempid);
  for (const Op& op : ops)
    if (op.v.is_entity && op.v.entity.kind == EntityRef::Kind::Tempid &&
        !subjects.contains(op.v.entity.tempid))
      throw FactError("22023", "temporary id " + written(op.v.entity.tempid) +
                                   " is used as a value only: no fact has it as its entity");
}

const std::string& Tempids::root(const std::string& tempid) {
  auto at = parent_.try_emplace(tempid, tempid).first;
  while (at->second != at->first) at = parent_.find(at->second);
  return at->first;
}

std::optional<int64_t> Tempids::known(const EntityRef& e) {
  switch (e.kind) {
    case EntityRef::Kind::Id:
      return e.id;
    case EntityRef::Kind::Tx:
      return db_.current_tx();
    case EntityRef::Kind::Tempid: {
      auto at = bound_.find(root(e.tempid));
      if (at == bound_.end()) return std::nullopt;
      return at->second;
    }
    case EntityRef::Kind::Lookup: {
      if (std::optional<int64_t> found = db_.holder(e.attribute->id, e.value)) return found;
      auto at = claimed_.find({e.attribute->id, encode(e.value)});
      if (at == claimed_.end() || at->second.kind == EntityRef::Kind::Lookup) return std::nullopt;
      return known(at->second);
    }
  }
  return std::nullopt;
}

bool Tempids::bind(const std::string& tempid, int64_t e) {
  auto [at, fresh] = bound_.emplace(root(tempid), e);
  if (at->second != e)
    throw FactError("23505", "temporary id " + written(tempid) + " would be entity " +
                                 std::to_string(at->second) + " and entity " + std::to_string(e) +
                                 ", by their unique values");
  return fresh;
}

// True: something has become known.
bool Tempids::unify(const EntityRef& e, const Key& key, const Value& value) {
  auto [claim, first] = claimed_.emplace(key, e);
  if (e.kind != EntityRef::Kind::Tempid) {
    if (first || claim->second.kind != EntityRef::Kind::Tempid) return false;
    std::optional<int64_t> id = known(e);
    return id && bind(claim->second.tempid, *id);
  }
  bool news = false;
  if (std::optional<int64_t> holder = db_.holder(key.first, value)) news = bind(e.tempid, *holder);
  if (first) return news;
  const EntityRef other = claim->second;
  if (other.kind != EntityRef::Kind::Tempid) {
    std::optional<int64_t> id = known(other);
    return (id && bind(e.tempid, *id)) || news;
  }
  const std::string a = root(e.tempid), b = root(other.tempid);
  if (a == b) return news;
  auto bound = bound_.find(a);
  parent_[a] = b;
  if (bound != bound_.end()) {
    const int64_t id = bound->second;
    bound_.erase(bound);
    bind(b, id);
  }
  return true;
}

bool Tempids::unify_once(std::span<const Op> ops) {
  bool news = false;
  for (const Op& op : ops) {
    if (!is_identity(op)) continue;
    Value value = op.v.value;
    if (op.v.is_entity) {
      std::optional<int64_t> target = known(op.v.entity);
      if (!target) continue;
      value = Value::ref(*target);
    }
    news = unify(op.e, {op.a->id, encode(value)}, value) || news;
  }
  return news;
}

// Temporary ids that are given columns stand for new rows.
void Tempids::find_rows(std::span<const Op> ops) {
  std::map<std::string, int64_t> tables;
  for (const Op& op : ops) {
    if (op.e.kind != EntityRef::Kind::Tempid || !op.a) continue;
    const auto [at, first] = tables.try_emplace(root(op.e.tempid), op.a->table);
    if (at->second != op.a->table)
      throw FactError(
          "22023",
          "temporary id " + written(op.e.tempid) + " would be " +
              (at->second && op.a->table ? "a row of two tables"
                                         : "a row of a table and have facts"),
          "A row has the columns of its table; facts of other entities may refer to it.");
    if (op.a->is_column()) rows_.insert(at->first);
  }
}

const std::string* Tempids::unwritten_row(const EntityRef& e) {
  if (e.kind != EntityRef::Kind::Tempid) return nullptr;
  auto at = rows_.find(root(e.tempid));
  return at == rows_.end() || bound_.contains(*at) ? nullptr : &*at;
}

void Tempids::bind_row(const std::string& row, int64_t e) {
  bound_[row] = e;
  auto [first, last] = names_of_rows_.equal_range(row);
  for (auto at = first; at != last; ++at) by_text_[at->second] = e;
}

void Tempids::allocate(std::span<const Op> ops) {
  const auto give = [&](const EntityRef& e) {
    if (e.kind != EntityRef::Kind::Tempid) return;
    if (rows_.contains(root(e.tempid))) {
      if (e.tempid[0] != 'a') names_of_rows_.emplace(root(e.tempid), e.tempid.substr(1));
      return;
    }
    auto [at, fresh] = bound_.try_emplace(root(e.tempid), 0);
    if (fresh) new_.insert(at->second = db_.new_entity());
    if (e.tempid[0] != 'a') by_text_[e.tempid.substr(1)] = at->second;
  };
  for (const Op& op : ops) {
    if (op.kind == Op::Kind::Add || op.kind == Op::Kind::Ensure) {
      give(op.e);
    } else if (op.e.kind == EntityRef::Kind::Tempid && !bound_.contains(root(op.e.tempid))) {
      throw FactError("22023", "temporary id " + written(op.e.tempid) +
                                   " stands for no entity that could be changed");
    }
    if (op.v.is_entity) give(op.v.entity);
  }
}

int64_t Tempids::resolve(const EntityRef& e) {
  if (std::optional<int64_t> id = known(e)) return *id;
  if (e.kind == EntityRef::Kind::Lookup) throw FactError("02000", not_found_message(e));
  throw FactError("22023", "temporary id " + written(e.tempid) + " stands for no entity");
}

Value Tempids::resolve(const ValueRef& v) {
  return v.is_entity ? Value::ref(resolve(v.entity)) : v.value;
}

}  // namespace datahike::datom
