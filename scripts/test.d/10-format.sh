# Every C++ file as clang-format wants it (.clang-format at the root).
while read -r file; do
  if clang-format --dry-run -Werror --style=file "$file" 2>"$TEST_TMP/format/report"; then ok "${file#"$root/"}"; else not_ok "${file#"$root/"}" "$TEST_TMP/format/report" 12; fi
done < <(cd "$root" && find "$root/src" "$root/test" "$root/bench" -name '*.cpp' -o -name '*.h' | sort)
