# Thousands of connections, on two branches and some of them terminated in the middle, leave nothing behind: no lock, no
# reader slot, no file descriptor, no memory.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'heap keeps nothing' if $Cluster::am eq 'heap';
plan tests => 16;

my $connections = $ENV{CONNECTIONS} // 2000;
my $c = Cluster->new('datahike.fold_delay = 20ms', 'dynamic_shared_memory_type = mmap', 'min_dynamic_shared_memory = 0');
# A transfer keeps the sum; history is written on heap and on datahike in the same transaction.
$c->sql(<<'SQL');
CREATE TABLE account (id int PRIMARY KEY, balance int);
CREATE TABLE history (id int, branch text);
CREATE TABLE history_on_heap (id int, branch text) USING heap;
INSERT INTO account SELECT g, 0 FROM generate_series(1, 2000) g;
SELECT datahike.set_keep_history('account', 'none');
SELECT datahike.create_branch('other');
SQL

my $script = "$c->{home}/transfer.sql";
open my $out, '>', $script or die $!;
print $out <<'SQL';
\set a random(1, 1000)
\set b random(1001, 2000)
SELECT count(*) FROM account WHERE id BETWEEN :a AND :a + 50;
BEGIN;
UPDATE account SET balance = balance - 1 WHERE id = :a;
INSERT INTO history VALUES (:a, datahike.current_branch());
INSERT INTO history_on_heap VALUES (:a, datahike.current_branch());
SELECT balance FROM account WHERE id = :b FOR UPDATE;
UPDATE account SET balance = balance + 1 WHERE id = :b;
COMMIT;
SQL
close $out;

# A child of this process: each transaction has a connection of its own.
sub connections {
    my ($branch, $clients, $each) = @_;
    my $pid = fork // die $!;
    return $pid if $pid;
    $ENV{PGOPTIONS} = "-c datahike.branch=$branch";
    exec("timeout 100 pgbench -n -C -c $clients -t $each -f $script -h $c->{dir}/socket -U postgres test >$c->{home}/pgbench-$branch.out 2>&1");
}

sub everywhere {
    my ($clients, $each) = @_;
    my @children = map { connections($_, $clients, $each) } qw(db other);
    my $failed = 0;
    for (@children) { waitpid $_, 0; $failed++ if $?; }
    return $failed;
}

sub worker { return $c->sql('SELECT worker_pid FROM datahike.stats()') }

# What a process has open, without the files of relations and of WAL: PostgreSQL keeps some of them open for later.
sub descriptors {
    my ($pid) = @_;
    my @open = map { readlink($_) // () } glob "/proc/$pid/fd/*";
    return join "\n", sort map { s/:\[\d+\]$//r } grep { !m{/(base|global|pg_wal|pg_xact|pg_multixact)/} } @open;
}

# KB of a process's own memory, without what it shares with others
sub own_memory {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/status" or return 0;
    my ($kb) = join('', <$file>) =~ /^RssAnon:\s+(\d+)/m;
    return $kb // 0;
}

sub shared_bytes {
    my $bytes = 0;
    $bytes += -s $_ for glob "$c->{dir}/data/pg_dynshmem/*";
    return $bytes;
}

sub settled {
    $c->wait_for(sub { $c->sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'") eq '0' });
    $c->sql('SELECT datahike.commit_id()');
}

sub balanced {
    my ($when) = @_;
    for my $branch (qw(db other)) {
        is($c->sql("SET datahike.branch = '$branch'; SELECT sum(balance), (SELECT count(*) FROM history WHERE branch = '$branch')"
            . " = (SELECT count(*) FROM history_on_heap WHERE branch = '$branch') FROM account"), '0|t', "$when: branch $branch has whole transactions");
    }
}

# As many at a time as later on: LMDB never gives up a reader slot, it uses it again.
everywhere(6, int($connections / 60));
settled();
my $worker = worker();
my $postmaster = $c->postmaster;
my %before = (
    worker => descriptors($worker), postmaster => descriptors($postmaster), shared => shared_bytes(),
    worker_memory => own_memory($worker), postmaster_memory => own_memory($postmaster),
    readers => $c->sql('SELECT readers FROM datahike.stats()'),
);

is(everywhere(4, int($connections / 10)), 0, 'thousands of connections work');
is($c->sql('SELECT count(*) FROM history_on_heap'), 2 * (6 * int($connections / 60) + 4 * int($connections / 10)), 'all of them');
balanced('after them');

# Whoever is connected may be terminated: while it starts, reads, writes, commits or ends.
my $terminated = 0;
for (1 .. 8) {
    my @children = map { connections($_, 6, 8) } qw(db other);
    for (1 .. 4) {
        $terminated += $c->sql("SET client_min_messages = error; SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
            WHERE application_name = 'pgbench' ORDER BY random() LIMIT 3) x");
        sleep 0.01;
    }
    waitpid $_, 0 for @children;
}
cmp_ok($terminated, '>', 20, 'many are terminated');
settled();
balanced('with some terminated');

is(worker(), $worker, 'the fold worker is the same');
is($c->sql('SELECT worker_error FROM datahike.stats()'), '', 'and has no error');
cmp_ok($c->sql('SELECT readers FROM datahike.stats()'), '<=', $before{readers} + 4, 'reader slots');
is(descriptors($worker), $before{worker}, 'file descriptors of the worker');
is(descriptors($postmaster), $before{postmaster}, 'file descriptors of the postmaster');
cmp_ok(own_memory($worker), '<', $before{worker_memory} + 8192, 'memory of the worker');
cmp_ok(own_memory($postmaster), '<', $before{postmaster_memory} + 1024, 'memory of the postmaster');
cmp_ok(shared_bytes(), '<=', $before{shared}, 'shared memory');
is($c->sql("SET datahike.branch = 'other'; SELECT count(*) FROM (SELECT FROM account FOR UPDATE NOWAIT) x;
    SET datahike.branch = 'db'; SELECT count(*) FROM (SELECT FROM account FOR UPDATE NOWAIT) x;
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity USING (pid) WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"),
    "2000\n2000\n0", 'no row lock and no lock');
note("KB before: $before{worker_memory} $before{postmaster_memory}, after: ", join ' ', own_memory($worker), own_memory($postmaster));
note("readers before: $before{readers}, after: ", $c->sql('SELECT readers FROM datahike.stats()'), "; terminated: $terminated");
