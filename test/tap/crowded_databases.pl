# More databases than max_worker_processes, written one after the other: a worker that has nothing to do makes way for another
# database's at once, and nobody is warned.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'heap has no fold worker' if $Cluster::am eq 'heap';
my @databases = map { "d$_" } 1 .. 5;
plan tests => 10;

# One place is the logical replication launcher's, two are left.
my $c = Cluster->new('max_worker_processes = 3', 'datahike.fold_delay = 5ms', 'restart_after_crash = on');
for my $database (@databases) {
    system("$FindBin::Bin/../cluster.sh", 'database', $c->{dir}, $database) == 0 or die "no database $database";
}

sub in { return $c->in(@_) }
sub workers { return $c->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'datahike fold worker'") }

my $said = join '', map { in($_, 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (0); SELECT pg_sleep(0.2)') } @databases;
is($said, '', 'no commit is warned');
cmp_ok(workers(), '<=', 2, 'there are two places');
my @unnamed = grep { in($_, 'SELECT datahike.commit_id()') !~ /^[0-9a-f-]{36}$/ } @databases;
is("@unnamed", '', 'who asks for a commit gets it in each');

for my $round (1 .. 10) {
    $said .= in($_, "INSERT INTO t VALUES ($round); SELECT pg_sleep(0.05)") for @databases;
}
is($said, '', 'nor where they are written by turns');
my @counts = map { in($_, 'SELECT datahike.commit_id() IS NOT NULL, count(*) FROM t') } @databases;
is("@counts", join(' ', ('t|11') x @databases), 'nothing is lost');
my @commits = map { in($_, 'SELECT commits FROM datahike.stats()') } @databases;
is("@commits", join(' ', ('12') x @databases), 'every commit has been folded');
my @bad = grep { in($_, "SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'") ne '0' } @databases;
is("@bad", '', 'the stores verify');

# Where all are at work there is no room.
$c->configure("datahike.crash_point = 'pause:before_store_commit'");
my $key = 100;
my $paused = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'datahike fold worker' AND datname IN ('d1', 'd2')";
ok($c->wait_for(sub { $key++; in($_, "INSERT INTO t VALUES ($key)") for qw(d1 d2); $c->sql($paused) eq '2' }, 60), 'two are at work');
like(in('d3', 'INSERT INTO t VALUES (100); INSERT INTO t VALUES (101)'), qr/WARNING:  53000: no fold worker can be started/, 'a commit is warned where all workers are at work');
$c->configure("datahike.crash_point = ''");
ok($c->wait_for(sub { in('d3', 'SELECT datahike.commit_id()') =~ /^[0-9a-f-]{36}$/ }, 60), 'until one is not');
