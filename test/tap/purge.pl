# The log is purged of what has been folded: an old snapshot still sees what it saw, a session that sat
# idle meanwhile misses nothing, and the log does not grow.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More tests => 7;

my $c = Cluster->new('datahike.fold_delay = 10ms');
$c->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v int);
INSERT INTO t SELECT g, 0 FROM generate_series(1, 100) g;
CREATE TABLE seen (who text, step int, rows bigint, total bigint) USING heap;
SQL
my $look = 'count(*), sum(v) FROM t';
my $old = $c->session;
my $idle = $c->session;
ok($c->tell($old, "BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO seen SELECT 'old', 1, $look;"), 'a snapshot is taken');
ok($c->tell($idle, "INSERT INTO seen SELECT 'idle', 1, $look;"), 'and another session has looked');
for my $round (1 .. 3) {
    $c->sql("UPDATE t SET v = v + 1; INSERT INTO t VALUES (1000 + $round, 0); DELETE FROM t WHERE id = $round;");
    $c->sql('SELECT datahike.commit_id()');
}
# the old snapshot holds the purge back; once it has ended everything folded goes
my $before = $c->sql('SELECT count(*) FROM datahike.tx_log');
ok($before > 0, 'the log keeps what the old snapshot may need');
ok($c->tell($old, "INSERT INTO seen SELECT 'old', 2, $look; COMMIT;"), 'which still reads');
ok($c->wait_for(sub { $c->sql('INSERT INTO t VALUES (5000, 0); DELETE FROM t WHERE id = 5000; SELECT count(*) FROM datahike.tx_log') < $before }, 30),
    'then the log is purged');
$c->tell($idle, "INSERT INTO seen SELECT 'idle', 2, $look;");
is($c->sql("SELECT who, step, rows, total FROM seen ORDER BY who, step"), "idle|1|100|0\nidle|2|100|" . $c->sql('SELECT sum(v) FROM t') . "\nold|1|100|0\nold|2|100|0", 'everyone has seen what was there to see');
is($c->sql('SELECT count(*), sum(v) FROM t'), $c->sql("SET enable_seqscan = off; SELECT count(*), sum(v) FROM t WHERE id > 0"), 'by index as well');
