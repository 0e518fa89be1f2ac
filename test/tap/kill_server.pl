# kill -9 of every process under load, several times: no answered commit is lost, no unanswered one shows in part.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;
use Time::HiRes qw(sleep);

my $rounds = $ENV{ROUNDS} // 4;
my @sessions = (1 .. 3);
plan tests => 7 * $rounds;

my $c = Cluster->new('fsync = on', $Cluster::am eq 'heap' ? () : 'datahike.fold_delay = 5ms');
$c->sql(<<'SQL');
CREATE TABLE t (session int, seq int, v text, PRIMARY KEY (session, seq));
CREATE TABLE h (session int, seq int, v text, PRIMARY KEY (session, seq)) USING heap;
CREATE TABLE counter (session int PRIMARY KEY, n int);
INSERT INTO counter SELECT g, 0 FROM generate_series(1, 3) g;
SQL
my %next = map { $_ => 1 } @sessions;
for my $round (1 .. $rounds) {
    # Each session commits one numbered transaction after the other and writes down each answer.
    my %pid;
    for my $s (@sessions) {
        open my $script, '>', "$c->{home}/load$s.sql" or die $!;
        for my $seq ($next{$s} .. $next{$s} + 20000) {
            my $payload = $seq % 50 == 0 ? "repeat(md5('$seq'), 5000)" : "md5('$seq')";
            print $script "BEGIN;\nINSERT INTO t VALUES ($s, $seq, $payload);\nSAVEPOINT a;\nDELETE FROM t WHERE session = $s;\nROLLBACK TO a;\n",
                "INSERT INTO h VALUES ($s, $seq, $payload);\nUPDATE counter SET n = $seq WHERE session = $s;\nCOMMIT;\n\\echo $seq\n";
            print $script "ROLLBACK;\nBEGIN;\nINSERT INTO t VALUES ($s, -$seq, 'never');\nROLLBACK;\n" if $seq % 7 == 0;
        }
        close $script;
        $pid{$s} = fork;
        exec('stdbuf -oL ' . $c->command . " -f $c->{home}/load$s.sql >$c->{home}/answers$s 2>/dev/null") unless $pid{$s};
    }
    sleep 1 + rand;
    $c->kill_everything;
    waitpid $_, 0 for values %pid;
    ok($c->start, "round $round: the server starts again");
    my ($lost, $ghosts, $answered) = (0, 0, 0);
    for my $s (@sessions) {
        open my $answers, '<', "$c->{home}/answers$s" or die $!;
        my @answers = grep { /^\d+$/ } <$answers>;
        my $acknowledged = @answers ? int $answers[-1] : $next{$s} - 1;
        $answered += @answers;
        my $stored = $c->sql("SELECT coalesce(max(seq), 0) FROM t WHERE session = $s");
        my $missing = $c->sql("SELECT count(*) FROM generate_series(1, $acknowledged) g WHERE NOT EXISTS (SELECT FROM t WHERE session = $s AND seq = g)");
        $lost += $missing;
        $ghosts++ if $stored > $acknowledged + 1;
        $next{$s} = $stored + 1;
    }
    cmp_ok($answered, '>', 30, "round $round: $answered commits were answered");
    is($lost, 0, "round $round: none of them is lost");
    is($ghosts, 0, "round $round: at most the one in doubt is there beside them");
    is($c->sql('SELECT count(*) FROM t WHERE seq < 0'), '0', "round $round: nothing that was rolled back");
    is($c->sql('SELECT (SELECT count(*) FROM (TABLE t EXCEPT TABLE h) x), (SELECT count(*) FROM (TABLE h EXCEPT TABLE t) x)'), '0|0', "round $round: the same as in heap");
    is($c->sql('SELECT count(*) FROM counter c WHERE n <> (SELECT max(seq) FROM h WHERE h.session = c.session)'), '0', "round $round: each counter stands at its last commit");
}
