# The extension builds without a warning and installs.
if need_extension; then ok "builds and installs"; fi
if [ -s "$TEST_TMP/build.log" ] && grep -qi 'warning:' "$TEST_TMP/build.log"; then
  not_ok "warnings" <(grep -iA4 'warning:' "$TEST_TMP/build.log")
fi
