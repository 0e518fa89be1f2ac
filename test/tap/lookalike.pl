# A schema with the names of the extension's relations, made by an ordinary role, is not taken for the extension.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no extension' if $Cluster::am eq 'heap';
plan tests => 9;

my $c = Cluster->new;
is($c->sql('SET client_min_messages = error; DROP EXTENSION datahike; DROP SCHEMA datahike;
  ALTER DATABASE test RESET default_table_access_method;
  CREATE ROLE intruder; GRANT CREATE ON DATABASE test TO intruder'), '', 'a database without the extension');
my $stays = $c->session;
ok($c->tell($stays, 'SELECT 1;'), 'a session is there');

my $tables = join '', map { "CREATE TABLE datahike.$_ (a text CONSTRAINT ${_}_key PRIMARY KEY);" } qw(tx_log heads relation);
is($c->sql("SET ROLE intruder; CREATE SCHEMA datahike; $tables
  CREATE TABLE datahike.branch (id text CONSTRAINT branch_id_key UNIQUE, name int CONSTRAINT branch_name_key PRIMARY KEY);
  CREATE SEQUENCE datahike.rowid_block; CREATE SEQUENCE datahike.table_id; CREATE SEQUENCE datahike.branch_id"), '', 'a role imitates it');
my $use = 'CREATE TABLE public.h (id int PRIMARY KEY); INSERT INTO h VALUES (1); SELECT count(*) FROM h; DROP TABLE h;';
is($c->sql($use), '1', 'tables are made and dropped as ever');
$c->tell($stays, $use);
is($c->sql("SET datahike.branch = 'x'; SELECT count(*) FROM pg_class WHERE relname = 'heads'"), '1', 'settings are accepted');
is($c->sql('DROP SEQUENCE datahike.branch_id; DROP TABLE datahike.heads, datahike.tx_log'), '', 'its tables can be dropped');
like($c->sql('CREATE EXTENSION datahike'), qr/ERROR:  42P07:/, 'the extension does not mix with what is left');
is($c->sql('DROP SCHEMA datahike CASCADE; CREATE EXTENSION datahike;
  CREATE TABLE t (id int PRIMARY KEY) USING datahike; INSERT INTO t VALUES (1); SELECT count(*) FROM t') =~ s/.*\n//sr, '1', 'but works in its place');
is($c->log_has(qr/was terminated by signal/), 0, 'no process died');
