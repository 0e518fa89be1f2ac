# CREATE DATABASE ... TEMPLATE carries rows, branches and history, folded or not, with both strategies; the copy and
# its template go their own ways afterwards. A command that is cancelled leaves nothing behind, one that the server's
# death cuts off nothing that does harm. RENAME and SET TABLESPACE keep the store, DROP DATABASE removes it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'heap has no store' if $Cluster::am eq 'heap';
plan tests => 44;

my $c = Cluster->new('allow_in_place_tablespaces = on', 'datahike.fold_delay = 5ms');
my $stores = "$c->{dir}/data/datahike";

sub in { return $c->in(@_) }
sub oid_of { return in('postgres', "SELECT oid FROM pg_database WHERE datname = '$_[0]'") }

# Tables with a block of rowids in shared memory, of all databases.
sub blocks { return in('test', 'SELECT rowid_blocks FROM datahike.stats()') }

my $look = <<'SQL';
SELECT count(*), sum(id), md5(string_agg(v, ',' ORDER BY id)) FROM t;
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT count(*), sum(id) FROM t WHERE id > 0;
SET datahike.branch = 'side';
SELECT count(*), sum(id), md5(string_agg(v, ',' ORDER BY id)) FROM t;
RESET datahike.branch;
SQL
my $history = $look . "SELECT count(*), md5(string_agg(commit_id::text, ',' ORDER BY commit_id::text)) FROM datahike.log();";

in('test', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 5000) g;
SELECT datahike.create_branch('side');
UPDATE t SET v = 'changed' WHERE id % 7 = 0;
DELETE FROM t WHERE id > 4900;
SET datahike.branch = 'side';
INSERT INTO t SELECT g, 'side' FROM generate_series(6000, 6100) g;
SELECT datahike.commit_id();
SQL

my $blocks = blocks();
# The log rows of the last changes are most probably not folded when the command begins.
for my $strategy ('wal_log', 'file_copy') {
    in('test', "UPDATE t SET v = v || '$strategy' WHERE id < 300; DELETE FROM t WHERE id = 400 + length('$strategy')");
    is(in('postgres', "CREATE DATABASE copy TEMPLATE test STRATEGY $strategy"), '', "$strategy: created");
    is(in('copy', $look), in('test', $look), 'the same rows on both branches');
    is(in('copy', $history), in('test', $history), 'and the same commits');
    my $before = in('test', $history);
    in('copy', <<'SQL');
INSERT INTO t SELECT g, 'copy' FROM generate_series(10000, 10500) g;
UPDATE t SET v = 'copy' WHERE id = 1;
SELECT datahike.create_branch('of the copy');
SET datahike.branch = 'side';
DELETE FROM t WHERE id < 100;
SQL
    is(in('copy', "SELECT count(*), count(*) FILTER (WHERE v = 'copy') FROM t"), 5401 - ($strategy eq 'wal_log' ? 1 : 2) . '|502', 'the copy changes');
    is(in('test', $history), $before, 'the template does not');
    in('test', "INSERT INTO t VALUES (20000, 'template')");
    is(in('copy', 'SELECT count(*) FROM t WHERE id = 20000'), '0', 'nor the copy with it');
    in('test', 'DELETE FROM t WHERE id = 20000');
    my $oid = oid_of('copy');
    ok(-e "$stores/$oid/data.mdb", 'there is a store');
    is(blocks() - $blocks, 1, 'and a block of rowids for the table that has been written');
    in('postgres', 'DROP DATABASE copy');
    ok(!-e "$stores/$oid", 'which goes with the database');
    is(blocks(), $blocks, 'as the block does');
}

# What the copy's sequences have given is not given again after a crash.
in('postgres', 'CREATE DATABASE copy TEMPLATE test STRATEGY wal_log');
in('copy', "INSERT INTO t VALUES (30000, 'before'); CREATE TABLE before (id int) USING datahike; INSERT INTO before VALUES (1)");
$c->kill_everything;
ok($c->start, 'the server starts after a crash');
in('copy', "INSERT INTO t VALUES (30001, 'after'); CREATE TABLE after (id int) USING datahike; INSERT INTO after VALUES (2)");
is(in('copy', 'SELECT * FROM t WHERE id >= 30000 ORDER BY id'), "30000|before\n30001|after", 'rows of the copy are not lost');
is(in('copy', 'SELECT (SELECT sum(id) FROM before), (SELECT sum(id) FROM after)'), '1|2', 'nor tables one');
in('postgres', 'DROP DATABASE copy');

# A template whose rows are in the log alone.
in('postgres', 'CREATE DATABASE young TEMPLATE template0');
$c->configure("datahike.fold_delay = '10s'");
in('young', "CREATE EXTENSION datahike; CREATE TABLE t (id int) USING datahike; INSERT INTO t VALUES (1), (2)");
in('postgres', 'CREATE DATABASE younger TEMPLATE young');
is(in('younger', 'SELECT sum(id) FROM t'), '3', 'a template without a store');
$c->configure("datahike.fold_delay = '5ms'");
in('younger', 'INSERT INTO t VALUES (4)');
like(in('younger', 'SELECT sum(id) FROM t; SELECT count(*) > 1 FROM datahike.log()'), qr/^7\nt$/, 'whose copy makes its own');
is(in('young', 'SELECT sum(id) FROM t'), '3', 'beside the template\'s');
is(in('postgres', 'CREATE DATABASE plain TEMPLATE template0; SELECT 1'), '1', 'a template without the extension');

# The session is connected to the template itself.
is(in('younger', 'SELECT sum(id) FROM t; CREATE DATABASE youngest TEMPLATE younger; SELECT sum(id) FROM t'), "7\n7", 'its own database as the template');
is(in('youngest', 'SELECT sum(id) FROM t'), '7', 'is copied');

# stopped_copy(): a backend stopped while it creates `copy`, when the store has been copied; its pid and the store's directory
sub stopped_copy {
    my $child = fork // die $!;
    exec("timeout 60 psql -XqAt -h $c->{dir}/socket -U postgres -c 'CREATE DATABASE copy TEMPLATE test STRATEGY file_copy' postgres >$c->{home}/copying 2>&1") unless $child;
    my %before = map { $_ => 1 } glob "$stores/*";
    my $directory;
    while (!$directory && waitpid($child, 1) == 0) { ($directory) = grep { !$before{$_} && -e "$_/data.mdb" } glob "$stores/*" }
    # By its title: who asked the server for it would often come too late.
    my $title = sub { open my $file, '<', "/proc/$_[0]/cmdline" or return ''; return <$file> // '' };
    my ($pid) = grep { $title->($_) =~ /CREATE DATABASE/ } $c->children;
    $pid //= '';
    kill 'STOP', $pid if $pid =~ /^\d+$/;
    return ($pid, $directory, $child);
}
my $before = in('test', $history);
for my $death ('cancelled', 'killed') {
    my ($pid, $directory, $child, $stopped);
    for (1 .. 20) {  # it may have been faster, or past the point where it can be cancelled
        ($pid, $directory, $child) = stopped_copy();
        $stopped = $pid =~ /^\d+$/ && oid_of('copy') eq '' && -e "$directory/data.mdb";
        last if $stopped && $death eq 'killed';
        kill 'INT', $pid if $stopped;
        kill 'CONT', $pid if $pid =~ /^\d+$/;
        waitpid $child, 0;
        last if $stopped && oid_of('copy') eq '';
        in('postgres', 'DROP DATABASE IF EXISTS copy');
    }
    ok($stopped, "$death while the database is created");
    if ($death eq 'cancelled') {
        ok(!-e $directory, 'no store is left');
    } else {
        $c->kill_everything;
        waitpid $child, 0;
        ok($c->start, 'the server starts');
    }
    is(oid_of('copy'), '', 'nor is there a database');
    is(in('test', $history), $before, 'the template is what it was');
    is(in('postgres', 'CREATE DATABASE copy TEMPLATE test'), '', 'and can be one again');
    is(in('copy', $look), in('test', $look), 'with all its rows');
    in('postgres', 'DROP DATABASE copy');
}

in('postgres', "CREATE TABLESPACE elsewhere LOCATION ''");
in('postgres', 'CREATE DATABASE copy TEMPLATE test');
is(in('postgres', 'ALTER DATABASE copy RENAME TO renamed; ALTER DATABASE renamed SET TABLESPACE elsewhere'), '', 'renamed and moved');
is(in('renamed', $history), $before, 'a database keeps its store');
ok($c->log_has('FATAL|PANIC|terminated by signal') == 0, 'nothing crashed but what was to');
