# Crash and restart: plain Perl with Test::More, one file a scenario; each makes its cluster with test/cluster.sh.
dir=$TEST_TMP/tap
need_extension || return
for file in "$root"/test/tap/*.pl; do
  [ -e "$file" ] || { skip "test/tap is empty"; return; }
  name=$(basename "$file" .pl)
  timeout 240 perl "$file" >"$dir/$name.out" 2>&1
  from_tap "$name" $? "$dir/$name.out"
done
