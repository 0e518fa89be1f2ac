# Long concurrent runs: every executable in test/stress; exit status 0 is success.
dir=$TEST_TMP/stress
need_extension || return
for file in "$root"/test/stress/*; do
  [ -f "$file" ] && [ -x "$file" ] || continue
  name=$(basename "$file")
  if timeout 180 "$file" >"$dir/$name.out" 2>&1; then ok "$name"; else not_ok "$name" <(tail -40 "$dir/$name.out"); fi
done
grep -q ' stress ' "$results" || skip "test/stress is empty"
