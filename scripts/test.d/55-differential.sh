# The same SQL on heap and on datahike (test/differential/run).
dir=$TEST_TMP/differential
need_extension || return
AM2=$AM CLUSTER_DIR=$dir/cluster timeout 400 "$root/test/differential/run" >"$dir/out" 2>&1
from_tap differential $? "$dir/out"
