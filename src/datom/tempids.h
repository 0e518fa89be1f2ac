// Which entities the temporary ids of a transaction stand for.
#pragma once

#include <map>

#include "datom/tx_data.h"

namespace datahike::datom {

// Decides it for all operations at once, before any is carried out: a temporary id that is given a
// value of an attribute with :db.unique/identity stands for the entity that has it; two that are
// given the same value stand for one entity; the others stand for new ones.
// FactError 23505: a temporary id would have to be two entities; 02000: a lookup ref finds nothing;
// 22023: a temporary id that is only a value.
class Tempids {
 public:
  Tempids(Database& db, std::span<const Op> ops);
  int64_t resolve(const EntityRef& e);
  Value resolve(const ValueRef& v);
  // Those that the user has written, by their text.
  const std::map<std::string, int64_t>& resolved() const { return by_text_; }
  bool is_new(int64_t e) const { return new_.contains(e); }
  // A new row of a table has no id before it is written: the name of all temporary ids that stand
  // for it; nullptr: it is none, or bound already.
  const std::string* unwritten_row(const EntityRef& e);
  void bind_row(const std::string& row, int64_t e);

 private:
  using Key = std::pair<int64_t, std::string>;  // attribute, encoded value

  const std::string& root(const std::string& tempid);
  std::optional<int64_t> known(const EntityRef& e);
  bool unify(const EntityRef& e, const Key& key, const Value& value);
  bool bind(const std::string& tempid, int64_t e);
  bool unify_once(std::span<const Op> ops);
  void check_subjects(std::span<const Op> ops);
  void find_rows(std::span<const Op> ops);
  void allocate(std::span<const Op> ops);

  Database& db_;
  std::map<std::string, std::string> parent_;  // union-find over temporary ids
  std::map<std::string, int64_t> bound_;       // by root
  std::map<Key, EntityRef> claimed_;           // who is given an identity by this transaction
  std::map<std::string, int64_t> by_text_;
  std::set<int64_t> new_;
  std::set<std::string> rows_;                             // roots
  std::multimap<std::string, std::string> names_of_rows_;  // by root: as the user wrote them
};

std::string not_found_message(const EntityRef& lookup);

}  // namespace datahike::datom
