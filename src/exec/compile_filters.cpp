// Conditions: which of them compile, and to what tests.
#include <algorithm>
#include <cmath>
#include <utility>

#include "exec/compile_types.h"

extern "C" {
#include "access/stratnum.h"
#include "catalog/pg_opfamily.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
}

namespace datahike::exec {

using vector::Filter;
using vector::Test;
using vector::Type;

int comparison_strategy(Oid op) {
  constexpr Oid kFloats = 1970, kDates = 434;  // pg_opfamily has no names for them
  return pg::call([=] {
    for (Oid family : {static_cast<Oid>(INTEGER_BTREE_FAM_OID), kFloats, kDates,
                       static_cast<Oid>(BOOL_BTREE_FAM_OID)}) {
      if (int strategy = get_op_opfamily_strategy(op, family)) return strategy;
      Oid negator = get_negator(op);
      if (OidIsValid(negator) && get_op_opfamily_strategy(negator, family) == BTEqualStrategyNumber)
        return kNotEqual;
    }
    return 0;
  });
}

int commuted(int strategy) {
  switch (strategy) {
    case BTLessStrategyNumber:
      return BTGreaterStrategyNumber;
    case BTLessEqualStrategyNumber:
      return BTGreaterEqualStrategyNumber;
    case BTGreaterStrategyNumber:
      return BTLessStrategyNumber;
    case BTGreaterEqualStrategyNumber:
      return BTLessEqualStrategyNumber;
    default:
      return strategy;
  }
}

int sort_strategy(Oid op) {
  constexpr Oid kNumericFamily = 1988;  // pg_opfamily has no name for it
  int strategy = comparison_strategy(op);
  if (strategy == 0)
    strategy = pg::call([=] { return get_op_opfamily_strategy(op, kNumericFamily); });
  return strategy == BTLessStrategyNumber || strategy == BTGreaterStrategyNumber ? strategy : 0;
}

namespace {

Filter float_comparison(int strategy, uint64_t word) {
  double value = DatumGetFloat8(static_cast<Datum>(word));
  Filter f;
  if (std::isnan(value)) {
    // NaN is above all others: what is below it, or not, is below or above infinity.
    const uint64_t infinity = DatumGetUInt64(Float8GetDatum(INFINITY));
    switch (strategy) {
      case BTLessStrategyNumber:
      case kNotEqual:
        f.has_high = true;
        f.high = infinity;
        break;
      case BTLessEqualStrategyNumber:
        break;
      case BTGreaterStrategyNumber:
        f.test = Test::Never;
        break;
      default:
        f.has_low = f.low_open = true;
        f.low = infinity;
    }
    return f;
  }
  f.test = strategy == kNotEqual ? Test::NotEqual : Test::Range;
  f.low = f.high = word;
  f.has_low = strategy >= BTEqualStrategyNumber;
  f.has_high = strategy <= BTEqualStrategyNumber;
  f.low_open = strategy == BTGreaterStrategyNumber;
  f.high_open = strategy == BTLessStrategyNumber;
  return f;
}

Filter int_comparison(int strategy, int64_t value) {
  Filter f;
  f.test = strategy == kNotEqual ? Test::NotEqual : Test::Range;
  f.has_low = strategy >= BTEqualStrategyNumber;
  f.has_high = strategy <= BTEqualStrategyNumber;
  int64_t low = value, high = value;
  if (strategy == BTLessStrategyNumber) {
    if (value == INT64_MIN)
      f.test = Test::Never;
    else
      --high;
  }
  if (strategy == BTGreaterStrategyNumber) {
    if (value == INT64_MAX)
      f.test = Test::Never;
    else
      ++low;
  }
  f.low = static_cast<uint64_t>(low);
  f.high = static_cast<uint64_t>(high);
  return f;
}

}  // namespace

void Compiler::int_range(int expression, int strategy, int64_t value) {
  Filter f = int_comparison(strategy, value);
  f.expression = expression;
  add_range(std::move(f));
}

void Compiler::rounded_range(int expression, int strategy, int64_t floor, bool exact) {
  if (!exact) {
    // Between two integers: none is equal, all are unequal.
    Filter f;
    f.expression = expression;
    f.has_low = f.has_high = true;
    f.low = static_cast<uint64_t>(INT64_MIN);
    f.high = static_cast<uint64_t>(INT64_MAX);
    if (strategy == BTEqualStrategyNumber) f.test = Test::Never;
    if (strategy == BTEqualStrategyNumber || strategy == kNotEqual)
      return filters_->push_back(std::move(f));
    strategy =
        strategy <= BTLessEqualStrategyNumber ? BTLessEqualStrategyNumber : BTGreaterStrategyNumber;
  }
  int_range(expression, strategy, floor);
}

bool Compiler::range(int expression, int strategy, Const* value) {
  Filter f;
  if (value->constisnull) {
    f.test = Test::Never;
  } else {
    uint64_t word = word_of(value->constvalue, value->consttype);
    f = program.expressions[expression].type == Type::Float
            ? float_comparison(strategy, word)
            : int_comparison(strategy, static_cast<int64_t>(word));
  }
  f.expression = expression;
  add_range(std::move(f));
  return true;
}

void Compiler::add_range(Filter f) {
  // A lower and an upper bound of one expression are tested at once, if nothing that may raise an
  // error is tested between them.
  if (f.test == Test::Range && f.has_low != f.has_high && !filters_->empty()) {
    Filter& other = filters_->back();
    if (other.test == Test::Range && other.expression == f.expression) {
      if (other.has_low != other.has_high && other.has_low != f.has_low) {
        if (f.has_low) {
          other.has_low = true;
          other.low_open = f.low_open;
          other.low = f.low;
        } else {
          other.has_high = true;
          other.high_open = f.high_open;
          other.high = f.high;
        }
        return;
      }
    }
  }
  filters_->push_back(std::move(f));
}

bool Compiler::compare(OpExpr* clause) {
  if (list_length(clause->args) != 2) return false;
  if (like(clause) || compare_text(clause) || compare_padded(clause) || compare_decimal(clause))
    return true;
  auto* left = strip(static_cast<Node*>(linitial(clause->args)));
  auto* right = strip(static_cast<Node*>(lsecond(clause->args)));
  int strategy = comparison_strategy(clause->opno);
  if (strategy == 0) return false;
  if (IsA(left, Const)) {
    std::swap(left, right);
    strategy = commuted(strategy);
  }
  if (!IsA(right, Const)) return false;
  if (exprType(left) != exprType(right) && compare_times(left, strategy, right)) return true;
  if (!comparable(exprType(left), exprType(right))) return false;
  int value = expression(left);
  return value >= 0 && range(value, strategy, reinterpret_cast<Const*>(right));
}

bool Compiler::compare_text(OpExpr* clause) {
  bool equal = clause->opfuncid == F_TEXTEQ;
  if (!equal && clause->opfuncid != F_TEXTNE) return false;
  auto* left = static_cast<Node*>(linitial(clause->args));
  auto* right = static_cast<Node*>(lsecond(clause->args));
  if (IsA(strip(left), Const)) std::swap(left, right);
  auto* value = reinterpret_cast<Const*>(strip(right));
  if (!IsA(value, Const) || !is_deterministic(clause->inputcollid)) return false;
  int text = text_column(left, true);
  if (text < 0) return false;
  Filter f;
  f.test = value->constisnull ? Test::Never : equal ? Test::TextIn : Test::TextNotIn;
  f.column = text;
  if (!value->constisnull) f.texts.push_back(text_of(value->constvalue));
  filters_->push_back(std::move(f));
  return true;
}

namespace {

// The pieces of a pattern '%a%b%' without other wildcards; nullopt for all others.
std::optional<std::vector<std::string>> pieces_of(const std::string& pattern) {
  if (pattern.size() < 2 || pattern.front() != '%' || pattern.back() != '%' ||
      pattern.find_first_of("_\\") != std::string::npos)
    return std::nullopt;
  std::vector<std::string> pieces;
  size_t from = 1;
  for (size_t at; (at = pattern.find('%', from)) != std::string::npos; from = at + 1)
    if (at > from) pieces.push_back(pattern.substr(from, at - from));
  return pieces;
}

}  // namespace

bool Compiler::like(OpExpr* clause) {
  bool positive = clause->opfuncid == F_TEXTLIKE;
  if (!positive && clause->opfuncid != F_TEXTNLIKE) return false;
  auto* pattern = static_cast<Const*>(lsecond(clause->args));
  // Bytes are found where characters are, in encodings whose characters do not begin inside others.
  int encoding = GetDatabaseEncoding();
  bool bytewise = encoding == PG_UTF8 || pg_database_encoding_max_length() == 1;
  if (!IsA(pattern, Const) || pattern->location == kPlaceholder || !bytewise ||
      !is_deterministic(clause->inputcollid))
    return false;
  Filter f;
  f.test = pattern->constisnull ? Test::Never : positive ? Test::Like : Test::NotLike;
  if (!pattern->constisnull) {
    auto pieces = pieces_of(text_of(pattern->constvalue));
    if (!pieces) return false;
    f.pieces = std::move(*pieces);
  }
  f.column = text_column(static_cast<Node*>(linitial(clause->args)), true);
  if (f.column < 0) return false;
  filters_->push_back(std::move(f));
  return true;
}

bool Compiler::one_of(ScalarArrayOpExpr* clause) {
  auto* left = static_cast<Node*>(linitial(clause->args));
  auto* list = reinterpret_cast<Const*>(strip(static_cast<Node*>(lsecond(clause->args))));
  if (!IsA(list, Const)) return false;
  Oid element = pg::call([=] { return get_element_type(list->consttype); });
  // IN, or NOT IN.
  const bool in = clause->useOr;
  const bool text = clause->opfuncid == (in ? F_TEXTEQ : F_TEXTNE);
  const bool decimal = clause->opfuncid == (in ? F_NUMERIC_EQ : F_NUMERIC_NE);
  if (!text && !decimal &&
      (comparison_strategy(clause->opno) != (in ? BTEqualStrategyNumber : kNotEqual) ||
       !comparable(exprType(strip(left)), element)))
    return false;
  if (text && (!is_deterministic(clause->inputcollid) || element != TEXTOID)) return false;
  Filter f;
  f.test = text ? (in ? Test::TextIn : Test::TextNotIn) : in ? Test::OneOf : Test::NoneOf;
  (text ? f.column : f.expression) = text ? text_column(left, true) : expression(left);
  if (f.column < 0 && f.expression < 0) return false;
  int scale = -1;
  if (decimal) {
    const vector::Expression& e = program.expressions[f.expression];
    scale = e.scale;
    if (scale < 0 || scale > kMostDecimalFactor || e.type != Type::Int) return false;
  }
  if (list->constisnull) {
    f.test = Test::Never;
  } else if (list->location != kPlaceholder) {
    Datum *values, array = list->constvalue;
    bool* nulls;
    int count;
    pg::call([&, element] {
      int16 length;
      bool by_value;
      char align;
      get_typlenbyvalalign(element, &length, &by_value, &align);
      deconstruct_array(DatumGetArrayTypeP(array), element, length, by_value, align, &values,
                        &nulls, &count);
    });
    if (!in && count == 0) return true;  // NULL passes, too
    for (int i = 0; i < count; ++i) {
      if (nulls[i] && !in) f.test = Test::Never;
      if (nulls[i]) continue;  // as good as no element: the row does not pass by it
      if (text) {
        f.texts.push_back(text_of(values[i]));
      } else if (!decimal) {
        f.words.push_back(word_of(values[i], element));
      } else if (const auto word = decimal_word(values[i], scale)) {
        f.words.push_back(static_cast<uint64_t>(*word));
      }
    }
    if (!text && !is_float(element))
      std::sort(f.words.begin(), f.words.end(), [](uint64_t a, uint64_t b) {
        return static_cast<int64_t>(a) < static_cast<int64_t>(b);
      });
  }
  filters_->push_back(std::move(f));
  return true;
}

bool Compiler::null_test(NullTest* test) {
  Filter f;
  f.test = test->nulltesttype == IS_NULL ? Test::IsNull : Test::IsNotNull;
  if (test->argisrow) return false;
  Node* arg = strip(reinterpret_cast<Node*>(test->arg));
  if (!IsA(arg, Var)) return false;
  f.column = column(arg);
  if (f.column < 0) return false;
  filters_->push_back(std::move(f));
  return true;
}

// Of conditions joined by OR, in the order in which they are tested.
bool Compiler::any_of(List* alternatives) {
  Filter f;
  f.test = Test::Any;
  vector::Condition* outer = filters_;
  bool compiles = true;
  ListCell* cell;
  foreach (cell, alternatives) {
    filters_ = &f.alternatives.emplace_back();
    compiles = compiles && filter(static_cast<Node*>(lfirst(cell)));
  }
  filters_ = outer;
  if (!compiles) return false;
  // What is always true.
  if (std::ranges::any_of(f.alternatives, [](const auto& c) { return c.empty(); })) return true;
  filters_->push_back(std::move(f));
  return true;
}

// FILTER (WHERE ...): the number of the condition, -1 for none.
bool Compiler::take_condition(Expr* condition, int* number) {
  *number = -1;
  if (!condition) return true;
  vector::Condition taken;
  vector::Condition* outer = std::exchange(filters_, &taken);
  bool compiles = filter(reinterpret_cast<Node*>(condition));
  filters_ = outer;
  if (!compiles || taken.empty()) return compiles;
  auto& all = program.conditions;
  auto found = std::find(all.begin(), all.end(), taken);
  *number = static_cast<int>(found - all.begin());
  if (found == all.end()) all.push_back(std::move(taken));
  return true;
}

bool Compiler::filter(Node* clause) {
  if (!clause) return false;
  switch (nodeTag(clause)) {
    case T_Const: {
      auto* value = reinterpret_cast<Const*>(clause);
      if (value->location == kPlaceholder) return false;
      if (value->constisnull || !DatumGetBool(value->constvalue)) {
        Filter never;
        never.test = Test::Never;
        filters_->push_back(never);
      }
      return true;
    }
    case T_OpExpr:
      return compare(reinterpret_cast<OpExpr*>(clause));
    case T_ScalarArrayOpExpr:
      return one_of(reinterpret_cast<ScalarArrayOpExpr*>(clause));
    case T_NullTest:
      return null_test(reinterpret_cast<NullTest*>(clause));
    case T_Var:
    case T_FuncExpr:
    case T_BoolExpr: {
      bool negated = false;
      if (IsA(clause, BoolExpr)) {
        auto* expr = reinterpret_cast<BoolExpr*>(clause);
        if (expr->boolop == OR_EXPR) return any_of(expr->args);
        if (expr->boolop == AND_EXPR) {
          ListCell* cell;
          foreach (cell, expr->args)
            if (!filter(static_cast<Node*>(lfirst(cell)))) return false;
          return true;
        }
        negated = true;
        clause = static_cast<Node*>(linitial(expr->args));
      }
      if ((!IsA(clause, Var) && !IsA(clause, FuncExpr)) || exprType(clause) != BOOLOID)
        return false;
      int value = expression(clause);
      if (value < 0 || program.expressions[value].bytes != 1) return false;
      Filter f = int_comparison(BTEqualStrategyNumber, !negated);
      f.expression = value;
      filters_->push_back(f);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace datahike::exec
