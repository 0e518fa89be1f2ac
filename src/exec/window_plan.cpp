// A WindowPlan as lists that a plan can be copied with.
#include "exec/window.h"

namespace datahike::exec {

List* pack(const WindowOfPlan& window) {
  return list_make3(window.order, window.directions, makeInteger(window.partition));
}

WindowOfPlan unpack_one_window(const List* packed) {
  return {static_cast<List*>(linitial(packed)), static_cast<List*>(lsecond(packed)),
          intVal(lthird(packed))};
}

List* pack(const WindowPlan& plan) {
  return list_make3(plan.windows, plan.columns, plan.functions);
}

WindowPlan unpack_window(const List* custom_private) {
  auto* packed = static_cast<List*>(llast(custom_private));
  return {static_cast<List*>(linitial(packed)), static_cast<List*>(lsecond(packed)),
          static_cast<List*>(lthird(packed))};
}

List* pack(const WindowFunction& f) {
  List* packed = NIL;
  for (const int number : {f.kind, f.window, f.begin, f.begin_rows, f.end, f.end_rows, f.source,
                           f.filter, f.offset, static_cast<int>(f.type)})
    packed = lappend(packed, makeInteger(number));
  return f.other ? lappend(packed, f.other) : packed;
}

WindowFunction unpack_function(const List* packed) {
  const auto number = [packed](int i) { return intVal(list_nth(packed, i)); };
  WindowFunction f{};
  f.kind = number(0);
  f.window = number(1);
  f.begin = number(2);
  f.begin_rows = number(3);
  f.end = number(4);
  f.end_rows = number(5);
  f.source = number(6);
  f.filter = number(7);
  f.offset = number(8);
  f.type = static_cast<Oid>(number(9));
  if (list_length(packed) > 10) f.other = static_cast<Const*>(list_nth(packed, 10));
  return f;
}

}  // namespace datahike::exec
