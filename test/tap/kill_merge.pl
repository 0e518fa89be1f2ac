# Everything dies in the middle of merges and garbage collection: a merge is there with all that its transaction did, or not at all.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap has no merges' if $Cluster::am eq 'heap';
my $kills = 6;
plan tests => 7 * $kills + 1;

my $c = Cluster->new('restart_after_crash = on', 'datahike.fold_delay = 2ms', 'autovacuum = off');
$c->sql(<<'END');
CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE DEFERRABLE, n int CHECK (n >= 0));
INSERT INTO t SELECT g, g, 0 FROM generate_series(1, 200) g;
CREATE TABLE merged (n int) USING heap;
INSERT INTO merged VALUES (0);
SELECT FROM datahike.create_branch('f');
END
# The branch changes even rows, the trunk odd ones; the heap table notes in the merge's transaction what it has brought.
my $round = <<'END';
SET datahike.branch = 'f';
UPDATE t SET n = n + 1 WHERE id % 2 = 0;
RESET datahike.branch;
UPDATE t SET n = n + 1 WHERE id % 2 = 1;
BEGIN;
SELECT status FROM datahike.merge('f');
INSERT INTO merged SELECT max(n) FROM t WHERE id % 2 = 0;
COMMIT;
END
my $back = "SET datahike.branch = 'f';\nSELECT status FROM datahike.merge('db');\nRESET datahike.branch;\n";
my $gc = "SELECT FROM datahike.gc(now(), '0');\n";
my $script = "\\set ON_ERROR_STOP 0\n" . ($round . $round . $back . $round . $gc) x 500;

my $merges = 0;
for my $kill (1 .. $kills) {
    open my $out, '>', "$c->{home}/work" or die $!;
    print $out $script;
    close $out;
    my $pid = fork // die $!;
    if (!$pid) { exec 'sh', '-c', $c->command . " -f $c->{home}/work >$c->{home}/work.out 2>&1" or die }
    my $before = $c->sql('SELECT count(*) FROM merged');
    $c->wait_for(sub { $c->sql('SELECT count(*) FROM merged') > $before + 2 });
    sleep rand 0.5;
    $c->kill_everything;
    waitpid $pid, 0;
    ok($c->start, "kill $kill: the server starts");
    is($c->sql('SELECT count(DISTINCT n) FROM t WHERE id % 2 = 0'), '1', "kill $kill: a merge has brought all rows or none");
    is($c->sql('SELECT (SELECT max(n) FROM t WHERE id % 2 = 0) - (SELECT max(n) FROM merged)'), '0', "kill $kill: with what its transaction wrote elsewhere");
    is($c->sql('SELECT count(*), count(DISTINCT v), count(DISTINCT n) FILTER (WHERE id % 2 = 1) FROM t'), '200|200|1', "kill $kill: the trunk is whole");
    is($c->sql("SET datahike.branch = 'f'; SELECT count(*), count(DISTINCT n) FILTER (WHERE id % 2 = 0) FROM t"), '200|1', "kill $kill: so is the branch");
    is($c->sql("SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'"), '0', "kill $kill: the store verifies");
    like($c->sql($round . "SELECT max(n) FROM merged;\n" . $gc), qr/(merged|fast-forward)\n\d+$/, "kill $kill: merges go on");
    $merges = $c->sql('SELECT count(*) FROM merged');
}
cmp_ok($merges, '>', 3 * $kills, 'there were merges to be killed');
