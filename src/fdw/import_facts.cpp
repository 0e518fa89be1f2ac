#include "fdw/import_facts.h"

#include "datalog/sql/values.h"
#include "datom/hints.h"
#include "fdw/fact_feed.h"
#include "fdw/fact_rows.h"

extern "C" {
#include "foreign/fdwapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
}

namespace datahike::fdw {

namespace {

using datom::Attribute;
using datom::Datom;

struct Column {
  std::string name, attribute, references;
  Oid type;
};
using Tables =
    std::map<std::string, std::pair<std::string, std::vector<Column>>>;  // by name: namespace

// What set_hint() has said of attributes, by attribute.
std::map<int64_t, datom::Value> hints(FactFeed& feed, int64_t hint) {
  std::map<int64_t, datom::Value> found;
  facts::Pattern pattern;
  pattern.a = hint;
  feed.scan(pattern, [&](std::span<const Datom> batch) {
    for (const Datom& d : batch) found.emplace(d.e, d.v);
    return true;
  });
  return found;
}

std::string text_in(const std::map<int64_t, datom::Value>& hints, int64_t attribute,
                    std::string_view otherwise) {
  auto at = hints.find(attribute);
  return at == hints.end() ? std::string(otherwise) : at->second.text;
}

Tables tables_of(FactFeed& feed) {
  const auto columns = hints(feed, datom::kSqlColumn), hidden = hints(feed, datom::kSqlHidden),
             references = hints(feed, datom::kSqlReferences), names = hints(feed, datom::kSqlTable);
  Tables tables;
  for (const Attribute* a : feed.attributes()) {
    auto [space, name] = datom::split_name(a->ident);
    auto is_hidden = hidden.find(a->id);
    if (a->type == datom::Type::Nil || space.empty() ||
        (is_hidden != hidden.end() && is_hidden->second.integer))
      continue;
    Column column{text_in(columns, a->id, name), a->ident, text_in(references, a->id, ""),
                  fact_column_type(*a)};
    const Attribute* shown = nullptr;
    if (a->type == datom::Type::Ref && !column.references.empty())
      shown = feed.attribute(column.references);
    if (!shown) {
      column.references.clear();
    } else {
      Attribute as = *shown;
      as.many = a->many;
      column.type = fact_column_type(as);
    }
    auto& table = tables[text_in(names, a->id, space)];
    if (table.first.empty()) table.first = space;
    table.second.push_back(std::move(column));
  }
  return tables;
}

char* text(const std::string& utf8) { return query::from_utf8(utf8); }

// A column's name: the attribute's, as far as names may be long, with a number behind it where
// another column has it.
const char* name_of(const Column& column, std::set<std::string>& taken) {
  const std::string wanted = text(column.name);
  for (int i = 0;; ++i) {
    const std::string suffix = i == 0 ? "" : "_" + std::to_string(i);
    const auto most = static_cast<int>(NAMEDATALEN - 1 - suffix.size());
    const auto length = static_cast<int>(wanted.size());
    const int kept = pg::call([&] { return pg_mbcliplen(wanted.c_str(), length, most); });
    const std::string name = wanted.substr(0, static_cast<size_t>(kept)) + suffix;
    if (taken.insert(name).second) return pg::call([&] { return pstrdup(name.c_str()); });
  }
}

void add_columns(StringInfo command, const std::vector<Column>& columns) {
  std::set<std::string> taken{"db_id"};
  for (const Column& c : columns) {
    const char *name = name_of(c, taken), *attribute = text(":" + c.attribute);
    const char* references = c.references.empty() ? nullptr : text(":" + c.references);
    const Oid type = c.type;
    pg::call([=] {
      appendStringInfo(command, ", %s %s OPTIONS (attribute %s", quote_identifier(name),
                       format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY),
                       quote_literal_cstr(attribute));
      if (references) appendStringInfo(command, ", references %s", quote_literal_cstr(references));
      appendStringInfoChar(command, ')');
    });
  }
}

}  // namespace

List* import_facts(ImportForeignSchemaStmt* statement, const char* server,
                   const ServerOptions& options) {
  List* commands = NIL;
  List** out = &commands;
  pg::guard([=, &options] {
    std::unique_ptr<FactFeed> feed = open_feed(options, GetUserId());
    const Tables tables = tables_of(*feed);
    const auto create = [=](const char* name) {
      return quote_qualified_identifier(statement->local_schema, name);
    };
    for (const auto& [name, table] : tables) {
      const char *n = text(name), *space = text(table.first);
      if (!pg::call([=] { return IsImportableForeignTable(n, statement); })) continue;
      StringInfo command = pg::call([=] {
        StringInfo made = makeStringInfo();
        appendStringInfo(made, "CREATE FOREIGN TABLE %s (db_id pg_catalog.int8 NOT NULL",
                         create(n));
        return made;
      });
      add_columns(command, table.second);
      pg::call([=] {
        appendStringInfo(command, ") SERVER %s OPTIONS (namespace %s)", quote_identifier(server),
                         quote_literal_cstr(space));
        *out = lappend(*out, command->data);
      });
    }
    for (const char* index : {"eavt", "aevt", "avet", "vaet"}) {
      if (tables.contains(index)) continue;
      pg::call([=] {
        if (!IsImportableForeignTable(index, statement)) return;
        *out = lappend(
            *out, psprintf("CREATE FOREIGN TABLE %s (e pg_catalog.int8 NOT NULL, a pg_catalog.text "
                           "NOT NULL, v pg_catalog.jsonb NOT NULL, tx pg_catalog.int8 NOT NULL, "
                           "added pg_catalog.bool NOT NULL) SERVER %s OPTIONS (index %s)",
                           create(index), quote_identifier(server), quote_literal_cstr(index)));
      });
    }
  });
  return commands;
}

}  // namespace datahike::fdw
