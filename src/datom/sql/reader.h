// Reading facts: by entity, by attribute, by value, in any view of the database.
//
// REQUIRES of everything here: an active snapshot, and a frame inside pg::guard(). What PostgreSQL
// raises is thrown as pg::PgError.
#pragma once

#include <span>
#include <unordered_map>

#include "datom/database.h"
#include "datom/sql/statement.h"

namespace datahike::facts {

using datom::Datom;

// Which facts. All empty: those that the session's settings name, history included. With a
// revision the session's settings do not count.
struct Source {
  std::string revision;  // as every function takes it; "": the session's view
  std::string as_of;     // a time, a commit's tx or a transaction entity
  std::string since;     // the same: facts of later commits only
  bool history = false;  // every fact that ever was, and its retraction
};

enum class Order : uint8_t { None, Eavt, Aevt, Avet };

// Bounds need an attribute. Equal inclusive ones are a value.
struct Pattern {
  std::optional<int64_t> e, a;
  std::optional<int64_t> target;  // facts whose value is a reference to it
  std::optional<datom::Value> from, to;
  bool from_inclusive = true, to_inclusive = true;
  Order order = Order::None;
  std::optional<int64_t> from_e;  // Order::Eavt: entities from this one on
  std::optional<int64_t> from_a;  // Order::Aevt, Avet: attributes from this one on
};

// The tx number of the last commit at or before a point (as_of's) of a revision's line; 0: none.
uint64_t commit_tx_at(const std::string& revision, const std::string& point);

class Reader {
 public:
  // 42501 where the caller may not SELECT from datahike.facts.
  explicit Reader(Source source = {});

  // What has that ident in this view, its type Nil where it is no attribute; nullptr: nothing has.
  // Stays valid as long as the reader.
  const datom::Attribute* attribute(std::string_view ident);
  const datom::Attribute* attribute(int64_t id);
  // All that are defined, by id; built-in ones left out.
  std::vector<const datom::Attribute*> attributes();
  std::optional<int64_t> entity_of(const datom::Attribute& unique, const datom::Value& v);
  std::optional<int64_t> entity_of_ident(std::string_view ident);

  // Calls `batch` with up to kBatch datoms at a time, in the order that is asked for; false ends
  // the scan. With history an added datom and its retraction come one after the other.
  static constexpr long kBatch = 1000;
  using Batch = std::function<bool(std::span<const Datom>)>;
  void scan(const Pattern& pattern, const Batch& batch);
  std::vector<Datom> all(const Pattern& pattern);
  // How many datoms the planner expects.
  double estimate(const Pattern& pattern);

  bool is_history() const { return kind_ == Kind::Versions; }

 private:
  enum class Kind : uint8_t { Table, At, Versions };
  struct View {
    Kind kind = Kind::Table;
    std::optional<std::string> revision, as_of;
  };
  void choose_views(const Source& source);
  void add_datoms(const StatementRow& row, const Pattern& pattern, std::vector<Datom>& out);
  const datom::Attribute* load(int64_t id);
  void scan_view(const View& view, const Pattern& pattern, const Batch& batch);

  Kind kind_ = Kind::Table;
  View view_;
  View schema_view_;                  // the same without since and history
  std::optional<uint64_t> after_tx_;  // commits' tx numbers: of since
  std::unordered_map<int64_t, std::optional<datom::Attribute>> by_id_;
  std::unordered_map<std::string, int64_t> by_ident_;  // 0: there is none
};

}  // namespace datahike::facts
