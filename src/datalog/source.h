// Where a query's facts come from.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "datalog/relation.h"

namespace datahike::datalog {

// Positions of a pattern over datoms.
enum Position : size_t { kEntity, kAttribute, kValue, kTx, kAdded, kPositions };

// What of a source's facts is asked for. Constants and bounds must hold; `some_*` may be used to
// leave out facts whose entity or value is not among them.
struct Scan {
  std::array<std::optional<Value>, kPositions> constants;
  std::array<bool, kPositions> wanted{};  // columns that are to be filled
  std::optional<Value> least, greatest;   // of the value, both inclusive
  const Column* some_entities = nullptr;  // distinct
  const Column* some_values = nullptr;
  bool references = false;  // values of references are wanted as the entities they refer to
};

// Several attributes of the same entities, each with one value or none: entities that lack one are
// left out.
struct RowScan {
  struct Of {
    Value attribute;
    std::optional<Value> constant, least, greatest;
    const Column* some_values = nullptr;
  };
  std::vector<Of> values;
  const Column* some_entities = nullptr;
};

class Source {
 public:
  using Columns = std::array<Column, kPositions>;
  virtual ~Source() = default;
  virtual double estimate(const Scan& scan) = 0;  // facts, without regard to `some_*`
  // Appends the facts' wanted columns; `full` is called now and then, and takes them.
  virtual void scan(const Scan& scan, const std::function<void(Columns&, size_t rows)>& full) = 0;
  // Whether scan_rows() reads these attributes together.
  virtual bool same_rows(const std::vector<Value>&) { return false; }
  // Appends the entity and the values, a column each.
  virtual void scan_rows(const RowScan&,
                         const std::function<void(std::vector<Column>&, size_t rows)>&) {}
  // Of an entity's name: a number, a lookup ref or an ident. nullopt: there is none.
  virtual std::optional<Value> entity(const Value& name) = 0;
  virtual bool is_ref(const Value& attribute) = 0;  // its values are entities
  // Whether pull may follow it: its values are, or stand for, entities (Scan::references).
  virtual bool can_follow(const Value& attribute) { return is_ref(attribute); }
  virtual bool is_many(const Value& attribute) = 0;
  virtual bool is_component(const Value& attribute) = 0;
};

}  // namespace datahike::datalog
