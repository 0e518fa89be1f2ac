# Small segments are joined in the background, beside readers that hold an older state, and by a worker that dies at any point.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

my @points = qw(before_join_commit after_join_commit);
plan skip_all => 'heap has no segments' if $Cluster::am eq 'heap';
plan tests => 17 + 5 * @points;

my $c = Cluster->new('restart_after_crash = on', 'datahike.fold_delay = 1ms', 'autovacuum = off', 'datahike.join_segments_after = 0');
$c->sql("CREATE TABLE t (id int PRIMARY KEY, n int, s text); CREATE TABLE h (LIKE t) USING heap");
my $next = 1;
# One-row transactions, each folded by itself.
sub trickle {
    my ($rows) = @_;
    my $last = $next + $rows - 1;
    $c->sql(<<"END");
DO \$\$ BEGIN
  FOR i IN $next .. $last LOOP
    INSERT INTO t VALUES (i, i * 7, 'row ' || i);
    INSERT INTO h VALUES (i, i * 7, 'row ' || i);
    COMMIT;
    PERFORM datahike.commit_id();
  END LOOP;
END \$\$
END
    $next = $last + 1;
}
sub segments { return $c->sql("SELECT datahike.relation_segments('t')") }
sub differences { return $c->sql('SELECT count(*) FROM ((TABLE t EXCEPT ALL TABLE h) UNION ALL (TABLE h EXCEPT ALL TABLE t)) x') }
sub corrupt { return $c->sql("SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'") }
sub joined { my ($below, $seconds) = @_; return $c->wait_for(sub { segments() < $below }, $seconds) }

trickle(150);
cmp_ok(segments(), '>=', 150, 'each fold leaves a segment where they are not joined');

# A reader that holds the state of before.
my $s = $c->session;
$c->tell($s, "BEGIN ISOLATION LEVEL REPEATABLE READ; DECLARE c CURSOR FOR SELECT id, n, s FROM t; FETCH 3 FROM c;");
$c->configure('datahike.join_segments_after = 32');
trickle(40);
ok(joined(60), 'in the background they are joined') or diag segments();
is(differences(), '0', 'and all rows are there');
$c->tell($s, "SELECT 'rest ' || count(*) FROM (SELECT 1) x; FETCH 1 FROM c; MOVE ALL FROM c; FETCH BACKWARD 1 FROM c; SELECT 'sees ' || count(*) || ' ' || sum(n) FROM t; SELECT 'key ' || s FROM t WHERE id = 77;");
$c->tell($s, 'COMMIT');
open my $file, '<', $s->{out} or die $!;
my $said = join '', <$file>;
like($said, qr/^4\|28\|row 4$/m, 'a cursor goes on over segments that have been joined');
like($said, qr/^150\|1050\|row 150$/m, 'to the end, and back');
my $sum = 7 * 150 * 151 / 2;
like($said, qr/^sees 150 $sum$/m, "an old snapshot sees what it saw");
like($said, qr/^key row 77$/m, 'by index, too');
close $s->{to};
is(corrupt(), '0', 'verify');

# Where there is not enough for that, idleness is.
$c->configure('datahike.join_segments_after = 10000');
$c->sql('VACUUM t');
my $before = segments();
trickle(20);
ok(joined($before + 12, 60), 'an idle worker joins what there is');

# A worker that starts does not know where small segments are.
$c->configure('datahike.join_segments_after = 0');
trickle(100);
$before = segments();
$c->configure('datahike.join_segments_after = 64');
$c->stop;
$c->start;
trickle(1);
ok(joined($before - 80, 60), 'a new worker finds small segments') or diag segments();
is(differences(), '0', 'and all rows are there');

for my $point (@points) {
    $c->configure('datahike.join_segments_after = 0');
    trickle(60);
    my $segments = segments();
    my $stops = $c->log_has(qr/stopping at crash point $point/);
    $c->configure("datahike.crash_point = '$point'");
    $c->configure('datahike.join_segments_after = 4');
    trickle(5);
    $c->sql('VACUUM t') if !$c->wait_for(sub { $c->log_has(qr/stopping at crash point $point/) > $stops }, 60);
    ok($c->log_has(qr/stopping at crash point $point/) > $stops, "$point: the worker stops there");
    $c->configure("datahike.crash_point = ''");
    ok($c->wait_for(sub { $c->alive }), "$point: the server comes back");
    # What of trickle() was committed when it was interrupted, is in both.
    is(differences(), '0', "$point: nothing is lost, nothing is there twice");
    $next = $c->sql('SELECT max(id) + 1 FROM h');
    $c->sql('VACUUM t');
    cmp_ok(segments(), '<=', 3, "$point: the next worker joins them");
    is(corrupt(), '0', "$point: verify");
}

# kill -9 of everything, at moments of nobody's choosing.
$c->configure('datahike.join_segments_after = 4');
for my $round (1 .. 3) {
    my $pid = fork // die $!;
    if (!$pid) { trickle(400); exec 'true' }
    select undef, undef, undef, 0.3 * $round;
    $c->kill_everything;
    waitpid $pid, 0;
    $c->start;
    is(differences(), '0', "round $round: as heap");
    $next = $c->sql('SELECT max(id) + 1 FROM h');
}
is(corrupt(), '0', 'verify');

# A copy of a store with joined segments is one of them.
$c->sql('VACUUM t');
is($c->sql("CREATE DATABASE copy TEMPLATE test"), '', 'a database made from it');
my $copied = `psql -XqAt -h $c->{dir}/socket -U postgres copy -c "SELECT count(*), sum(n) FROM t"`;
chomp $copied;
is($copied, $c->sql('SELECT count(*), sum(n) FROM h'), 'has its rows');
