#include "exec/compile.h"

#include <cmath>

#include "pg/bridge.h"

extern "C" {
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "utils/pg_locale.h"
}

namespace datahike::exec {

using vector::Filter;
using vector::Op;
using vector::Sum;
using vector::Test;
using vector::Type;

namespace {

bool is_integer(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }

// Types that are held as integers and compared as such.
bool is_int_like(Oid type) {
  return is_integer(type) || type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID ||
         type == BOOLOID || type == OIDOID;
}

bool is_float(Oid type) { return type == FLOAT4OID || type == FLOAT8OID; }

uint8_t bytes_of(Oid type) {
  switch (type) {
    case BOOLOID:
      return 1;
    case INT2OID:
      return 2;
    case INT4OID:
    case DATEOID:
      return 4;
    default:
      return 8;
  }
}

// As a column's word has it.
uint64_t word_of(Datum value, Oid type) {
  switch (type) {
    case BOOLOID:
      return DatumGetBool(value);
    case INT2OID:
      return static_cast<uint64_t>(int64_t{DatumGetInt16(value)});
    case INT4OID:
    case DATEOID:
      return static_cast<uint64_t>(int64_t{DatumGetInt32(value)});
    case OIDOID:  // sign-extended, as columns are (column/kind.h)
      return static_cast<uint64_t>(int64_t{static_cast<int32_t>(DatumGetObjectId(value))});
    case FLOAT4OID: {
      double wide = DatumGetFloat4(value);
      return DatumGetUInt64(Float8GetDatum(wide));
    }
    default:
      return DatumGetUInt64(value);
  }
}

Node* strip(Node* node) {
  while (node && IsA(node, RelabelType))
    node = reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(node)->arg);
  return node;
}

bool is_deterministic(Oid collation) {
  return OidIsValid(collation) &&
         pg::call([=] { return get_collation_isdeterministic(collation); });
}

std::string text_of(Datum value) {
  auto* detoasted = pg::call([=] { return PG_DETOAST_DATUM_PACKED(value); });
  return std::string(VARDATA_ANY(detoasted), VARSIZE_ANY_EXHDR(detoasted));
}

}  // namespace

Compiler::Compiler(Relation relation, Index table) : relation_(relation), table_(table) {}

int Compiler::add(const Expression& expression) {
  auto& all = program.expressions;
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i] == expression) return static_cast<int>(i);
  all.push_back(expression);
  return static_cast<int>(all.size() - 1);
}

// The number of the column among those that are read.
int Compiler::column(Node* node) {
  node = strip(node);
  if (!node || !IsA(node, Var)) return -1;
  auto* var = reinterpret_cast<Var*>(node);
  if (var->varno != static_cast<int>(table_) || var->varlevelsup != 0 || var->varattno <= 0)
    return -1;
  int attribute = var->varattno - 1;
  for (size_t i = 0; i < attributes.size(); ++i)
    if (attributes[i] == attribute) return static_cast<int>(i);
  FormData_pg_attribute* att = TupleDescAttr(RelationGetDescr(relation_), attribute);
  am::Attribute described = pg::call([=] { return am::describe_attribute(*att); });
  vector::Column c;
  c.number = var->varattno;
  c.kind = described.kind;
  c.width = described.width;
  c.type = is_float(att->atttypid)      ? Type::Float
           : is_int_like(att->atttypid) ? Type::Int
                                        : Type::Text;
  program.columns.push_back(c);
  attributes.push_back(attribute);
  return static_cast<int>(program.columns.size() - 1);
}

// A column of type text or varchar. `equality`: it is compared, by a collation under which only
// equal bytes are equal.
int Compiler::text_column(Node* node, bool equality) {
  Node* var = strip(node);
  if (!var || !IsA(var, Var)) return -1;
  Oid type = reinterpret_cast<Var*>(var)->vartype;
  if (type != TEXTOID && type != VARCHAROID) return -1;
  Oid collation = exprCollation(node);
  if (equality && !is_deterministic(collation)) return -1;
  return column(var);
}

int Compiler::constant(Const* value) {
  bool real = is_float(value->consttype);
  if (!real && !is_int_like(value->consttype)) return -1;
  Expression e;
  e.op = Op::Constant;
  e.type = real ? Type::Float : Type::Int;
  e.bytes = real ? 8 : bytes_of(value->consttype);
  e.null = value->constisnull;
  if (!e.null) e.value = word_of(value->constvalue, value->consttype);
  return add(e);
}

int Compiler::expression(Node* node) {
  node = strip(node);
  if (!node) return -1;
  switch (nodeTag(node)) {
    case T_Var: {
      Oid type = reinterpret_cast<Var*>(node)->vartype;
      if (!is_float(type) && !is_int_like(type)) return -1;
      int read = column(node);
      if (read < 0) return -1;
      Expression e;
      e.op = Op::Column;
      e.type = is_float(type) ? Type::Float : Type::Int;
      e.bytes = is_float(type) ? 8 : bytes_of(type);
      e.argument = read;
      return add(e);
    }
    case T_Const:
      return constant(reinterpret_cast<Const*>(node));
    case T_OpExpr: {
      auto* op = reinterpret_cast<OpExpr*>(node);
      return call(op->opfuncid, op->args);
    }
    case T_FuncExpr: {
      auto* function = reinterpret_cast<FuncExpr*>(node);
      return call(function->funcid, function->args);
    }
    default:
      return -1;
  }
}

namespace {

struct Function {
  Op op;
  Type type;
  uint8_t bytes;  // of the result
  uint8_t real;   // which arguments are to be floats (1, 2)
};

bool describe_function(Oid oid, Function* out) {
  switch (oid) {
#define DATAHIKE_INTEGER(NAME, OPERATION)                 \
  case F_INT2##NAME:                                      \
    return *out = {Op::OPERATION, Type::Int, 2, 0}, true; \
  case F_INT4##NAME:                                      \
  case F_INT24##NAME:                                     \
  case F_INT42##NAME:                                     \
    return *out = {Op::OPERATION, Type::Int, 4, 0}, true; \
  case F_INT8##NAME:                                      \
  case F_INT84##NAME:                                     \
  case F_INT48##NAME:                                     \
  case F_INT82##NAME:                                     \
  case F_INT28##NAME:                                     \
    return *out = {Op::OPERATION, Type::Int, 8, 0}, true; \
  case F_FLOAT8##NAME:                                    \
  case F_FLOAT48##NAME:                                   \
  case F_FLOAT84##NAME:                                   \
    return *out = {Op::OPERATION, Type::Float, 8, 0}, true;
    DATAHIKE_INTEGER(PL, Add)
    DATAHIKE_INTEGER(MI, Subtract)
    DATAHIKE_INTEGER(MUL, Multiply)
    DATAHIKE_INTEGER(DIV, Divide)
#undef DATAHIKE_INTEGER
    case F_INT2MOD:
      return *out = {Op::Modulo, Type::Int, 2, 0}, true;
    case F_INT4MOD:
      return *out = {Op::Modulo, Type::Int, 4, 0}, true;
    case F_INT8MOD:
      return *out = {Op::Modulo, Type::Int, 8, 0}, true;
    case F_FLOAT8_INT2:
    case F_FLOAT8_INT4:
    case F_FLOAT8_INT8:
      return *out = {Op::IntToFloat, Type::Float, 8, 0}, true;
    default:
      return false;
  }
}

bool widens(Oid function) {
  return function == F_INT4_INT2 || function == F_INT8_INT2 || function == F_INT8_INT4 ||
         function == F_FLOAT8_FLOAT4;
}

bool is_length(Oid function) {
  return function == F_LENGTH_TEXT || function == F_CHARACTER_LENGTH_TEXT ||
         function == F_CHAR_LENGTH_TEXT || function == F_TEXTLEN;
}

}  // namespace

int Compiler::call(Oid function, List* arguments) {
  if (is_length(function)) {
    int encoding = GetDatabaseEncoding();
    bool utf8 = encoding == PG_UTF8;
    if (!utf8 && pg_database_encoding_max_length() > 1) return -1;
    int text = text_column(static_cast<Node*>(linitial(arguments)), false);
    if (text < 0) return -1;
    Expression e;
    e.op = Op::Length;
    e.bytes = 4;
    e.argument = text;
    e.value = utf8;
    return add(e);
  }
  int left = arguments ? expression(static_cast<Node*>(linitial(arguments))) : -1;
  if (left < 0 || widens(function)) return left;
  Function known;
  if (!describe_function(function, &known)) return -1;
  Expression e;
  e.op = known.op;
  e.type = known.type;
  e.bytes = known.bytes;
  e.left = left;
  if (known.op != Op::IntToFloat) {
    if (list_length(arguments) != 2) return -1;
    e.right = expression(static_cast<Node*>(lsecond(arguments)));
    if (e.right < 0) return -1;
  }
  return add(e);
}

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

namespace {

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

// Whether integers of both types are compared by their words.
bool comparable(Oid a, Oid b) {
  return (is_integer(a) && is_integer(b)) || (is_float(a) && is_float(b)) ||
         (a == b && is_int_like(a) && a != OIDOID);
}

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
  // Bounds of one expression from both sides are tested at once.
  if (f.test == Test::Range)
    for (Filter& other : program.filters) {
      if (other.test != Test::Range || other.expression != expression) continue;
      if (other.has_low != f.has_low && other.has_high != f.has_high) {
        if (f.has_low) {
          other.has_low = true;
          other.low_open = f.low_open;
          other.low = f.low;
        } else {
          other.has_high = true;
          other.high_open = f.high_open;
          other.high = f.high;
        }
        return true;
      }
    }
  program.filters.push_back(f);
  return true;
}

bool Compiler::compare(OpExpr* clause) {
  if (list_length(clause->args) != 2) return false;
  if (like(clause) || compare_text(clause)) return true;
  auto* left = strip(static_cast<Node*>(linitial(clause->args)));
  auto* right = strip(static_cast<Node*>(lsecond(clause->args)));
  int strategy = comparison_strategy(clause->opno);
  if (strategy == 0) return false;
  if (IsA(left, Const)) {
    std::swap(left, right);
    strategy = commuted(strategy);
  }
  if (!IsA(right, Const) || !comparable(exprType(left), exprType(right))) return false;
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
  program.filters.push_back(std::move(f));
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
  program.filters.push_back(std::move(f));
  return true;
}

bool Compiler::one_of(ScalarArrayOpExpr* clause) {
  if (!clause->useOr) return false;
  auto* left = static_cast<Node*>(linitial(clause->args));
  auto* list = reinterpret_cast<Const*>(strip(static_cast<Node*>(lsecond(clause->args))));
  if (!IsA(list, Const)) return false;
  Oid element = get_element_type(list->consttype);
  bool text = clause->opfuncid == F_TEXTEQ;
  if (!text && (comparison_strategy(clause->opno) != BTEqualStrategyNumber ||
                !comparable(exprType(strip(left)), element)))
    return false;
  if (text && (!is_deterministic(clause->inputcollid) || element != TEXTOID)) return false;
  Filter f;
  f.test = text ? Test::TextIn : Test::OneOf;
  (text ? f.column : f.expression) = text ? text_column(left, true) : expression(left);
  if (f.column < 0 && f.expression < 0) return false;
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
    for (int i = 0; i < count; ++i) {
      if (nulls[i]) continue;  // as good as no element: the row does not pass by it
      if (text)
        f.texts.push_back(text_of(values[i]));
      else
        f.words.push_back(word_of(values[i], element));
    }
    if (!text && !is_float(element))
      std::sort(f.words.begin(), f.words.end(), [](uint64_t a, uint64_t b) {
        return static_cast<int64_t>(a) < static_cast<int64_t>(b);
      });
  }
  program.filters.push_back(std::move(f));
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
  program.filters.push_back(std::move(f));
  return true;
}

bool Compiler::filter(Node* clause) {
  if (!clause) return false;
  switch (nodeTag(clause)) {
    case T_OpExpr:
      return compare(reinterpret_cast<OpExpr*>(clause));
    case T_ScalarArrayOpExpr:
      return one_of(reinterpret_cast<ScalarArrayOpExpr*>(clause));
    case T_NullTest:
      return null_test(reinterpret_cast<NullTest*>(clause));
    case T_Var:
    case T_BoolExpr: {
      bool negated = false;
      if (IsA(clause, BoolExpr)) {
        auto* expr = reinterpret_cast<BoolExpr*>(clause);
        if (expr->boolop != NOT_EXPR) return false;
        negated = true;
        clause = static_cast<Node*>(linitial(expr->args));
      }
      if (!IsA(clause, Var) || exprType(clause) != BOOLOID) return false;
      int value = expression(clause);
      if (value < 0) return false;
      Filter f = int_comparison(BTEqualStrategyNumber, !negated);
      f.expression = value;
      program.filters.push_back(f);
      return true;
    }
    default:
      return false;
  }
}

bool Compiler::key(Node* node) {
  if (program.keys.size() == 32) return false;
  vector::Key key;
  key.text = text_column(node, true);
  if (key.text < 0) {
    key.expression = expression(node);
    if (key.expression < 0) return false;
  }
  program.keys.push_back(key);
  return true;
}

}  // namespace datahike::exec
