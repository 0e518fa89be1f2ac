# The guides in docs/ do what they say: their SQL is run, and its output compared with what they show.
dir=$TEST_TMP/guide
need_cluster "$dir/cluster" || return
for file in "$root"/docs/working-with-branches.md "$root"/docs/anomaly-detection.md "$root"/docs/datalog.md "$root"/docs/foreign-tables.md "$root"/docs/facts.md; do
  name=$(basename "$file" .md)
  timeout 240 "$root/test/guide/run" "$file" >"$dir/$name.out" 2>&1
  from_tap "$name" $? "$dir/$name.out"
done
cluster_stop "$dir/cluster"
