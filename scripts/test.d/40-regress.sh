# pg_regress over sql/ and expected/, in a database of our own cluster.
dir=$TEST_TMP/regress
need_cluster "$dir/cluster" || return
mapfile -t tests < <(cd "$root/sql" && ls ./*.sql 2>/dev/null | sed 's|^\./||; s/\.sql$//' | sort)
[ "${#tests[@]}" -gt 0 ] || { skip "sql/ is empty"; return; }
cluster_database regress >"$dir/database.log" 2>&1 || { not_ok "no database" "$dir/database.log"; return; }
timeout 400 "$PGBIN/../lib/pgxs/src/test/regress/pg_regress" --use-existing --dbname=regress --bindir="$PGBIN" \
  --host="$PGHOST" --port="$PGPORT" --user=postgres --inputdir="$root" --outputdir="$dir" "${tests[@]}" >"$dir/out" 2>&1
for name in "${tests[@]}"; do
  if grep -qE "^(test)? *$name +\.\.\. ok" "$dir/out"; then ok "$name"; continue; fi
  if [ -e "$dir/results/$name.out" ]; then
    not_ok "$name" <(diff -U2 "$root/expected/$name.out" "$dir/results/$name.out")
  else
    not_ok "$name" <(tail -5 "$dir/out")
  fi
done
cluster_stop "$dir/cluster"
