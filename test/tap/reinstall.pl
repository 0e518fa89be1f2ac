# DROP EXTENSION and CREATE EXTENSION in the same database: nothing of the old installation shows up in the new one,
# neither from the store that stays nor from what connected sessions remember; also after a restart and a rolled back
# DROP. A store whose ids nobody recorded is refused. A session that connected before the extension existed uses it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no extension' if $Cluster::am eq 'heap';
plan tests => 32;

my $c = Cluster->new('datahike.fold_delay = 5ms');
$c->sql('ALTER DATABASE test RESET default_table_access_method');
my $database = $c->sql('SELECT oid FROM pg_database WHERE datname = current_database()');
my $directory = "$c->{dir}/data/datahike/$database";

# ask(SESSION, QUESTION): the answer of a session that stays
sub ask {
    my ($session, $question) = @_;
    my $mark = 'ask' . int(rand 1e9);
    $c->tell($session, "\\echo $mark\n$question") or return 'no answer';
    open my $out, '<', $session->{out} or die $!;
    local $/;
    my ($answer) = <$out> =~ /^$mark\n(.*?)\n?^done\d+$/ms;
    return $answer;
}

# fill(TYPE, VALUE): a table of ids 1 to 5 in the store, among them rows that were rolled back and removed
sub fill {
    my ($type, $value) = @_;
    return <<SQL;
CREATE TABLE t (id int PRIMARY KEY, v $type) USING datahike;
INSERT INTO t SELECT g, $value FROM generate_series(1, 7) g;
DELETE FROM t WHERE id > 5;
INSERT INTO t VALUES (6, NULL), (7, NULL);
DELETE FROM t WHERE id > 5;
SELECT count(*) FROM datahike.log();
SELECT count(*), max(id) FROM t;
SQL
}
my $drop = "SET client_min_messages = warning; DROP EXTENSION datahike CASCADE; RESET client_min_messages;";
my $create = <<'SQL';
CREATE EXTENSION datahike;
CREATE TABLE t (id int PRIMARY KEY, v text) USING datahike;
INSERT INTO t SELECT g, 'new ' || g FROM generate_series(100, 102) g;
SQL
my $check = <<'SQL';
SET enable_seqscan = off;
SELECT count(*) FROM t WHERE id BETWEEN 1 AND 50;
SELECT string_agg(v, ',' ORDER BY id) FROM t WHERE id >= 0;
SET enable_seqscan = on;
SELECT string_agg(v, ',' ORDER BY id) FROM t;
SELECT count(*) FROM datahike.log();
SQL
my $right = join "\n", 0, 'new 100,new 101,new 102', 'new 100,new 101,new 102', 2;

like($c->sql(fill('text', q('old ' || g))), qr/5\|5$/, 'an installation with rows');
my $old_commit = $c->sql('SELECT datahike.commit_id()');
my $stays = $c->session;
is(ask($stays, 'SELECT count(*) FROM t;'), 5, 'a session that stays connected has read it');
is(ask($stays, 'INSERT INTO t VALUES (8); BEGIN; INSERT INTO t VALUES (9), (10); ROLLBACK; DELETE FROM t WHERE id = 8; SELECT count(*) FROM t;'), 5,
    'and written it');
is(ask($stays, "SET datahike.commit_id = '$old_commit'; SELECT count(*) FROM t; RESET datahike.commit_id;"), 5, 'and its past');

is($c->sql($drop . $create), '', 'another installation in its place');
is($c->sql($check), $right, 'holds what was written to it');
is(ask($stays, $check), $right, 'so does it for the session that stayed');
is(ask($stays, "SELECT count(*) FROM t WHERE id IN (1, 2, 3, 8, 9); SELECT datahike.commit_id() = (SELECT commit_id FROM datahike.log(max => 1));"), "0\nt",
    'its view is of the new one');
is(ask($stays, 'INSERT INTO t VALUES (1), (2); INSERT INTO t VALUES (2) ON CONFLICT DO NOTHING; SELECT count(*) FROM t WHERE id < 50;'), 2, 'it writes there');
like(ask($stays, "\\set ON_ERROR_STOP 0\nINSERT INTO t VALUES (1);\n\\set ON_ERROR_STOP 1"), qr/23505/, 'under its constraints');
like($c->sql("INSERT INTO t VALUES (2)"), qr/23505/, 'which hold for others as well');
is($c->sql('DELETE FROM t WHERE id < 50; SELECT count(*) FROM t'), 3, 'its rows go');
like($c->sql("SELECT datahike.create_branch('side'); SET datahike.branch = 'side'; DELETE FROM t; SELECT count(*) FROM t"), qr/^side\n0$/, 'a branch of it');
is($c->sql('SELECT count(*) FROM t'), 3, 'leaves it alone');

# after a restart
is($c->sql($drop . 'CREATE EXTENSION datahike; SELECT count(*) FROM datahike.log()'), 1, 'a third one');
is($c->sql(fill('bigint', 'g * 1000000007::bigint') =~ s/SELECT count.*?log\(\);\n//r), '5|5', 'with other columns');
is($c->sql($drop), '', 'is dropped');
$c->stop;
ok($c->start, 'and the server restarted');
is($c->sql($create), '', 'then a fourth one');
is($c->sql($check), $right, 'holds what was written to it');

# a DROP that is rolled back leaves a record behind, which must not be believed later
my $held = $c->sql('BEGIN; SET client_min_messages = warning; DROP EXTENSION datahike CASCADE; ROLLBACK; SELECT count(*) FROM t');
is($held, 3, 'a rolled back DROP EXTENSION changes nothing');
$c->sql("INSERT INTO t VALUES (103, 'new 103')");
ok($c->wait_for(sub { !glob "$directory/last_*" }), 'and what it recorded is forgotten');
is($c->sql("BEGIN; $drop $create COMMIT;") . $c->sql($check), $right, 'both in one transaction');

# One that is undone: the next one has the same ids, and a session that has seen the first one's commit knows the second one's.
is($c->sql($drop), '', 'dropped once more');
my $undone = $c->session;
(my $rest = $create) =~ s/^CREATE EXTENSION.*\n//;
is(ask($undone, "BEGIN; CREATE EXTENSION datahike; ROLLBACK; CREATE EXTENSION datahike; SELECT count(*) FROM datahike.log(); $rest $check"), "1\n$right", 'CREATE EXTENSION after one that is undone');
is($c->sql($check), $right, 'for others too');

# Who waits for the worker while the worker waits for them
like($c->sql("SET client_min_messages = warning; BEGIN; DROP EXTENSION datahike CASCADE; CREATE EXTENSION datahike; SELECT count(*) FROM datahike.log(); COMMIT"),
    qr/ERROR:  40P01: deadlock detected.*HINT:.*End the transaction first/s, 'a deadlock with the worker is detected');

# dropped where nobody could record its ids
$c->sql('DROP TABLE t');
$c->stop;
sub preload {
    my ($libraries) = @_;
    open my $conf, '>>', "$c->{dir}/data/postgresql.conf" or die $!;
    print $conf "shared_preload_libraries = '$libraries'\n";
    close $conf;
}
preload('');
$c->start;
$c->sql($drop);
$c->stop;
preload('datahike');
$c->start;
like($c->sql('CREATE EXTENSION datahike'), qr/ERROR:  55000:.*HINT:.*remove the directory/s, 'a store of unknown ids is refused');
$c->stop;
system('rm', '-rf', $directory);
$c->start;

# A session that connected before the extension existed
my $early = $c->session;
is(ask($early, 'SELECT 1;'), 1, 'a session connects');
is($c->sql('CREATE EXTENSION datahike; CREATE TABLE u (id int) USING datahike; INSERT INTO u VALUES (1)'), '', 'then comes the extension');
is(ask($early, 'SELECT count(*) FROM u; INSERT INTO u VALUES (2); SELECT datahike.current_branch();'), "1\ndb", 'which the session uses');
is($c->sql('SELECT count(*) FROM u'), 2, 'as others do');
