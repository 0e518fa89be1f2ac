# The fold worker dies at each point between the steps of a fold: every commit is folded once, none is lost.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

my @points = qw(before_store_commit after_store_commit after_heads);
plan skip_all => 'heap has no fold worker' if $Cluster::am eq 'heap';
plan tests => 8 * @points;

my $c = Cluster->new('restart_after_crash = on', 'datahike.fold_delay = 5ms');
$c->sql("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE h (id int PRIMARY KEY, n int) USING heap; SELECT datahike.create_branch('side')");
for my $point (@points) {
    my $commits = $c->sql('SELECT count(*) FROM datahike.log()');
    my ($rows, $last) = split /\|/, $c->sql('SELECT count(*), coalesce(max(id), 0) FROM h');
    my $before = $c->log_has(qr/stopping at crash point $point/);
    $c->configure("datahike.crash_point = '$point'");
    # commits until the worker is gone; each answered one counts
    my @answered;
    for my $i ($last + 1 .. $last + 200) {
        my $answer = $c->sql("SELECT 1; BEGIN; INSERT INTO t VALUES ($i, 0); INSERT INTO h VALUES ($i, 0); COMMIT; SELECT 'committed';");
        push @answered, $i if $answer =~ /^committed$/m;
        last if $c->log_has(qr/stopping at crash point $point/) > $before;
    }
    ok($c->wait_for(sub { $c->log_has(qr/stopping at crash point $point/) > $before }), "$point: the worker stops there");
    $c->configure("datahike.crash_point = ''");
    ok($c->wait_for(sub { $c->alive }), "$point: the server comes back");
    is($c->sql("SELECT count(*) FROM t WHERE id IN (" . join(',', 0, @answered) . ")"), scalar @answered, "$point: every answered commit is there");
    is($c->sql("SELECT count(*) FROM (TABLE t EXCEPT TABLE h) x"), '0', "$point: nothing more than in heap");
    is($c->sql("SELECT count(*) FROM (TABLE h EXCEPT TABLE t) x"), '0', "$point: nothing less");
    my $now = $c->sql('SELECT count(*) FROM h');
    is($c->sql("SELECT count(*) - $commits, count(DISTINCT commit_id) - count(*), count(DISTINCT tx) - count(*) FROM datahike.log()"),
        ($now - $rows) . '|0|0', "$point: each transaction is one commit");
    is($c->sql("SELECT coalesce(worker_error, '') FROM datahike.stats()"), '', "$point: the worker has no complaint");
    is($c->sql("SET datahike.branch = 'side'; SELECT count(*) FROM t"), '0', "$point: the other branch is untouched");
}
