# pg_terminate_backend and fast shutdown find the fold worker anywhere in a fold: the store stays usable by those who
# have it open, whoever waits gets his answer from the next worker, and the server stops at once.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap has no fold worker' if $Cluster::am eq 'heap';
my @points = qw(before_store_commit after_store_commit after_heads);
my $rounds = $ENV{ROUNDS} // 5;
plan tests => 2 * $rounds + 3 * @points + 8;

my $c = Cluster->new('datahike.fold_delay = 60s', 'restart_after_crash = on');
my $rows = 0;
my $worker = "FROM pg_stat_activity WHERE backend_type = 'datahike fold worker' AND datname = 'test'";
my $uuid = qr/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

sub commits {
    my ($count) = @_;
    $c->sql("DO \$\$ BEGIN FOR i IN 1 .. $count LOOP INSERT INTO t VALUES ($rows + i); COMMIT; END LOOP; END \$\$");
    $rows += $count;
}

sub background {
    my ($statement) = @_;
    my $out = "$c->{home}/background.out";
    my $pid = fork // die $!;
    exec("timeout 60 @{[$c->command]} -c \"$statement\" >$out 2>&1") unless $pid;
    return sub {
        waitpid $pid, 0;
        open my $file, '<', $out or return '';
        my $answer = join '', <$file>;
        chomp $answer;
        return $answer;
    };
}

sub pause_at {
    my ($point) = @_;
    $c->configure("datahike.crash_point = 'pause:$point'");
    sleep 0.5;  # until it has reached the worker
}

# seconds until the server has stopped
sub fast_stop {
    my $before = time;
    $c->stop('fast');
    return time - $before;
}

$c->sql('CREATE TABLE t (id int PRIMARY KEY); SELECT datahike.commit_id()');
# As long as a process has the store open its lock file is not made anew.
my $holder = $c->session;
$c->tell($holder, 'SELECT datahike.commit_id(); SELECT count(*) FROM t;');

for my $round (1 .. $rounds) {
    commits(30000);
    my $answer = background('SELECT datahike.commit_id()');
    sleep 0.06 + 0.03 * $round;
    $c->sql("SELECT pg_terminate_backend(pid) $worker");
    my $before = time;
    like($answer->(), $uuid, "round $round: who waits for a terminated worker gets an answer");
    cmp_ok(time - $before, '<', 20, "round $round: soon");
}

for my $point (@points) {
    my $seen = $c->log_has(qr/pausing at crash point $point/);
    pause_at($point);
    commits(1);  # not before: it might be folded before the setting is there
    my $answer = background('SELECT datahike.commit_id()');
    ok($c->wait_for(sub { $c->log_has(qr/pausing at crash point $point/) > $seen }), "$point: the worker is there");
    my $paused = $c->sql("SELECT pid $worker");
    $c->sql("SELECT pg_terminate_backend($paused)");
    ok($c->wait_for(sub { !Cluster::is_running($paused) }, 10), "$point: it ends when it is terminated");
    $c->configure("datahike.crash_point = ''");
    like($answer->(), $uuid, "$point: who waits gets an answer");
}
is($c->sql('SELECT count(*), count(DISTINCT id) FROM t'), "$rows|$rows", 'every row is there once');
is($c->sql("SELECT count(*) - count(DISTINCT tx), count(*) - count(DISTINCT commit_id) FROM datahike.log()"), '0|0', 'no commit is there twice');

# Shutdown in the middle of a large fold.
$c->sql('CREATE TABLE large (id int, v text); INSERT INTO large SELECT g, md5(g::text) FROM generate_series(1, 1500000) g');
commits(3000);
my $answer = background('SELECT datahike.commit_id()');
sleep 0.3;
cmp_ok(fast_stop(), '<', 10, 'fast shutdown does not wait for a large fold');
is($c->log_has(qr/received immediate shutdown/), 0, 'and needs no force');
$answer->();
close $holder->{to};
$c->start;
like($c->sql('SELECT datahike.commit_id()'), $uuid, 'the next worker folds after it');
is($c->sql("SELECT count(*) FROM t; SELECT count(*) FROM large"), "$rows\n1500000", 'all of it');

# The postmaster dies: PostgreSQL ends the worker from within, in the middle of a batch.
my $seen = $c->log_has(qr/pausing at crash point before_store_commit/);
pause_at('before_store_commit');
commits(1);
$answer = background('SELECT datahike.commit_id()');
$c->wait_for(sub { $c->log_has(qr/pausing at crash point before_store_commit/) > $seen });
my $paused = $c->sql("SELECT pid $worker");
my @all = ($c->postmaster, $c->children);
kill 'KILL', $all[0];
ok($c->wait_for(sub { !Cluster::is_running($paused) }, 10), 'the worker ends with the postmaster');
kill 'KILL', @all[1 .. $#all];
$c->wait_for(sub { !grep { Cluster::is_running($_) } @all });
unlink "$c->{dir}/data/postmaster.pid", glob "$c->{dir}/socket/.s.*";
$answer->();
open my $conf, '>>', "$c->{dir}/data/postgresql.conf" or die $!;
print $conf "datahike.crash_point = ''\n";
close $conf;
$c->start;
like($c->sql('SELECT datahike.commit_id()'), $uuid, 'and the next one finds the store free');
