// What a pattern over another store asks of a table's rows, tested before they are decoded.
#pragma once

#include <algorithm>
#include <unordered_set>

#include "datalog/sql/values.h"
#include "fdw/row_conditions.h"
#include "pg/pg.h"

extern "C" {
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
}

namespace datahike::query {

// What is known of the rows that are wanted before they are decoded.
struct RowsWanted {
  fdw::RowConditions conditions;
  std::optional<std::unordered_set<int64_t>> entities;

  void among(const std::optional<Value>& entity, const Column* some) {
    if (!entity && !some) return;
    entities.emplace();
    const auto add = [&](const Value& e) {
      if (e.is(Kind::Long)) entities->insert(e.as_integer());
    };
    if (entity)
      add(*entity);
    else
      for (const Value& e : *some) add(e);
  }

  // Of a column of that number and type.
  void of(int16_t number, Oid type, const std::optional<Value>& constant,
          const std::optional<Value>& least, const std::optional<Value>& greatest,
          const Column* some) {
    fdw::RowCondition condition{number, type, INT64_MIN, INT64_MAX, std::nullopt, std::nullopt};
    if ((type == TEXTOID || type == VARCHAROID) && constant && constant->is(Kind::String) &&
        GetDatabaseEncoding() == PG_UTF8) {
      condition.text = constant->text();
      return conditions.add(std::move(condition));
    }
    const bool integer = type == INT2OID || type == INT4OID || type == INT8OID;
    if (!integer && type != TIMESTAMPOID && type != TIMESTAMPTZOID) return;
    // As the column keeps it; nullopt: it says nothing of such values.
    const auto kept = [&](const Value& v) -> std::optional<int64_t> {
      if (integer) return v.is(Kind::Long) ? std::optional(v.as_integer()) : std::nullopt;
      // PostgreSQL counts from 2000-01-01.
      constexpr int64_t kFrom2000 = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
      if (!v.is(Kind::Instant) || v.as_instant() < INT64_MIN / 2 || v.as_instant() > INT64_MAX / 2)
        return std::nullopt;
      return v.as_instant() - kFrom2000;
    };
    const auto narrow = [&](const std::optional<Value>& low, const std::optional<Value>& high) {
      if (auto bound = low ? kept(*low) : std::nullopt)
        condition.low = std::max(condition.low, *bound);
      if (auto bound = high ? kept(*high) : std::nullopt)
        condition.high = std::min(condition.high, *bound);
    };
    narrow(constant, constant);
    narrow(least, greatest);
    if (some && !some->empty() && some->is_integers() && integer) {
      const auto [low, high] =
          std::minmax_element(some->integers().begin(), some->integers().end());
      narrow(Value::integer(*low), Value::integer(*high));
    }
    if (condition.low > INT64_MIN || condition.high < INT64_MAX)
      conditions.add(std::move(condition));
  }
};

}  // namespace datahike::query
