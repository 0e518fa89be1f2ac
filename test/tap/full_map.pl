# A store that is full (datahike.map_size): a named error where it matters, nothing committed is lost, and raising the
# limit is all it takes.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no store' if $Cluster::am eq 'heap';
plan tests => 9;

my $c = Cluster->new('datahike.fold_delay = 5ms', "datahike.map_size = '4MB'");
$c->sql('CREATE TABLE t (id int PRIMARY KEY, v bytea)');
my ($committed, $full) = (0, '');
for my $i (1 .. 60) {
    my $answer = $c->sql("INSERT INTO t SELECT $i * 10000 + g, decode(md5(random()::text) || md5(random()::text) || md5(random()::text), 'hex') FROM generate_series(1, 9000) g; SELECT 'committed'; SELECT datahike.commit_id() IS NOT NULL;");
    $committed += 9000 if $answer =~ /^committed$/m;
    if ($answer =~ /ERROR/) { $full = $answer; last }
}
like($full, qr/ERROR:  53100:/, 'a full store is reported with 53100');
like($full, qr/HINT:.*datahike\.map_size/, 'with the setting to raise');
cmp_ok($committed, '>', 0, 'something was committed before');
is($c->sql('SELECT count(*), count(DISTINCT v) FROM t'), "$committed|$committed", 'all that was committed can be read');
like($c->sql('SELECT worker_error FROM datahike.stats()'), qr/map_size|full/i, 'stats() shows what the worker complains of');
is($c->log_has(qr/was terminated by signal/), 0, 'no process died of it');
$c->configure("datahike.map_size = '1GB'");
ok($c->stop && $c->start, 'restarted with a larger map');
is($c->sql('SELECT datahike.commit_id() IS NOT NULL; INSERT INTO t VALUES (1); SELECT datahike.commit_id() IS NOT NULL'), "t\nt", 'commits are named again');
is($c->sql('SELECT count(*) FROM t'), $committed + 1, 'and every row is there');
