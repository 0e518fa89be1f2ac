#include "exec/compile_types.h"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace datahike::exec {

using vector::Op;
using vector::Type;

Compiler::Compiler(Relation relation, Index table, Index build)
    : relation_(relation), table_(table), build_(build) {}

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
  if (build_ && var->varno != static_cast<int>(table_)) return build_column(var);
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
  c.decimal = decimal_scale(att->atttypid, att->atttypmod);
  if (c.decimal >= 0) c.type = Type::Int;
  program.columns.push_back(c);
  attributes.push_back(attribute);
  return static_cast<int>(program.columns.size() - 1);
}

// A column of type text or varchar. `equality`: it is compared, by a collation under which only
// equal bytes are equal.
int Compiler::text_column(Node* node, bool equality) {
  // A cast that changes nothing may still be to a type with an equality of its own (bpchar,
  // citext).
  for (Node* n = node; n && IsA(n, RelabelType);
       n = reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(n)->arg)) {
    Oid to = reinterpret_cast<RelabelType*>(n)->resulttype;
    if (to != TEXTOID && to != VARCHAROID) return -1;
  }
  Node* var = strip(node);
  if (!var || !IsA(var, Var)) return -1;
  Oid type = reinterpret_cast<Var*>(var)->vartype;
  // Where all strings have the same number of characters only equal bytes are equal.
  bool padded =
      type == BPCHAROID && IsA(node, Var) && equality && reinterpret_cast<Var*>(var)->vartypmod > 0;
  if (type != TEXTOID && type != VARCHAROID && !padded) return -1;
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
  for (; node && IsA(node, RelabelType);
       node = reinterpret_cast<Node*>(reinterpret_cast<RelabelType*>(node)->arg)) {
    Oid to = reinterpret_cast<RelabelType*>(node)->resulttype;
    // As in text_column(). A numeric keeps its scale only as what it is.
    if (!is_int_like(to) && !is_float(to)) return -1;
  }
  if (!node) return -1;
  switch (nodeTag(node)) {
    case T_Var: {
      Oid type = reinterpret_cast<Var*>(node)->vartype;
      if (type == NUMERICOID) return decimal_column(node);
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
      if (reinterpret_cast<Const*>(node)->consttype == NUMERICOID)
        return decimal_constant(reinterpret_cast<Const*>(node));
      return constant(reinterpret_cast<Const*>(node));
    case T_OpExpr: {
      auto* op = reinterpret_cast<OpExpr*>(node);
      return call(op->opfuncid, op->args);
    }
    case T_FuncExpr: {
      auto* function = reinterpret_cast<FuncExpr*>(node);
      if (int score = anomaly(function); score >= 0) return score;
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
  if (!arguments) return -1;
  if (int time = time_call(function, arguments); time >= 0) return time;
  if (int decimal = decimal_call(function, arguments); decimal >= 0) return decimal;
  int left = expression(static_cast<Node*>(linitial(arguments)));
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

bool Compiler::key(Node* node) {
  if (program.keys.size() == 32) return false;
  vector::Key key;
  key.text = text_column(node, true);
  if (key.text < 0) {
    key.expression = expression(node);
    if (key.expression < 0) key.expression = time_field(node);
    if (key.expression < 0 || program.expressions[key.expression].type == Type::Wide) return false;
  }
  program.keys.push_back(key);
  return true;
}

}  // namespace datahike::exec
