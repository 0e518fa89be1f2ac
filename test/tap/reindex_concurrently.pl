# REINDEX CONCURRENTLY of the whole database (reindexdb --concurrently) replaces the extension's own indexes too: sessions that have
# used them, in a transaction or not, and the fold worker go on.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no branches' if $Cluster::am eq 'heap';
plan tests => 10;

my $c = Cluster->new;
$c->sql('CREATE TABLE t (id int PRIMARY KEY, v text); CREATE INDEX ON t (v); INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;');
my $work = <<'S';
INSERT INTO t SELECT max(id) + 1, 'x' FROM t;
SELECT datahike.create_branch('b');
SET datahike.branch = 'b';
UPDATE t SET v = 'b' WHERE id = 1;
RESET datahike.branch;
SELECT count(*) FROM datahike.merge('b');
SELECT datahike.tag('now');
SELECT datahike.delete_tag('now');
SELECT datahike.delete_branch('b');
SELECT count(*) > 0 FROM datahike.reflog('db');
SELECT count(*) > 0 FROM datahike.log('db');
SELECT count(*) > 0 FROM datahike.transact('[{:db/ident :a/b}]');
S
# Sessions that stay: ask() returns what a session has said to the statements.
my $opened = 0;
sub session {
    my $file = "$c->{home}/session" . ++$opened;
    open(my $to, '|-', "psql -XqAt -h $c->{dir}/socket -U postgres test >$file 2>&1") or die $!;
    $to->autoflush(1);
    return {to => $to, file => $file, read => 0};
}
sub ask {
    my ($session, $statements) = @_;
    my $mark = 'done' . int(rand 1e9);
    print {$session->{to}} "$statements\n\\echo $mark\n";
    my $said = '';
    $c->wait_for(sub {
        open my $f, '<', $session->{file} or return 0;
        seek $f, $session->{read}, 0;
        local $/;
        $said = <$f> // '';
        return $said =~ /$mark/;
    }) or return "ERROR: no answer: $said";
    $session->{read} += length $said;
    return $said;
}

my $used = session();
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'datahike fold worker'";
my $first = ask($used, $work);
unlike($first, qr/ERROR/, 'a session uses every table of the extension') or diag($first);
my $folding = $c->sql($worker);

# One that has begun, and read no table of the extension under a snapshot.
my $begun = session();
ask($begun, "SELECT count(*) FROM t; SELECT count(*) FROM datahike.reflog('db'); SELECT count(*) FROM datahike.tags();");
ask($begun, 'BEGIN; SELECT 1;');
my $said = `reindexdb --concurrently -h $c->{dir}/socket -U postgres test 2>&1`;
is($?, 0, 'reindexdb --concurrently') or diag($said);
unlike($said, qr/error/i, 'without an error');
my $later = ask($begun, "SELECT count(*) FROM t; SELECT count(*) > 0 FROM datahike.reflog('db'); SELECT count(*) FROM datahike.tags(); SELECT count(*) FROM datahike.branches();");
unlike($later, qr/ERROR/, 'a transaction that had begun goes on') or diag($later);
ask($begun, 'COMMIT;');

my $again = ask($used, $work);
unlike($again, qr/ERROR/, 'so does the session') or diag($again);
is($c->sql($worker), $folding, 'the fold worker is the same');
is($c->sql("SELECT worker_error FROM datahike.stats()"), '', 'and works');
$said = join '', map { $c->sql("REINDEX TABLE CONCURRENTLY datahike.$_") } qw(tag reflog table_history branch fact_tx facts heads tx_log relation index_omissions);
is($said, '', 'table by table');
$again = ask($used, $work);
unlike($again, qr/ERROR/, 'it goes on again') or diag($again);
is($c->sql("SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'"), '0', 'the store verifies');
