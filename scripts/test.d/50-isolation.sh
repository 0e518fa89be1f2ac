# Two-session rules: specs in test/isolation/specs, run by PostgreSQL's isolation tester.
dir=$TEST_TMP/isolation
mapfile -t specs < <(cd "$root/test/isolation/specs" 2>/dev/null && ls ./*.spec 2>/dev/null | sed 's|^\./||; s/\.spec$//' | sort)
[ "${#specs[@]}" -gt 0 ] || { skip "test/isolation/specs is empty"; return; }
need_cluster "$dir/cluster" || return
cluster_database isolation >"$dir/database.log" 2>&1 || { not_ok "no database" "$dir/database.log"; return; }
PGISOLATIONTIMEOUT=20 timeout 400 "$PGBIN/../lib/pgxs/src/test/isolation/pg_isolation_regress" --use-existing --dbname=isolation \
  --bindir="$PGBIN" --host="$PGHOST" --port="$PGPORT" --user=postgres --inputdir="$root/test/isolation" --outputdir="$dir" \
  "${specs[@]}" >"$dir/out" 2>&1
for name in "${specs[@]}"; do
  if grep -qE "^(test)? *$name +\.\.\. ok" "$dir/out"; then ok "$name"; continue; fi
  if [ -e "$dir/results/$name.out" ]; then
    not_ok "$name" <(diff -U2 "$root/test/isolation/expected/$name.out" "$dir/results/$name.out")
  else
    not_ok "$name" <(tail -5 "$dir/out")
  fi
done
cluster_stop "$dir/cluster"
