# Foreign tables over another cluster's store: while its server runs, after it was stopped, killed, from a backup; missing,
# damaged and newer stores; and another database of the same cluster.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no store' if $Cluster::am eq 'heap';
plan tests => 57;

my $far = Cluster->new('datahike.fold_delay = 5ms', 'autovacuum = off');
my $c = Cluster->new('datahike.fold_delay = 5ms', 'autovacuum = off');
$far->sql(<<'END');
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE sales (id int PRIMARY KEY, region text, amount numeric(8,2), at timestamptz, tags text[]);
INSERT INTO sales SELECT g, 'r' || g % 3, g * 1.5, '2025-01-01 00:00 UTC'::timestamptz + g * '1 hour'::interval, ARRAY['a', 'b' || g] FROM generate_series(1, 1000) g;
CREATE TABLE person (id int, m mood);
INSERT INTO person VALUES (1, 'glad');
CREATE TABLE object (id int, c regclass, cs regclass[]);
INSERT INTO object VALUES (1, 'person', '{person}');
END
$far->sql(q{SELECT datahike.transact('[{:db/ident :crew/name :db/valueType :db.type/string :db/unique :db.unique/identity}
  {:db/ident :crew/likes :db/valueType :db.type/string :db/cardinality :db.cardinality/many} {:db/ident :crew/n :db/valueType :db.type/long}
  {:db/id 100 :crew/name "Ada" :crew/n 1} {:db/id 101 :crew/name "Bob" :crew/likes ["a" "b"]}]')});
my $tx = $far->sql('SELECT max(tx) FROM datahike.log()');
my $first = $far->sql("SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM sales s");
$far->sql(<<'END');
SELECT datahike.create_branch('side');
DELETE FROM sales WHERE id % 10 = 0;
ALTER TABLE sales ADD COLUMN kind text DEFAULT 'old';
INSERT INTO sales VALUES (2001, 'new', 1, NULL, NULL, 'new');
SET datahike.branch = 'side';
UPDATE sales SET amount = 0 WHERE id <= 5;
SELECT datahike.transact('[[:db/add 100 :crew/n 2] [:db/retractEntity 101]]');
END
my $eavt = q{SELECT md5(string_agg(d::text, ',')) FROM %s d WHERE a <> ':db/txInstant'};
my $datoms = $far->sql(sprintf($eavt, "(SELECT * FROM datahike.datoms('eavt')) "));
my $now = $far->sql("SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM sales s");
my $side = $far->sql("SET datahike.branch = 'side'; SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM sales s");
my $oid = $far->sql("SELECT oid FROM pg_database WHERE datname = 'test'");
my $commit = $far->sql('SELECT datahike.commit_id()');
my $store = "$far->{dir}/data/datahike/$oid";
$far->sql("SELECT datahike.backup('$far->{dir}/copy')");

$c->sql(<<"END");
CREATE SERVER far FOREIGN DATA WRAPPER datahike OPTIONS (store '$store');
CREATE SERVER far_side FOREIGN DATA WRAPPER datahike OPTIONS (store '$store', branch 'side');
CREATE SERVER far_then FOREIGN DATA WRAPPER datahike OPTIONS (store '$store', as_of '$tx');
CREATE SERVER far_commit FOREIGN DATA WRAPPER datahike OPTIONS (store '$store', commit_id '$commit');
CREATE SERVER copy FOREIGN DATA WRAPPER datahike OPTIONS (store '$far->{dir}/copy');
CREATE SCHEMA far; CREATE SCHEMA side; CREATE SCHEMA t_then; CREATE SCHEMA t_commit; CREATE SCHEMA copy;
END
my $sum = sub { my ($schema) = @_; return $c->sql("SELECT md5(string_agg(s::text, ',' ORDER BY id)) FROM $schema.sales s") };

# While it runs. The worker publishes when it comes to rest.
my $import = 'IMPORT FOREIGN SCHEMA public EXCEPT (person, object) FROM SERVER far INTO far';
ok($c->wait_for(sub { $c->sql($import) eq '' || $c->sql('SELECT count(*) FROM far.sales') =~ /^\d+$/ }), 'tables are imported');
ok($c->wait_for(sub { $sum->('far') eq $now }), 'rows of a running cluster');
is($c->sql('IMPORT FOREIGN SCHEMA public LIMIT TO (sales) FROM SERVER far_side INTO side'), '', 'a branch');
is($c->sql('IMPORT FOREIGN SCHEMA public LIMIT TO (sales) FROM SERVER far_then INTO t_then'), '', 'a time');
is($c->sql('IMPORT FOREIGN SCHEMA public LIMIT TO (sales) FROM SERVER far_commit INTO t_commit'), '', 'a commit');
is($sum->('side'), $side, 'rows of a branch');
is($sum->('t_then'), $first, 'rows as of a tx, with the columns of then');
is($sum->('t_commit'), $now, 'rows of a commit');
is($c->sql('IMPORT FOREIGN SCHEMA datahike LIMIT TO (crew, eavt) FROM SERVER far INTO far;
  IMPORT FOREIGN SCHEMA datahike LIMIT TO (crew) FROM SERVER far_side INTO side'), '', 'facts of another store are imported');
my $crew = q{SELECT string_agg(concat_ws(' ', db_id, name, n, likes), ', ' ORDER BY db_id) FROM };
is($c->sql($crew . 'far.crew'), '100 Ada 1, 101 Bob {a,b}', 'entities are rows');
is($c->sql($crew . 'side.crew'), '100 Ada 2', 'of a branch');
is($c->sql($crew . q{far.crew WHERE name = 'Bob'}), '101 Bob {a,b}', 'looked up by a value');
is($c->sql(sprintf($eavt, 'far.eavt')), $datoms, 'datoms of another store');
like($c->sql('IMPORT FOREIGN SCHEMA public LIMIT TO (person) FROM SERVER far INTO far'), qr/0A000.*type (public\.)?mood/, 'a type of the other cluster');
$c->sql('CREATE FOREIGN TABLE person (id int, m text) SERVER far OPTIONS (relation \'person\')');
is($c->sql('SELECT id FROM person'), '1', 'the other columns can be read');
like($c->sql('SELECT m FROM person'), qr/0A000/, 'that one cannot');
$c->sql('IMPORT FOREIGN SCHEMA public LIMIT TO (object) FROM SERVER far INTO far');
is($c->sql('SELECT c, pg_typeof(c) FROM far.object'), $far->sql("SELECT 'person'::regclass::oid") . '|oid', 'objects of the other cluster are numbers');
like($c->sql('SELECT cs FROM far.object'), qr/0A000.*objects of the other database/, 'but in arrays');
$c->sql("CREATE FOREIGN TABLE shown (c regclass) SERVER far OPTIONS (relation 'object')");
like($c->sql('SELECT * FROM shown'), qr/0A000.*objects of the other database/, 'and are not shown by the names that they have here');
is($c->sql("SELECT kind, count(*) FROM far.sales GROUP BY 1 ORDER BY 1"), "new|1\nold|900", 'a column that was added has its default');
is($c->sql('SELECT n.id, n.amount, o.amount FROM far.sales n JOIN side.sales o USING (id) WHERE id < 3 ORDER BY id'), "1|1.50|0.00\n2|3.00|0.00", 'two views in one query');
is($c->sql('ANALYZE far.sales; SELECT reltuples FROM pg_class WHERE oid = \'far.sales\'::regclass'), '901', 'ANALYZE');
like($c->sql('INSERT INTO far.sales VALUES (1)'), qr/25006/, 'it cannot be written');
$far->sql('INSERT INTO sales VALUES (3000)');
ok($c->wait_for(sub { $c->sql('SELECT count(*) FROM far.sales') eq '902' }), 'later commits appear');
my $session = $c->session;
ok($c->tell($session, 'BEGIN; DECLARE c CURSOR FOR SELECT id FROM far.sales; FETCH 1 FROM c;'), 'a cursor is open');
my $by_column = 'SET datahike.vectorized_min_rows = 0; SET cpu_tuple_cost = 1000;';
ok($c->tell($session, "$by_column DECLARE a CURSOR FOR SELECT 'was', count(*), sum(id) FROM far.sales;"), 'and one of aggregates');
like($c->sql("$by_column EXPLAIN SELECT count(*), sum(id) FROM far.sales"), qr/Datahike Aggregate/, 'which are computed by column');
my $before = $c->sql("$by_column SELECT 'was', count(*), sum(id) FROM far.sales");
$far->sql('DELETE FROM sales WHERE id = 3000; SELECT datahike.gc(now() + interval \'1 day\', \'0\')');
ok($c->tell($session, 'MOVE FORWARD ALL FROM c;'), 'the cursor goes on');
ok($c->wait_for(sub { $c->sql("$by_column SELECT count(*) FROM far.sales") eq '901' }), 'there are other rows there now');
ok($c->tell($session, 'FETCH ALL FROM a;'), 'the other one begins');
close $session->{to};
is(`grep was $session->{out}`, "$before\n", 'with what was there when it was opened');
ok(!`grep ERROR $session->{out}`, 'in the state that it was opened in');
is($c->sql('SELECT count(*) FROM side.sales'), '1000', 'after gc there');

# Its server is stopped.
$far->stop;
is($c->sql('SELECT count(*) FROM far.sales WHERE id < 1001'), '900', 'rows after the server was stopped');
is($sum->('side'), $side, 'of a branch, too');
$far->start;
$far->sql("UPDATE sales SET region = 'killed' WHERE id = 1; SELECT datahike.commit_id()");
ok($c->wait_for(sub { $c->sql('SELECT region FROM far.sales WHERE id = 1') eq 'killed' }), 'after it has been started');
$far->kill_everything;
is($c->sql('SELECT region FROM far.sales WHERE id = 1'), 'killed', 'after it was killed');
$far->start;
is($far->sql('SELECT count(*) FROM sales'), '901', 'which the other cluster survives');
is($far->sql("SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'"), '0', 'unharmed');

# A backup.
is($c->sql('IMPORT FOREIGN SCHEMA public LIMIT TO (sales) FROM SERVER copy INTO copy'), '', 'a backup is a store');
is($sum->('copy'), $now, 'with the rows of its time');

# Rights.
$c->sql('CREATE ROLE nobody; GRANT USAGE ON FOREIGN DATA WRAPPER datahike TO nobody; GRANT USAGE ON SCHEMA far TO nobody');
like($c->sql("SET ROLE nobody; CREATE SERVER x FOREIGN DATA WRAPPER datahike OPTIONS (store '$store')"), qr/42501/, 'option store takes pg_read_server_files');
like($c->sql("SET ROLE nobody; CREATE SERVER x FOREIGN DATA WRAPPER datahike OPTIONS (database 'postgres')"), qr/42501/, 'option database pg_read_all_data');
like($c->sql('SET ROLE nobody; SELECT count(*) FROM far.sales'), qr/42501/, 'foreign tables have privileges');

# What is no store.
sub server { my ($options) = @_; return "CREATE SERVER x FOREIGN DATA WRAPPER datahike OPTIONS ($options); CREATE FOREIGN TABLE x (id int) SERVER x OPTIONS (relation 'sales');" }
my $drop = 'DROP SERVER IF EXISTS x CASCADE;';
my $ask = 'SET client_min_messages = error; SELECT count(*) FROM x;';
like($c->sql(server("store '$far->{dir}/nowhere'") . $ask), qr/58P01/, 'a missing store');
like($c->sql($drop . server("store 'datahike'")), qr/22023.*relative path/, 'a relative path');
like($c->sql($drop . server("store '$store', branch 'nowhere'") . $ask), qr/42704/, 'a missing branch');
like($c->sql($drop . server("store '$store', commit_id '00000000-0000-8000-8000-000000000000'") . $ask), qr/42704/, 'a missing commit');
my $own = $c->sql("SELECT oid FROM pg_database WHERE datname = 'test'");
$c->sql('CREATE TABLE own (a int); INSERT INTO own VALUES (1); SELECT datahike.commit_id()');
like($c->sql($drop . server("store '$c->{dir}/data/datahike/$own'") . $ask), qr/22023/, 'the database\'s own store');
system("mkdir $c->{dir}/bad && head -c 20000 $far->{dir}/copy/data.mdb >$c->{dir}/bad/data.mdb && chown -R postgres $c->{dir}/bad") == 0 or die;
like($c->sql($drop . server("store '$c->{dir}/bad'") . $ask), qr/XX001/, 'a store that was cut off');

# A foreign aggregate says the same of them.
my $count = "SET client_min_messages = error; $by_column SELECT count(*), sum(id) FROM x;";
like($c->sql($drop . server("store '$store', branch 'nowhere'") . $count), qr/42704/, 'a missing branch, by column');
system("mkdir $c->{dir}/torn && cp $far->{dir}/copy/data.mdb $c->{dir}/torn/ && chown -R postgres $c->{dir}/torn") == 0 or die;
{
    open my $torn, '+<:raw', "$c->{dir}/torn/data.mdb" or die $!;
    my $bytes = do { local $/; <$torn> };
    $bytes =~ s/b500/b5#0/g or die 'the value is not found';
    seek $torn, 0, 0;
    print $torn $bytes;
    close $torn or die $!;
}
like($c->sql($drop . server("store '$c->{dir}/torn'") . $count), qr/XX001/, 'a damaged store, by column');

# Text that is none of this database's encoding is refused where a row with it is asked for.
(my $ascii = $far->command) =~ s/ test$/ ascii/;
my $filled = `$ascii -d postgres -c "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'" 2>&1; $ascii -c 'CREATE EXTENSION datahike' -c "CREATE TABLE sales (id int, word text) USING datahike; INSERT INTO sales SELECT g, CASE WHEN g = 50 THEN E'\\xff' ELSE 'w' || g % 3 END FROM generate_series(1, 100) g" -c 'SELECT datahike.commit_id()' 2>&1; $ascii -Atc "SELECT oid FROM pg_database WHERE datname = 'ascii'"`;
my ($ascii_oid) = $filled =~ /(\d+)\s*\z/;
$c->sql("$drop CREATE SERVER x FOREIGN DATA WRAPPER datahike OPTIONS (store '$far->{dir}/data/datahike/$ascii_oid'); CREATE FOREIGN TABLE x (id int, word text) SERVER x OPTIONS (relation 'sales');");
my $words = 'SELECT word, count(*) FROM x %s GROUP BY word ORDER BY word';
ok($c->wait_for(sub { $c->sql($by_column . sprintf($words, 'WHERE id < 50')) eq "w0|16\nw1|17\nw2|16" }), 'text of another encoding that is also of this one') or diag($filled, $c->sql($by_column . sprintf($words, 'WHERE id < 50')));
like($c->sql($by_column . sprintf($words, '')), qr/22021/, 'or is refused');
is($c->sql($by_column . 'SELECT count(*), sum(id) FROM x'), '100|5050', 'where it is asked for');

# Another database of the cluster.
$c->sql($drop . "SET client_min_messages = error; CREATE DATABASE second");
my $psql = $c->command;
(my $second = $psql) =~ s/ test$/ second/;
my $made = `$second -c 'CREATE EXTENSION datahike' -c 'CREATE TABLE sales (id int) USING datahike' -c 'INSERT INTO sales VALUES (7), (8)' -c 'SELECT datahike.commit_id()' 2>&1`;
$c->sql(server("database 'second'"));
ok($c->wait_for(sub { $c->sql('SELECT sum(id) FROM x') eq '15' }), 'another database of the cluster') or diag($made, $c->sql('SELECT sum(id) FROM x'));
like($c->sql($drop . server("database 'test'") . $ask), qr/22023/, 'but not this one');
