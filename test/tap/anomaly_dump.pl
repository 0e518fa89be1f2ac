# pg_dump takes models along, with their owners and privileges, and the views that score with them; of a branch those of the branch. They survive a
# crash, too.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More tests => 16;

my $c = Cluster->new('datahike.fold_delay = 10ms');
$c->sql(<<'SQL');
CREATE ROLE scorer;
CREATE ROLE modeller;
CREATE TABLE t (id int PRIMARY KEY, a float8, b int, c float8);
INSERT INTO t SELECT i, sin(i), i % 17, i / 7.0 FROM generate_series(1, 2000) i;
GRANT SELECT ON t TO scorer, modeller;
SELECT datahike.create_model('Model of "t"', 'SELECT a, b, c FROM t', contamination => 0.02);
SELECT datahike.rotate_model('Model of "t"', 'SELECT a + 1 AS a, b, c FROM t');
GRANT SELECT ON datahike_models."Model of ""t""" TO scorer;
SET ROLE modeller;
SELECT datahike.create_model('theirs', 'SELECT c, a FROM t');
RESET ROLE;
SELECT datahike.create_model('dropped', 'SELECT a FROM t');
SELECT datahike.drop_model('dropped');
CREATE VIEW v AS SELECT id, anomaly_score('Model of "t"') AS s, anomaly_predict('Model of "t"') AS p, anomaly_score_weighted('Model of "t"', 0.5) AS w FROM t;
CREATE MATERIALIZED VIEW kept AS SELECT id, anomaly_score('theirs') AS s FROM t;
CREATE VIEW counted AS SELECT count(*) FILTER (WHERE anomaly_predict('Model of "t"')) AS n FROM t;
GRANT SELECT ON v TO scorer;
SELECT datahike.create_branch('side');
SET datahike.branch = 'side';
SELECT datahike.create_model('theirs', 'SELECT a, c FROM t', n_trees => 7, replace => true);
SQL

my $all = "SELECT md5(string_agg(v::text, ',' ORDER BY id)) FROM v";
my $kept = "SELECT md5(string_agg(kept::text, ',' ORDER BY id)) FROM kept";
my $models = "SELECT string_agg(model_name || ':' || n_trees || ':' || array_to_string(features, ',') || ':' || rotations || ':' || owner, ' ' ORDER BY model_name) FROM datahike.models";
my ($scores, $materialized, $list) = ($c->sql($all), $c->sql($kept), $c->sql($models));
is($list, 'Model of "t":100:a,b,c:1:postgres theirs:100:c,a:0:modeller', 'the models');

my $connect = "-h $c->{dir}/socket -U postgres";
sub restored {
    my ($database, $options) = @_;
    system("psql -Xq $connect -d postgres -c 'CREATE DATABASE $database'");
    return system("PGOPTIONS='$options' pg_dump $connect test >$c->{home}/$database.sql && psql -Xq -v ON_ERROR_STOP=1 $connect -d $database -f $c->{home}/$database.sql >/dev/null") == 0;
}
sub in { my ($database, $sql) = @_; my $answer = `psql -XAtq $connect -d $database -c '$sql' 2>&1`; chomp $answer; return $answer }
sub quoted { my ($sql) = @_; $sql =~ s/'/'\\''/g; return $sql }

ok(restored('restored', ''), 'pg_dump and restore');
is(in('restored', quoted($models)), $list, 'the same models');
is(in('restored', quoted($all)), $scores, 'the same scores');
is(in('restored', quoted($kept)), $materialized, '... in a materialised view');
is(in('restored', 'REFRESH MATERIALIZED VIEW kept; ' . quoted($kept)), $materialized, '... that is refreshed');
is(in('restored', 'SELECT n FROM counted'), $c->sql('SELECT n FROM counted'), '... in an aggregate');
is(in('restored', 'SET ROLE scorer; ' . quoted(q{SELECT anomaly_score('Model of "t"', 1, 2, 3) > 0})), 't', 'who was granted a model may use it');
like(in('restored', 'SET ROLE scorer; ' . quoted("SELECT anomaly_score('theirs', 1, 2)")), qr/permission denied for model "theirs"/, '... and no other');
is(in('restored', 'SET ROLE modeller; ' . quoted("SELECT datahike.rotate_model('theirs', 'SELECT c, a FROM t')")), 'theirs', 'its owner may rotate it');
is(in('restored', quoted("SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'")), '0', 'verify() finds nothing wrong');

ok(restored('side', '-c datahike.branch=side'), 'pg_dump of a branch');
like(in('side', quoted($models)), qr/theirs:7:a,c:0:modeller/, 'has the model of the branch');
is(in('side', quoted("SELECT count(*) FROM kept k JOIN (SELECT id, anomaly_score('theirs') AS s FROM t) n USING (id) WHERE k.s IS DISTINCT FROM n.s")), '0',
    'with which its views score');

$c->kill_everything;
$c->start;
is($c->sql($models), $list, 'after a crash the models are there');
is($c->sql($all), $scores, '... and give the same scores');
