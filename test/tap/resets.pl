# Branches that are set to other commits: over kill -9 at every point around it, prepared, purged from the log, and where
# history is collected, with tags.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap has no branches' if $Cluster::am eq 'heap';
my @points = qw(before_store_commit after_store_commit after_heads);
plan tests => 47;

my $c = Cluster->new('fsync = on', 'datahike.fold_delay = 5ms', 'restart_after_crash = on');
sub head { return $c->sql('SELECT datahike.commit_id()') }
my $rows = 'SELECT string_agg(id || v, $$ $$ ORDER BY id)';
my $by_index = 'SET enable_seqscan = off; SET enable_bitmapscan = off;';
# the rows, by sequential and by index scan; a refusal shows as its SQLSTATE
sub look {
    my ($set, $table) = @_;
    my ($seq, $index) = map { $c->sql(($set // '') . "$_ $rows FROM " . ($table // 't') . ' WHERE id > 0') } 'SET enable_indexscan = off; SET enable_bitmapscan = off;', $by_index;
    s/.*ERROR:\s+(\w+):.*/$1/s for $seq, $index;
    return $seq eq $index ? $seq : "sequential $seq, by index $index";
}
sub at_commit { return look("SET datahike.commit_id = '$_[0]';", $_[1]) }
sub force { my $answer = $c->sql("SELECT datahike.force_branch('db', '$_[0]')"); $answer =~ s/.*ERROR:\s+(\w+):.*/$1/s; return $answer }

$c->sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'a');");
my $base = head();
$c->sql("UPDATE t SET v = 'b' WHERE id = 1; INSERT INTO t VALUES (3, 'b');");
my $old = head();

# Power fails as soon as the reset and a commit after it are answered.
is($c->sql("SELECT datahike.force_branch('db', '$base'); INSERT INTO t VALUES (4, 'c');"), $base, 'a reset and a commit');
$c->kill_everything;
ok($c->start, 'power fails and returns');
is(look(), '1a 2a 4c', 'both are there');
is(at_commit($old), '1b 2a 3b', 'as is the old line');
is($c->sql('SELECT count(*) FROM datahike.log()'), '3', "the log is the new line's");

# The worker dies at each point of the fold after a reset, which a session waits for.
my $next = 10;
for my $point (@points) {
    is(force($base), $base, "$point: reset");
    my $before = $c->log_has(qr/stopping at crash point $point/);
    $c->configure("datahike.crash_point = '$point'");
    ok($c->wait_for(sub { $c->sql('SHOW datahike.crash_point') eq $point }), "$point: set");
    $c->sql("INSERT INTO t VALUES (" . ++$next . ", 'd'); SELECT datahike.commit_id();");
    ok($c->wait_for(sub { $c->log_has(qr/stopping at crash point $point/) > $before }), "$point: the worker stops there");
    $c->configure("datahike.crash_point = ''");
    ok($c->wait_for(sub { $c->alive && $c->sql('SHOW datahike.crash_point') eq '' }), "$point: the server comes back");
    is(look(), "1a 2a ${next}d", "$point: the new line has its rows");
    is(at_commit($old), '1b 2a 3b', "$point: the old line too");
}

# It dies while the reset waits for the fold: the reset never was, what it waited for is there.
$c->configure("datahike.crash_point = 'before_store_commit'");
ok($c->wait_for(sub { $c->sql('SHOW datahike.crash_point') eq 'before_store_commit' }), 'set');
like($c->sql("INSERT INTO t VALUES (20, 'e'); SELECT datahike.force_branch('db', '$base')"), qr/ERROR|FATAL|WARNING|connection|server/, 'the server goes down under a reset');
$c->configure("datahike.crash_point = ''");
ok($c->wait_for(sub { $c->alive && $c->sql('SHOW datahike.crash_point') eq '' }), 'and comes back');
is(look(), "1a 2a ${next}d 20e", 'the branch is where it was, with the last commit');

# A prepared reset.
my $seen = $c->session;
$c->tell($seen, 'SELECT count(*) FROM t;');
is($c->sql("BEGIN; SELECT datahike.force_branch('db', '$old'); INSERT INTO t VALUES (21, 'f'); PREPARE TRANSACTION 'reset';"), $old, 'a reset is prepared');
like($c->sql("SET lock_timeout = '100ms'; INSERT INTO t VALUES (22, 'g')"), qr/55P03/, 'writers wait for it');
$c->kill_everything;
ok($c->start, 'power fails and returns');
is(look(), "1a 2a ${next}d 20e", 'readers see nothing of it');
like($c->sql("SET lock_timeout = '100ms'; INSERT INTO t VALUES (22, 'g')"), qr/55P03/, 'writers wait still');
my $reader = $c->session;
$c->tell($reader, 'SELECT count(*) FROM t;');
$c->sql("COMMIT PREPARED 'reset'");
is(look(), '1b 2a 3b 21f', 'COMMIT PREPARED sets the branch');
$c->tell($reader, "CREATE TEMP TABLE found AS $rows AS r FROM t;");
$c->tell($reader, 'COPY found TO STDOUT;');
is(do { open my $f, '<', $reader->{out}; (grep { /b/ } <$f>)[0] // '' }, "1b 2a 3b 21f\n", 'for sessions that have looked before');
$c->sql("BEGIN; SELECT datahike.force_branch('db', '$base'); PREPARE TRANSACTION 'never'; ROLLBACK PREPARED 'never';");
is(look(), '1b 2a 3b 21f', 'ROLLBACK PREPARED leaves it');
is($c->sql("SELECT operation FROM datahike.reflog('db', 2)"), "commit\nreset", 'and nothing in the reflog');

# The log is purged of resets as of commits, and transaction numbers go on.
my $line = head();
$c->sql("SELECT datahike.force_branch('db', '$base'); SELECT datahike.force_branch('db', '$line'); SELECT datahike.force_branch('db', '$base')");
close $_->{to} for $seen, $reader;
ok($c->wait_for(sub { $c->sql("SELECT count(*) FROM datahike.tx_log") eq '0' && $c->sql('SELECT count(*) FROM datahike.heads') eq '1' }, 40), 'the log is purged');
$c->sql("INSERT INTO t VALUES (30, 'h')");
is(look(), '1a 2a 30h', 'which changes nothing');
is($c->sql("SELECT (SELECT tx FROM datahike.commit_info()) > (SELECT max(tx) FROM datahike.log('$line'))"), 't', 'transaction numbers are not given twice');

# Collecting history: what an old line, a snapshot or a tag can still read stays, by index too.
$c->sql("CREATE TABLE k (id int PRIMARY KEY, v text); INSERT INTO k VALUES (1, 'a'), (2, 'a'); SELECT datahike.set_keep_history('k', 'none')");
my $start = head();
$c->sql("SELECT datahike.tag('kept', '$start'); UPDATE k SET v = 'b'; INSERT INTO k VALUES (3, 'b')");
my $left = head();
my $snapshot = $c->session;
$c->tell($snapshot, "BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TEMP TABLE seen (r text) USING heap; INSERT INTO seen $rows FROM k;");
is(force('kept'), $start, 'a branch can be set to a tag where history is not kept');
$c->sql("UPDATE k SET v = 'c' WHERE id = 1; UPDATE k SET v = 'd' WHERE id = 1; VACUUM k");
is(look('', 'k'), '1d 2a', 'the new line');
$c->tell($snapshot, "$by_index INSERT INTO seen $rows FROM k WHERE id > 0; COMMIT; COPY seen TO STDOUT;");
is(do { open my $f, '<', $snapshot->{out}; join '', grep { /b/ } <$f> }, "1b 2b 3b\n" x 2, 'an older snapshot, before and after');
is(at_commit($left, 'k') =~ /^(1b 2b 3b|72000)$/ ? 'right' : at_commit($left, 'k'), 'right', 'the old line is right, or collected');
$c->sql("UPDATE k SET v = 'e' WHERE id = 1; VACUUM k; UPDATE k SET v = 'f' WHERE id = 1; VACUUM k");
is(at_commit($start, 'k'), '1a 2a', 'a tag keeps its commit');
$c->sql("SELECT datahike.delete_tag('kept'); UPDATE k SET v = 'g' WHERE id = 1; VACUUM k; UPDATE k SET v = 'h'; VACUUM k");
is(at_commit($start, 'k'), '72000', 'until it is deleted');
is(force($start), '72000', 'no branch can be set to what has been collected');
is(look('', 'k'), '1h 2h', 'the branch stays');
close $snapshot->{to};
