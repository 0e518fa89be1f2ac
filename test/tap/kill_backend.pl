# kill -9 of a backend: no commit is lost, nothing uncommitted shows, and the next statement works.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More tests => 8;

my $c = Cluster->new('restart_after_crash = on');
$c->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT g, 'before' FROM generate_series(1, 1000) g;
SQL
my $session = $c->session;
ok($c->tell($session, "BEGIN; UPDATE t SET v = 'never' WHERE id <= 500; DELETE FROM t WHERE id > 900; INSERT INTO t SELECT g, 'never' FROM generate_series(2000, 4000) g; SAVEPOINT s; INSERT INTO t VALUES (5000, 'never');"),
    'a session is in the middle of a transaction');
$c->sql("UPDATE t SET v = 'acknowledged' WHERE id = 700;");
my $pid = $c->sql("SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'");
like($pid, qr/^\d+$/, 'and its backend is found');
kill 'KILL', $pid;
ok($c->wait_for(sub { $c->log_has(qr/all server processes terminated/) }), 'its end takes every session with it');
ok($c->wait_for(sub { $c->alive }), 'the server comes back');
is($c->sql("SELECT v, count(*) FROM t GROUP BY v ORDER BY v"), "acknowledged|1\nbefore|999", 'with what was committed');
is($c->sql("SET enable_seqscan = off; SELECT count(*) FROM t WHERE id > 900"), '100', 'by index too');
$c->sql("INSERT INTO t SELECT g, 'after' FROM generate_series(2000, 4000) g");
is($c->sql("SELECT count(*), count(DISTINCT id) FROM t"), '3001|3001', 'rows written afterwards do not meet the dead ones');
is($c->sql("SET enable_seqscan = off; SELECT v FROM t WHERE id = 2001"), 'after', 'nor do their index entries');
