#include "datom/purge_data.h"

namespace datahike::datom {

namespace {

using edn::Kind;

std::string_view without_colon(std::string_view text) {
  return text.starts_with(':') ? text.substr(1) : text;
}

// The name of an operation; empty where the form is none.
std::string_view operation_of(const edn::Value& form, Notation notation) {
  if (!form.is_sequence() || form.items().empty()) return {};
  const edn::Value& name = form.items()[0];
  if (name.is(Kind::Keyword)) return name.text();
  return notation == Notation::Json && name.is(Kind::String) ? without_colon(name.text())
                                                             : std::string_view();
}

Purge read_purge(std::string_view name, std::span<const edn::Value> arguments) {
  struct Form {
    std::string_view name;
    Purge::Kind kind;
    size_t arguments;
  };
  static constexpr Form kForms[] = {{"db.purge/entity", Purge::Kind::Entity, 1},
                                    {"db.purge/attribute", Purge::Kind::Attribute, 2},
                                    {"db/purge", Purge::Kind::Fact, 3},
                                    {"db.history.purge/before", Purge::Kind::HistoryBefore, 1}};
  for (const Form& form : kForms) {
    if (form.name != name) continue;
    if (arguments.size() != form.arguments)
      throw FactError("22023", "wrong number of arguments of :" + std::string(name));
    return {form.kind, arguments};
  }
  throw FactError("22023", "unknown operation :" + std::string(name),
                  "There are :db.purge/entity, :db.purge/attribute, :db/purge and "
                  ":db.history.purge/before.");
}

}  // namespace

bool is_purge(std::string_view operation) {
  return operation.starts_with("db.purge/") || operation.starts_with("db.history.purge/") ||
         operation == "db/purge";
}

std::vector<Purge> read_purges(const edn::Value& tx_data, Notation notation) {
  const edn::Value* forms = &tx_data;
  bool others = false;
  if (tx_data.is(Kind::Map)) {
    for (const auto& [key, value] : tx_data.entries()) {
      const bool named = key.is(Kind::Keyword) || key.is(Kind::String);
      const std::string_view name = named ? without_colon(key.text()) : std::string_view();
      if (name == "tx-data") forms = &value;
      if (name == "tx-meta") others = !value.is_nil();
    }
  }
  std::vector<Purge> purges;
  if (!forms->is_sequence()) return purges;
  std::string_view first;
  for (const edn::Value& form : forms->items()) {
    const std::string_view name = operation_of(form, notation);
    if (is_purge(name)) {
      if (purges.empty()) first = name;
      purges.push_back(read_purge(name, form.items().subspan(1)));
    } else if (!form.is_nil()) {
      others = true;
    }
  }
  if (others && !purges.empty())
    throw FactError("0A000", "facts cannot be purged and changed together: :" + std::string(first),
                    "Transact what purges by itself.");
  return purges;
}

}  // namespace datahike::datom
