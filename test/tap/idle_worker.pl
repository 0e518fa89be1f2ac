# More databases than max_worker_processes: a worker that has nothing to do gives its place back and comes again with the
# next commit; who commits where none can be started is told so.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap has no fold worker' if $Cluster::am eq 'heap';
my $rounds = 40;
plan tests => 16;

# One place is the logical replication launcher's, two are left.
my $c = Cluster->new('max_worker_processes = 3', 'datahike.worker_idle_timeout = 0', 'datahike.fold_delay = 5ms', 'restart_after_crash = on');
for my $other (qw(b c)) {
    system("$FindBin::Bin/../cluster.sh", 'database', $c->{dir}, $other) == 0 or die "no database $other";
}

sub in { return $c->in(@_) }
sub workers { return $c->sql("SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_stat_activity WHERE backend_type = 'datahike fold worker'") }
sub log_rows { return in($_[0], 'SELECT count(*) FROM datahike.tx_log') }

for my $database (qw(test b)) { in($database, 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); SELECT datahike.commit_id()') }
is(workers(), 'b test', 'both places are taken');
my $told = in('c', 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);');
like($told, qr/WARNING:  53000: no fold worker can be started.*HINT:  Raise max_worker_processes/s, 'who commits in a third database is told');
is(() = $told =~ /WARNING/g, 1, 'once');
is(in('c', 'SELECT count(*) FROM t'), '2', 'what is committed is there');
like(in('c', 'SELECT commits, branches, worker_pid, worker_error FROM datahike.stats()'), qr/^0\|1\|0\|no worker could be started/, 'stats() says why nothing is folded');
like(in('c', 'SELECT datahike.commit_id()'), qr/could not be started/, 'commits have no names');

$c->configure('datahike.worker_idle_timeout = 1s');
ok($c->wait_for(sub { workers() eq '' }, 60), 'idle workers leave');
is(log_rows('b'), '0', 'when the log is purged');
like(in('c', 'SELECT datahike.commit_id()'), qr/^[0-9a-f-]{36}$/, 'there is room for another');
is(in('c', 'SELECT commits, worker_error FROM datahike.stats()'), '3|', 'all is folded');

# A commit is folded without being asked for, whenever it comes: also just as the worker leaves.
$c->configure("datahike.notify = on");
sleep 0.5;
my $late = 0;
my $restarts = 0;
for my $round (1 .. $rounds) {
    $restarts++ if workers() !~ /test/;
    $c->sql("INSERT INTO t VALUES (100 + $round)");
    $late++ unless $c->wait_for(sub { $c->sql("SELECT changes FROM datahike.heads h, LATERAL (SELECT 1 AS changes) x WHERE h.tx >= $round + 2 LIMIT 1") eq '1' }, 15);
    sleep(0.9 + 0.4 * rand);
}
is($late, 0, 'no commit waits for another one');
is($c->sql('SELECT count(*) FROM t'), $rounds + 1, 'none is lost');
ok($c->wait_for(sub { workers() !~ /test/ }, 60), 'and again it leaves');

# What holds it.
my $old = $c->session;
$c->tell($old, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t;');
$c->sql('INSERT INTO t VALUES (1000)');
sleep 14;
like(workers(), qr/test/, 'it stays while the log cannot be purged');
$c->tell($old, 'COMMIT;');
ok($c->wait_for(sub { workers() !~ /test/ }, 60), 'and leaves then');
is(in('test', "SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'"), '0', 'the store verifies');
