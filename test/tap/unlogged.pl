# UNLOGGED tables keep their rows over a clean restart and are empty after a crash, as on heap, on every branch and in
# every old commit; whatever happens to the table then, what was lost stays lost, and indexes agree with the table.
# Each step is done to a table of either access method, and they are compared.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

my $datahike = $Cluster::am ne 'heap';
my @conf = $datahike ? ('datahike.fold_delay = 5ms') : ();
my $c = Cluster->new('allow_in_place_tablespaces = on', @conf);
my @tables = ('h', 'u');

# each(STATEMENTS): T is the table's name
sub each_table {
    my ($statements) = @_;
    my $errors = '';
    for my $table (@tables) {
        (my $own = $statements) =~ s/\bT\b/$table/g;
        $own =~ s/\bT_(\w+)/${table}_$1/g;
        $errors .= $c->sql($own);
    }
    return $errors;
}

sub look {
    my ($table) = @_;
    return $c->sql(<<SQL);
SELECT count(*), sum(id), md5(string_agg(v, ',' ORDER BY id)), min(id), max(id) FROM $table;
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT count(*), sum(id) FROM $table WHERE id >= 0;
SELECT count(*), sum(id) FROM $table WHERE v > '';
SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = on;
SELECT count(*), sum(id) FROM $table WHERE id >= 0;
SQL
}

sub same {
    my ($name) = @_;
    my $right = look('h');
    is(look('u'), $right, $name);
    return (split /\|/, $right)[0];
}

sub crash {
    $c->kill_everything;
    $c->start or die 'the server does not start';
}
sub restart {
    $c->stop && $c->start or die 'the server does not restart';
}
sub on_side { return $datahike ? $c->sql("SET datahike.branch = 'side'; SELECT count(*), coalesce(sum(id), 0) FROM u; SET enable_seqscan = off; SELECT count(*) FROM u WHERE id >= 0") : $_[0] }

my $fill = "INSERT INTO T SELECT g, 'v' || g FROM generate_series(1, 2000) g";
for my $table (@tables) {
    my $am = $table eq 'u' && $datahike ? 'datahike' : 'heap';
    $c->sql("CREATE UNLOGGED TABLE $table (id int PRIMARY KEY, v text) USING $am; CREATE INDEX ${table}_v ON $table (v)");
}
$c->sql("CREATE TABLE permanent (id int); INSERT INTO permanent VALUES (1)");
is(each_table($fill), '', 'filled');
is($c->sql("SELECT relpersistence FROM pg_class WHERE relname = 'u'"), 'u', 'it is unlogged');
my $old = '';
if ($datahike) {
    $old = $c->sql('SELECT datahike.commit_id()');
    $c->sql("SELECT datahike.create_branch('side'); SET datahike.branch = 'side'; INSERT INTO u SELECT g, 'side' FROM generate_series(5001, 5100) g");
}
my $side = "2100|2506050\n2100";
each_table("UPDATE T SET v = v || '!' WHERE id % 3 = 0; DELETE FROM T WHERE id > 1900");
same('rows');
restart();
is(same('after a clean restart'), 1900, 'nothing is lost');
is(on_side($side), $side, 'nor on another branch');

crash();
is(same('after a crash'), 0, 'the table is empty');
is(on_side("0|0\n0"), "0|0\n0", 'on another branch, too');
is($datahike ? $c->sql("SET datahike.commit_id = '$old'; SELECT count(*) FROM u") : 0, '0', 'and in an old commit');
is($c->sql('SELECT count(*) FROM permanent'), '1', 'others are not');
restart();
is(same('and a clean restart'), 0, 'it stays empty');

# The first rows afterwards are rolled back, then others come, in the same session.
each_table("BEGIN; INSERT INTO T VALUES (1, 'rolled back'); TRUNCATE T; INSERT INTO T VALUES (2, 'too'); ROLLBACK; INSERT INTO T VALUES (2, 'stays'), (3, 'stays'); UPDATE T SET v = 'changed' WHERE id = 3");
is(same('new rows'), 2, 'are all there are');
is(on_side("0|0\n0"), "0|0\n0", 'and not on the other branch');
$c->sql("SET datahike.branch = 'side'; INSERT INTO u VALUES (1, 'side')") if $datahike;
each_table('ANALYZE T; CREATE UNIQUE INDEX T_unique ON T (id, v); REINDEX TABLE T; VACUUM T');
same('new indexes');
restart();
is(same('a clean restart'), 2, 'keeps them');
is(on_side("1|1\n1"), "1|1\n1", 'those of the other branch as well');

# Not written down by a checkpoint, and written down by one.
for my $checkpoint ('', 'CHECKPOINT') {
    $c->sql($checkpoint);
    crash();
    is(same("a crash after '$checkpoint'"), 0, 'loses them');
    each_table($fill);
    is(same('the same keys again'), 2000, 'all of them');
}

# TRUNCATE is the branch's own.
$c->sql("SET datahike.branch = 'side'; INSERT INTO u VALUES (7, 'side')") if $datahike;
each_table("TRUNCATE T; INSERT INTO T VALUES (1, 'new')");
same('TRUNCATE');
is(on_side("1|7\n1"), "1|7\n1", 'leaves the other branch alone');
each_table("BEGIN; TRUNCATE T; INSERT INTO T VALUES (1, 'no'); ROLLBACK");
restart();
is(same('and rolled back'), 1, 'does nothing');

# Other files for the table.
$c->sql("SET datahike.branch = 'side'; DELETE FROM u") if $datahike;
$c->sql("CREATE TABLESPACE elsewhere LOCATION ''");
each_table($_) for "INSERT INTO T SELECT g, 'more' FROM generate_series(2, 50) g", 'VACUUM FULL T', 'CLUSTER T USING T_pkey', 'ALTER TABLE T SET TABLESPACE elsewhere';
same('VACUUM FULL, CLUSTER and SET TABLESPACE');
restart();
is(same('a clean restart'), 50, 'keeps all');
crash();
is(same('a crash'), 0, 'nothing');
each_table('VACUUM FULL T; ALTER TABLE T SET TABLESPACE pg_default');
is(same('another file'), 0, 'brings nothing back');

# SET LOGGED after a loss, and with rows.
each_table('ALTER TABLE T SET LOGGED');
is(same('SET LOGGED'), 0, 'does not, either');
is(on_side("0|0\n0"), "0|0\n0", 'nor on the other branch');
each_table("INSERT INTO T VALUES (1, 'logged')");
crash();
is(same('a logged table'), 1, 'survives');
is(on_side("0|0\n0"), "0|0\n0", 'as it was on the other branch');
each_table("TRUNCATE T; $fill");
crash();
is(same('with a new file'), 2000, 'again');
is(on_side("0|0\n0"), "0|0\n0", 'and on the other branch');
each_table('ALTER TABLE T SET UNLOGGED');
restart();
is(same('SET UNLOGGED'), 2000, 'keeps the rows');
each_table("ALTER TABLE T SET LOGGED; INSERT INTO T VALUES (3000, 'logged')");
crash();
is(same('and SET LOGGED'), 2001, 'them too');
$c->sql("SET datahike.branch = 'side'; INSERT INTO u VALUES (8, 'side'), (9, 'side')") if $datahike;
each_table('ALTER TABLE T SET UNLOGGED');
restart();
is(on_side("2|17\n2"), "2|17\n2", 'the other branch is rewritten, too');
each_table('ALTER TABLE T SET LOGGED');
crash();
is(same('with rows on both branches'), 2001, 'SET LOGGED keeps them');
is(on_side("2|17\n2"), "2|17\n2", 'on both');
each_table('ALTER TABLE T SET UNLOGGED');
crash();
is(same('a crash'), 0, 'does not');
is(on_side("0|0\n0"), "0|0\n0", 'on neither');

# With a floor, estimates come from the log: rows that went before a TRUNCATE are not taken off those after it.
if ($datahike) {
    $c->sql("INSERT INTO u VALUES (1, 'first')");
    $c->sql("ALTER SYSTEM SET datahike.fold_delay = '60s'");
    $c->sql('SELECT pg_reload_conf(); SELECT pg_sleep(0.5)');
    my @steps = ("INSERT INTO u SELECT g, 'x' FROM generate_series(11, 15) g", 'DELETE FROM u', 'TRUNCATE u', "INSERT INTO u VALUES (1, 'a'), (2, 'b'), (3, 'c')", 'ANALYZE u');
    $c->sql($_) for @steps;
    is($c->sql("SELECT reltuples FROM pg_class WHERE relname = 'u'"), '3', 'rows after a TRUNCATE are counted');
    $c->sql('ALTER SYSTEM RESET datahike.fold_delay');
    $c->sql('SELECT pg_reload_conf()');
}

# A heap file has no floor: what was lost does not come back with the access method.
if ($datahike) {
    $c->sql("SET datahike.branch = 'side'; INSERT INTO u VALUES (8, 'side')");
    my $with_rows = $c->sql('SELECT datahike.commit_id()');
    crash();
    $c->sql("ALTER TABLE u SET ACCESS METHOD heap; INSERT INTO u VALUES (1, 'heap')");
    is($c->sql('ALTER TABLE u SET ACCESS METHOD datahike; TABLE u'), '1|heap', 'to heap and back');
    is(on_side(), "0|0\n0", 'brings nothing back on the other branch');
    is($c->sql("SET datahike.commit_id = '$with_rows'; SELECT count(*) FROM u"), '0', 'nor in an old commit');
    $c->sql('TRUNCATE u');
    is($c->sql("SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE relname = 'u'"), 'datahike', 'it is a datahike table again');
}

# Rows of two sessions that come first at once, and a table that a crash catches in the making.
each_table("INSERT INTO T SELECT g, 'x' FROM generate_series(1, 10) g");
crash();
for my $table (@tables) {
    my @sessions = map {
        my $pid = fork // die $!;
        exec($c->command . " -c \"INSERT INTO $table SELECT g, 'x' FROM generate_series($_ * 100, $_ * 100 + 50) g\" >/dev/null") unless $pid;
        $pid
    } 1 .. 4;
    waitpid $_, 0 for @sessions;
}
is(same('four sessions at once'), 204, 'lose nothing');
my $session = $c->session;
$c->tell($session, "BEGIN; CREATE UNLOGGED TABLE unborn (id int PRIMARY KEY); INSERT INTO unborn VALUES (1); DELETE FROM u");
crash();
is($c->sql("SELECT count(*) FROM pg_class WHERE relname = 'unborn'"), '0', 'a table that was not committed');
is(same('and the others'), 0, 'are as after any crash');
done_testing;
