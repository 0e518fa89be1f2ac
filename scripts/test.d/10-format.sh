# Every C++ file as clang-format wants it (.clang-format at the root): many at a time, for most of its time is starting. A file that
# differs is looked at by itself.
mapfile -t files < <(find "$root/src" "$root/test" "$root/bench" -name '*.cpp' -o -name '*.h' | sort)
formatted() { clang-format --dry-run -Werror --style=file "$@" 2>"$TEST_TMP/format/report"; }
for ((i = 0; i < ${#files[@]}; i += 50)); do
  part=("${files[@]:i:50}")
  all=0
  formatted "${part[@]}" && all=1
  for file in "${part[@]}"; do
    if [ "$all" = 1 ] || formatted "$file"; then ok "${file#"$root/"}"; else not_ok "${file#"$root/"}" "$TEST_TMP/format/report" 12; fi
  done
done
