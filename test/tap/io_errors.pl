# The disk fails while the fold worker writes the store: whoever waits for the fold is told, nothing committed is lost, and
# as soon as the disk works again so do folds. Also where the failure leaves LMDB with a header that it does not trust.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Faults;
use Test::More;

plan skip_all => 'heap has no store' if $Cluster::am eq 'heap';
my @faults = map { my $o = $_; map { [$o, $_] } 0 .. 1 } qw(sync write write_synced);
plan tests => 4 * @faults + 4;

my $c = Faults->new('datahike.fold_delay = 60s');
$c->sql('CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE h (LIKE t) USING heap; SELECT datahike.commit_id()');
my $rows = 0;
my $same = "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM (TABLE t EXCEPT TABLE h) x), (SELECT count(*) FROM (TABLE h EXCEPT TABLE t) x)";
for my $fault (@faults) {
    my ($operation, $skip) = @$fault;
    my $name = "$operation, after $skip";
    for my $table (qw(t h)) {
        $c->sql("INSERT INTO $table SELECT $rows + g, repeat('x', g % 50) FROM generate_series(1, 500) g");
    }
    $rows += 500;
    my $logged = $c->log_has(qr/datahike fold worker: /);
    my $answer = $c->sql("SELECT fail_io('$operation', $skip, 1); SELECT datahike.commit_id();");
    if ($c->sql('SELECT faults_left()') eq '0') {
        # The first failure is the fold's. A later one may be that of the publication of branches, which nobody waits for.
        my $published = $skip && $answer !~ /ERROR/ && $c->wait_for(sub { $c->log_has(qr/datahike fold worker: /) > $logged }, 10);
        $published ? pass("$name: the log tells of it") : like($answer, qr/ERROR:  58030:/, "$name: who waits is told");
    } else {
        unlike($answer, qr/ERROR/, "$name: it was not met");
        $c->sql("SELECT fail_io('$operation', 0, 0)");
    }
    is($c->sql($same), "$rows|0|0", "$name: every row is there");
    ok($c->wait_for(sub { $c->sql('SELECT datahike.commit_id() IS NOT NULL') eq 't' }, 20), "$name: the next fold works");
    is($c->sql($same), "$rows|0|0", "$name: every row is there afterwards");
}
is($c->log_has(qr/was terminated by signal|PANIC/), 0, 'no process died of it');
is($c->sql("SELECT count(DISTINCT commit_id) = count(*) FROM datahike.log()"), 't', 'no commit is listed twice');
$c->kill_everything;
ok($c->start, 'after a crash the server starts');
is($c->sql($same), "$rows|0|0", 'and every row is there');
