# A table of a million rows: branched, changed on both branches, read at each of its commits, and all of it
# again after every process was killed.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More tests => 16;

my $c = Cluster->new('restart_after_crash = on');
$c->sql(<<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, s text);
INSERT INTO t SELECT g, g % 1000, 'row ' || g % 77 FROM generate_series(1, 1000000) g;
SQL
my $look = 'SELECT count(*), sum(v), count(DISTINCT s) FROM t';
my %expected = (loaded => '1000000|499500000|77');
my %commit = (loaded => $c->sql('SELECT datahike.commit_id()'));

sub at_commit {
    my ($name, $query) = @_;
    return $c->sql("SET datahike.commit_id = '$commit{$name}'; $query");
}

is($c->sql($look), $expected{loaded}, 'loaded');
$c->sql("SELECT datahike.create_branch('b')");
is($c->sql("SET datahike.branch = 'b'; $look"), $expected{loaded}, 'the branch has every row');

# every tenth row on one branch, every seventh deleted on the other
$c->sql("UPDATE t SET v = v + 1 WHERE id % 10 = 0");
$commit{updated} = $c->sql('SELECT datahike.commit_id()');
$expected{updated} = '1000000|499600000|77';
$c->sql("SET datahike.branch = 'b'; DELETE FROM t WHERE id % 7 = 0");
$commit{deleted} = $c->sql("SET datahike.branch = 'b'; SELECT datahike.commit_id()");
$expected{deleted} = $c->sql("SELECT count(*), sum(g % 1000), count(DISTINCT g % 77) FROM generate_series(1, 1000000) g WHERE g % 7 <> 0");
$c->sql("SET datahike.branch = 'b'; INSERT INTO t SELECT g, 1, 'new' FROM generate_series(1000001, 1010000) g");
$commit{inserted} = $c->sql("SET datahike.branch = 'b'; SELECT datahike.commit_id()");
my ($rows, $sum, $kinds) = split /\|/, $expected{deleted};
$expected{inserted} = join '|', $rows + 10000, $sum + 10000, $kinds + 1;

sub check {
    my ($when) = @_;
    is(at_commit($_, $look), $expected{$_}, "$when: the commit '$_'") for qw(loaded updated deleted inserted);
    is($c->sql($look), $expected{updated}, "$when: the default branch");
    is($c->sql("SET datahike.branch = 'b'; $look"), $expected{inserted}, "$when: the other branch");
}
check('at once');
is(at_commit('loaded', 'SET enable_seqscan = off; SELECT v FROM t WHERE id = 70'), '70', 'one index serves old commits');
# the last change is acknowledged and not folded when the power goes
$c->sql("UPDATE t SET v = v - 1 WHERE id % 10 = 0; UPDATE t SET v = v + 1 WHERE id % 10 = 0");
$c->kill_everything;
ok($c->start, 'the server starts again');
check('after kill -9');
