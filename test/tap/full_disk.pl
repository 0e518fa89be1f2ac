# The disk under the store is full: a named error, nothing committed is lost, and room is all it takes.
# The store lies on a small tmpfs for this; where that cannot be mounted, the test is skipped.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no store' if $Cluster::am eq 'heap';
my $c = Cluster->new('datahike.fold_delay = 5ms');
my $store = "$c->{dir}/data/datahike";
$c->sql('CREATE TABLE t (id int PRIMARY KEY, v bytea); INSERT INTO t VALUES (0, NULL); SELECT datahike.commit_id()');
$c->stop;
my $owner = (stat $store)[4];
rename $store, "$store.saved" or die $!;
mkdir $store or die $!;
my $mounted = system("mount -t tmpfs -o size=6m,mode=700,uid=$owner,gid=" . (stat "$store.saved")[5] . " tmpfs $store 2>/dev/null") == 0;
END {
    local $?;
    if ($mounted) { $c->stop('immediate'); system("umount $store") }
}
plan skip_all => 'cannot mount a tmpfs' unless $mounted;
plan tests => 8;

system("cp -a --sparse=always $store.saved/. $store") == 0 or die 'copy';
ok($c->start, 'the server starts on the small disk');
my ($committed, $full) = (0, '');
for my $i (1 .. 60) {
    my $answer = $c->sql("INSERT INTO t SELECT $i * 10000 + g, decode(md5(random()::text) || md5(random()::text) || md5(random()::text), 'hex') FROM generate_series(1, 9000) g; SELECT 'committed'; SELECT datahike.commit_id() IS NOT NULL;");
    $committed += 9000 if $answer =~ /^committed$/m;
    if ($answer =~ /ERROR/) { $full = $answer; last }
}
like($full, qr/ERROR:  53100:/, 'a full disk is reported with 53100');
is($c->sql('SELECT count(*), count(DISTINCT v) FROM t'), ($committed + 1) . "|$committed", 'all that was committed can be read');
is($c->sql('CREATE TABLE h (id int) USING heap; INSERT INTO h VALUES (1); SELECT 1'), '1', 'the rest of the database works');
is($c->log_has(qr/was terminated by signal/), 0, 'no process died of it');
system("mount -o remount,size=200m $store") == 0 or die 'remount';
ok($c->wait_for(sub { $c->sql('SELECT datahike.commit_id() IS NOT NULL') eq 't' }), 'with room, commits are named again');
is($c->sql('SELECT count(*) FROM t'), $committed + 1, 'and every row is there');
ok($c->stop && $c->start && $c->sql('SELECT count(*) FROM t') eq $committed + 1, 'also after a restart');
