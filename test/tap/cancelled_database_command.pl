# Commands on a database that do not come to their end, or were never allowed, leave its fold worker to it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'heap has no fold worker' if $Cluster::am eq 'heap';
my @commands = (
    'DROP DATABASE other',
    'ALTER DATABASE other RENAME TO another',
    'ALTER DATABASE other SET TABLESPACE elsewhere',
    'CREATE DATABASE copy TEMPLATE other',
);
plan tests => 3 * @commands + 2 * 4 + 6;

my $c = Cluster->new('datahike.fold_delay = 5ms', 'allow_in_place_tablespaces = on');
my $psql = "psql -XqAt -h $c->{dir}/socket -U postgres";
my $worker = "FROM pg_stat_activity WHERE backend_type = 'datahike fold worker' AND datname = 'other'";
my $uuid = qr/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

sub other {
    my ($statement, $options) = @_;
    my $answer = `PGOPTIONS='-c statement_timeout=15s' timeout 30 $psql -c "$statement" other 2>&1`;
    chomp $answer;
    return $answer;
}

# pid of the worker of `other`; it is there and has something to fold
sub busy_worker {
    other('INSERT INTO t DEFAULT VALUES; SELECT datahike.commit_id()');
    my $pid = $c->sql("SELECT pid $worker");
    $pid =~ /^\d+$/ or die "no worker: $pid";
    return $pid;
}

$c->sql('CREATE DATABASE other TEMPLATE template0');
$c->sql("SET allow_in_place_tablespaces = on; CREATE TABLESPACE elsewhere LOCATION ''");
other('CREATE EXTENSION datahike');
for my $command (@commands) {
    other('CREATE TABLE IF NOT EXISTS t (id int GENERATED ALWAYS AS IDENTITY) USING datahike');
    my $pid = busy_worker();
    # A worker that cannot answer: the command waits for it to leave.
    kill 'STOP', $pid;
    my $before = time;
    my $answer = $c->sql("SET statement_timeout = '1s'; $command");
    like($answer, qr/57014/, "$command: given up");
    kill 'CONT', $pid;
    sleep 0.3;
    like(other('SELECT datahike.commit_id()'), $uuid, 'the worker answers again');
    other('INSERT INTO t DEFAULT VALUES');
    like(other('SELECT datahike.commit_id()'), $uuid, 'and again');
}

for my $command (@commands) {
    # The session that waits is terminated.
    my $pid = busy_worker();
    kill 'STOP', $pid;
    my $file = "$c->{home}/terminated.sql";
    my $child = fork // die $!;
    exec("PGAPPNAME=waiting timeout 30 $psql -c '$command' test >$file 2>&1") unless $child;
    $c->wait_for(sub { $c->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waiting'") eq '1' });
    sleep 0.3;
    $c->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waiting'");
    waitpid $child, 0;
    is($c->sql("SELECT count(*) FROM pg_database WHERE datname = 'other'"), '1', "$command: its session terminated");
    kill 'CONT', $pid;
    sleep 0.3;
    like(other('SELECT datahike.commit_id()'), $uuid, 'the worker answers again');
}

# Somebody who may not run the commands cannot make the worker leave.
$c->sql('CREATE ROLE nobody; CREATE ROLE maker CREATEDB');
my $pid = busy_worker();
like($c->sql("SET ROLE nobody; $_"), qr/42501/, "$_: refused") for @commands[0 .. 2];
like($c->sql("SET ROLE maker; $commands[3]"), qr/42501/, "$commands[3]: refused");
is($c->sql("SELECT pid $worker"), $pid, 'the worker has stayed');
is($c->sql('DROP DATABASE other; SELECT count(*) FROM pg_database WHERE datname = \'other\''), '0', 'its owner can drop it');
