#include "exec/execute_privilege.h"

extern "C" {
#include "catalog/objectaccess.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
}

namespace datahike::exec {

namespace {

Oid function_of(Node* node) {
  switch (nodeTag(node)) {
    case T_FuncExpr:
      return reinterpret_cast<FuncExpr*>(node)->funcid;
    case T_OpExpr:
    case T_DistinctExpr:
    case T_NullIfExpr:
      return reinterpret_cast<OpExpr*>(node)->opfuncid;
    case T_ScalarArrayOpExpr:
      return reinterpret_cast<ScalarArrayOpExpr*>(node)->opfuncid;
    case T_Aggref:
      return reinterpret_cast<Aggref*>(node)->aggfnoid;
    case T_WindowFunc:
      return reinterpret_cast<WindowFunc*>(node)->winfnoid;
    default:
      return InvalidOid;
  }
}

bool check(Node* node, void* context) {
  if (!node) return false;
  if (const Oid function = function_of(node); OidIsValid(function)) {
    const AclResult result = pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE);
    if (result != ACLCHECK_OK)
      aclcheck_error(result, IsA(node, Aggref) ? OBJECT_AGGREGATE : OBJECT_FUNCTION,
                     get_func_name(function));
    InvokeFunctionExecuteHook(function);
  }
  // PostgreSQL 15 declares walkers without parameters.
  return expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void*>(check)),
                                context);
}

}  // namespace

void require_execute(Node* expressions) { check(expressions, nullptr); }

}  // namespace datahike::exec
