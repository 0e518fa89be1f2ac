#include "datom/sql/fact_query.h"

#include "datom/encoding.h"
#include "datom/row_names.h"

namespace datahike::facts {

namespace {

std::string encoded(const datom::Value& v) { return datom::encode(v); }

bool is_one_value(const Pattern& p) {
  return p.from && p.to && p.from_inclusive && p.to_inclusive && *p.from == *p.to;
}

std::string literal(const std::string& bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "'\\x";
  for (char c : bytes) {
    out += kHex[static_cast<uint8_t>(c) >> 4];
    out += kHex[static_cast<uint8_t>(c) & 15];
  }
  return out + "'::pg_catalog.bytea";
}

// Writes conditions, with the values as parameters or in place.
class Conditions {
 public:
  Conditions(FactQuery* query, std::string f) : query_(query), f_(std::move(f)) {}

  void integer(const char* column, const char* op, int64_t n) {
    add(column, op, query_ ? parameter(INT8OID, Int64GetDatum(n)) : std::to_string(n));
  }
  void bytes(const char* column, const char* op, const std::string& s) {
    const std::string* p = &s;
    add(column, op,
        query_ ? parameter(BYTEAOID, pg::call([=] { return bytea_datum(p); })) : literal(s));
  }
  // Facts that refer to an entity. Among them, where it is a row, those that a dump has named rows
  // in: whether it is this one is not known.
  void reference(int64_t e) {
    if (!datom::is_row(e)) return integer("r", "=", e);
    const std::string n = query_ ? parameter(INT8OID, Int64GetDatum(e)) : std::to_string(e);
    add("r", "=",
        "ANY (ARRAY[" + n + ", " + std::to_string(datom::kToRowName) + "]::pg_catalog.int8[])");
  }
  const std::string& text() const { return text_; }

 private:
  void add(const char* column, const char* op, const std::string& value) {
    text_ += text_.empty() ? " WHERE " : " AND ";
    text_ += f_ + column + " " + op + " " + value;
  }
  std::string parameter(Oid type, Datum value) {
    query_->types.push_back(type);
    query_->values.push_back(value);
    return "$" + std::to_string(query_->types.size());
  }
  FactQuery* query_;
  std::string f_, text_;
};

// The keys of long values do not order as the values do behind kKeyPrefix bytes: there the
// condition lets all with the same beginning pass.
bool add_bound(Conditions& where, const datom::Value& bound, bool lower, bool inclusive) {
  std::string key = encoded(bound);
  if (key.size() < datom::kKeyPrefix) {
    where.bytes("k", lower ? (inclusive ? ">=" : ">") : (inclusive ? "<=" : "<"), key);
    return false;
  }
  key.resize(datom::kKeyPrefix);
  if (lower)
    where.bytes("k", ">=", key);
  else if (std::optional<std::string> end = datom::after_prefix(key))
    where.bytes("k", "<", *end);
  return true;
}

bool add_conditions(Conditions& where, const Pattern& p) {
  if (p.e) where.integer("e", "=", *p.e);
  if (p.a) where.integer("a", "=", *p.a);
  if (p.target) where.reference(*p.target);
  if (p.from_e) where.integer("e", ">=", *p.from_e);
  if (p.from_a) where.integer("a", ">=", *p.from_a);
  if (is_one_value(p) && p.from->type == datom::Type::Ref && datom::is_row(p.from->integer)) {
    where.reference(p.from->integer);
    return false;
  }
  if (is_one_value(p)) {
    where.bytes("k", "=", datom::index_key(encoded(*p.from)));
    return false;
  }
  bool checks = false;
  if (p.from) checks = add_bound(where, *p.from, true, p.from_inclusive);
  if (p.to) checks = add_bound(where, *p.to, false, p.to_inclusive) || checks;
  return checks;
}

Datum text_parameter(const std::string& text) {
  return pg::call([t = text.c_str()] { return CStringGetTextDatum(t); });
}

std::string order_by(Order order, const std::string& f) {
  switch (order) {
    case Order::Eavt:
      return " ORDER BY " + f + "e, " + f + "a, " + f + "k";
    case Order::Aevt:
      return " ORDER BY " + f + "a, " + f + "e, " + f + "k";
    case Order::Avet:
      return " ORDER BY " + f + "a, " + f + "k, " + f + "e";
    default:
      return "";
  }
}

}  // namespace

FactQuery fact_query(FactTable table, const std::optional<std::string>& revision,
                     const std::optional<std::string>& as_of, const Pattern& p) {
  FactQuery query;
  std::string from, f = "f.", extra = "NULL::pg_catalog.int8";
  const auto parameter = [&](const std::optional<std::string>& text) -> std::string {
    if (!text) return "NULL::pg_catalog.text";
    query.types.push_back(TEXTOID);
    query.values.push_back(text_parameter(*text));
    return "$" + std::to_string(query.types.size());
  };
  if (table == FactTable::Table) {
    from = "datahike.facts f";
  } else if (table == FactTable::At) {
    const std::string at = parameter(revision);
    from = "datahike.at(NULL::datahike.facts, " + at + ", " + parameter(as_of) + ") f";
  } else {
    from = "datahike.versions(NULL::datahike.facts, " + parameter(revision) + ") h";
    f = "(h.\"row\").";
    extra = "h.tx_removed";
  }
  Conditions where(&query, f);
  query.checks_bounds = add_conditions(where, p);
  query.sql = "SELECT " + f + "e, " + f + "a, " + f + "tx, coalesce(" + f + "v, " + f + "k), " +
              extra + " FROM " + from + where.text() + order_by(p.order, f);
  if (p.order != Order::None && table == FactTable::Versions) query.sql += ", " + f + "tx";
  return query;
}

std::string estimated_query(const Pattern& pattern) {
  Conditions where(nullptr, "f.");
  add_conditions(where, pattern);
  return "SELECT 1 FROM datahike.facts f" + where.text();
}

bool may_miss_row_names(const Pattern& p) {
  if (is_one_value(p)) return p.from->type == datom::Type::Tuple && datom::may_be_row_name(*p.from);
  const auto is_ordered_otherwise = [](const std::optional<datom::Value>& bound) {
    return bound && (bound->type == datom::Type::Ref || bound->type == datom::Type::Tuple);
  };
  return is_ordered_otherwise(p.from) || is_ordered_otherwise(p.to);
}

bool within_bounds(const Pattern& p, std::string_view value) {
  if (p.from) {
    int c = value.compare(encoded(*p.from));
    if (c < 0 || (c == 0 && !p.from_inclusive)) return false;
  }
  if (p.to) {
    int c = value.compare(encoded(*p.to));
    if (c > 0 || (c == 0 && !p.to_inclusive)) return false;
  }
  return true;
}

// There are as many as there are shapes of patterns and views.
Statement* prepared_query(const FactQuery& query) {
  static std::unordered_map<std::string, Statement> known;
  auto [at, fresh] = known.try_emplace(query.sql);
  Statement& s = at->second;
  if (fresh) {
    s.sql = at->first.c_str();
    s.parameters = static_cast<int>(query.types.size());
    std::copy(query.types.begin(), query.types.end(), s.types);
  }
  return &s;
}

}  // namespace datahike::facts
