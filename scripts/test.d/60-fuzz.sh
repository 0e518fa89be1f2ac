# The differential fuzzer: the same seeds each time, so that a run says something about the change at hand; with --full, half an hour of others.
dir=$TEST_TMP/fuzz
need_extension || return
fuzz() {
  local name=$1 limit=$2; shift 2
  if timeout "$limit" "$root/test/fuzz/run" --am "$AM" --output "$dir" "$@" >"$dir/$name.out" 2>&1; then
    ok "$name"
  else
    not_ok "$name" <(grep -v '^seed [0-9]*: [a-z]*, ' "$dir/$name.out") 200
  fi
}
fuzz "one session" 240 --seed 1 --count 15 --kind one
fuzz "two sessions" 240 --seed 101 --count 6 --kind two
if [ "$AM" != heap ]; then fuzz "branches" 240 --seed 201 --count 4 --kind branches; fi
if [ "$FULL" = 1 ]; then fuzz "half an hour" 2400 --minutes 30; else fuzz "two more sessions" 240 --seed 301 --count 3; fi
# Aggregates that are computed column by column.
aggregates() {
  local name=$1 limit=$2; shift 2
  if timeout "$limit" "$root/test/fuzz/aggregates" "$@" >"$dir/$name.out" 2>&1; then ok "$name"; else not_ok "$name" "$dir/$name.out" 200; fi
}
if [ "$AM" != heap ]; then
  if [ "$FULL" = 1 ]; then aggregates "half an hour of aggregates" 2400 --minutes 30; else aggregates "aggregates" 240 --seed 1 --count 10; fi
fi
# Datalog over tables against SQL, rules against WITH RECURSIVE.
datalog() {
  local name=$1 limit=$2; shift 2
  if timeout "$limit" "$root/test/fuzz/datalog" "$@" >"$dir/$name.out" 2>&1; then ok "$name"; else not_ok "$name" "$dir/$name.out" 200; fi
}
if [ "$AM" != heap ]; then
  if [ "$FULL" = 1 ]; then datalog "half an hour of Datalog" 2400 --minutes 30; else datalog "Datalog" 240 --seed 1 --count 12; fi
fi
