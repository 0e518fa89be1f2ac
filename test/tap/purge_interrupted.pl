# purge() while its session is cancelled or terminated, or the worker leaves: the table's lock holds until nobody will write any
# more, and nobody ever sees a part of it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'heap has no history' if $Cluster::am eq 'heap';
plan tests => 23;

my $c = Cluster->new('restart_after_crash = on', 'datahike.fold_delay = 5ms', 'autovacuum = off');
$c->sql('CREATE TABLE t (id int PRIMARY KEY, v text); CREATE INDEX ON t (v); INSERT INTO t SELECT g, $$row $$ || g FROM generate_series(1, 1000) g; UPDATE t SET v = v || $$!$$ WHERE id <= 500; SELECT datahike.commit_id()');
my $purge = "pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%datahike.purge%'";
sub running { return $c->sql("SELECT count(*) FROM pg_stat_activity WHERE $purge") }
sub paused { my ($point) = @_; return $c->log_has(qr/pausing at crash point $point/) }
sub by_both { my ($id) = @_; return $c->sql("SELECT count(*) FROM t WHERE id + 0 = $id; SET enable_seqscan = off; SELECT count(*) FROM t WHERE v >= 'row $id' AND v <= 'row $id!'") }
my $damage = "SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')";

# Starts a purge that the worker pauses in.
sub begin_purge {
    my ($id, $point) = @_;
    my $before = paused($point);
    $c->configure("datahike.crash_point = 'pause:$point'");
    sleep 0.3;
    my $session = $c->session;
    print {$session->{to}} "SELECT datahike.purge('t', 'id = $id');\n";
    ok($c->wait_for(sub { paused($point) > $before }), "the worker pauses, $point");
    return $session;
}
sub go_on { $c->configure("datahike.crash_point = ''"); return $c->wait_for(sub { running() == 0 }) }

# Cancelled once the worker is at it: the session waits, its lock with it.
my $s = begin_purge(1, 'before_redaction_commit');
$c->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE $purge");
sleep 1;
is(running(), '1', 'a cancel is not heard while the worker writes');
like($c->sql("SET lock_timeout = '300ms'; SELECT count(*) FROM t"), qr/55P03/, 'nor is the lock given back');
ok(go_on(), 'then it ends');
is(by_both(1), "0\n0", 'the row is erased all the same');
is($c->sql("SELECT * FROM datahike.purge('t', 'id = 1')"), '0|0', 'the next call finishes it');

# Terminated.
$s = begin_purge(2, 'before_redaction_commit');
$c->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $purge");
sleep 1;
is(running(), '1', 'nor is a termination');
ok(go_on(), 'the session ends then');
is(by_both(2), "0\n0", 'the row is erased');

# The worker leaves before it has written: another one does it.
$s = begin_purge(3, 'before_redaction_commit');
$c->configure("datahike.crash_point = 'pause:nowhere'");
$c->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'datahike fold worker' OR backend_type = 'datahike fold worker'");
ok($c->wait_for(sub { running() == 0 }), 'a worker that is terminated is replaced');
is(by_both(3), "0\n0", 'and the row is erased');

# It leaves after it has written, before anybody is told.
my $reader = $c->session;
$c->tell($reader, 'SELECT count(*) FROM t WHERE id = 4;');
$s = begin_purge(4, 'after_redaction_commit');
$c->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'datahike fold worker'");
ok(go_on(), 'what was written counts');
is(by_both(4), "0\n0", 'the row is erased');
$c->tell($reader, "CREATE TABLE seen USING heap AS SELECT count(*) FROM t WHERE id IN (4, 5);");
is($c->sql('SELECT * FROM seen'), '1', 'for a session that had read it, too');

# Paused while it takes rows out of the segments: nobody waits for that but the caller.
$s = begin_purge(5, 'before_erasure_commit');
$c->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE $purge");
ok($c->wait_for(sub { running() == 0 }), 'that can be cancelled');
is(by_both(5), "0\n0", 'the row is gone before its bytes are');
go_on();
ok($c->wait_for(sub { $c->sql("SELECT count(*) FROM datahike.verify() WHERE detail LIKE '%not taken them out%'") eq '0' }), 'the worker goes on by itself');
is($c->sql($damage), '0', 'the store verifies');
is($c->sql('SELECT count(*) FROM t'), '995', 'nothing else is gone');
