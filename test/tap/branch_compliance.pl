# What Yggdrasil, the protocol for versioned systems that Datahike belongs to, asks of every system: its compliance list, each
# behaviour under its name there. A system is a database, an entry a row, a snapshot a commit. The tests have the list's numbers:
#
#    1 system-identity                14 ancestors                      27 branch-data-isolation
#    2 parent-ids-root-commit         15 ancestor-predicate             28 as-of-data-consistency
#    3 snapshot-id-after-commit       16 common-ancestor                29 delete-entry-consistency
#    4 parent-ids-chain               17 commit-graph                   30 overwrite-entry
#    5 snapshot-meta                  18 commit-info                    31 concurrent-commits
#    6 as-of                          19 conflicts-empty-for-compatible 32 concurrent-branch-creation
#    7 initial-branches               20 merge                          33 concurrent-readers
#    8 create-branch                  21 merge-snapshot-id              34 concurrent-data-integrity
#    9 checkout                       22 merge-parent-ids               35 gc-roots-one-branch
#   10 branch-isolation               23 merge-data-visibility          36 gc-roots-many-branches
#   11 delete-branch                  24 write-read-roundtrip           37 gc-sweep
#   12 history                        25 count-after-writes             38 gc-sweep-keeps-the-rest
#   13 history-limit                  26 multiple-entries-readable
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no commits' if $Cluster::am eq 'heap';
plan tests => 38;

my $c = Cluster->new('datahike.fold_delay = 5ms');
$c->sql('CREATE TABLE entry (key text PRIMARY KEY, value text); CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)');

my $branch = 'db';
sub on { return $c->sql("SET datahike.branch = '$branch'; $_[0]") }
sub put { on("INSERT INTO entry VALUES ('$_[0]', '$_[1]')"); return head() }
sub value { return on("SELECT value FROM entry WHERE key = '$_[0]'") }
sub entries { return on('SELECT count(*) FROM entry') }
sub head { return on('SELECT datahike.commit_id()') }
sub parents { return on('SELECT string_agg(p::text, \' \') FROM datahike.parent_commits() p') }
sub branches { return $c->sql("SELECT string_agg(b, ' ') FROM datahike.branches() b") }
sub at { return $c->sql("SET datahike.commit_id = '$_[0]'; $_[1]") }
# a new line of history, so that behaviours do not see one another's entries
my $made = 0;
my $empty = head();
sub fresh { $branch = 'line' . ++$made; $c->sql("SELECT datahike.create_branch('$branch', '$empty')") }
# several sessions at once, each with its statements, each statement a transaction; the errors they met
sub together {
    my @scripts = @_;
    my (@pids, $n);
    for my $script (@scripts) {
        my $file = "$c->{home}/together" . ++$n;
        open my $out, '>', $file or die $!;
        print $out $script;
        close $out;
        my $pid = fork // die $!;
        if (!$pid) { exec 'sh', '-c', $c->command . " -f $file >$file.out 2>&1" or die }
        push @pids, $pid;
    }
    waitpid $_, 0 for @pids;
    return join '', map { open my $f, '<', "$c->{home}/together$_.out" or die $!; grep { /ERROR|FATAL|PANIC/ } <$f> } 1 .. $n;
}

# The system
is($c->sql("SELECT extname, extversion FROM pg_extension WHERE extname = 'datahike'"), 'datahike|0.1.0', 'system-identity');

# Snapshots
my $root = $c->sql('SELECT commit_id FROM datahike.log() ORDER BY tx LIMIT 1');
is($c->sql("SELECT count(*) FROM datahike.parent_commits('$root')"), '0', 'parent-ids-root-commit: none');
fresh();
my $first = put('a', '1');
like($first, qr/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'snapshot-id-after-commit');
my $second = put('b', '2');
is(parents(), $first, 'parent-ids-chain: the second commit has the first as parent');
is($c->sql("SELECT commit_id, parents FROM datahike.commit_info('$second')"), "$second|{$first}", 'snapshot-meta');
is(at($first, "SELECT string_agg(key, '') FROM entry"), 'a', 'as-of');

# Branches
is($c->sql("SELECT count(*) FROM datahike.branches() b WHERE b = 'db'") . $c->sql('SELECT datahike.current_branch()'), '1db', 'initial-branches: the main one, which is current');
fresh();
put('a', '1');
on("SELECT datahike.create_branch('experiment')");
is((branches() =~ /experiment/ ? 'made ' : '') . on('SELECT datahike.current_branch()'), "made $branch", 'create-branch: without switching to it');
is($c->sql("SET datahike.branch = experiment; SELECT datahike.current_branch()"), 'experiment', 'checkout');
my $fork = head();
$c->sql("SET datahike.branch = experiment; INSERT INTO entry VALUES ('b', '2')");
is(head(), $fork, 'branch-isolation: commits on one do not move another');
$c->sql("SELECT datahike.delete_branch('experiment')");
unlike(branches(), qr/experiment/, 'delete-branch');

# The graph
fresh();
my @ids = map { put("k$_", $_) } 1 .. 5;
is(on('SELECT commit_id FROM datahike.log(max => 5)'), join("\n", reverse @ids), 'history: newest first');
is(on('SELECT commit_id FROM datahike.log(max => 2)'), "$ids[4]\n$ids[3]", 'history-limit');
is(on('SELECT a FROM datahike.ancestors() a LIMIT 4'), join("\n", reverse @ids[0 .. 3]), 'ancestors');
is($c->sql("SELECT datahike.is_ancestor('$ids[0]', '$ids[1]'), datahike.is_ancestor('$ids[1]', '$ids[0]')"), 't|f', 'ancestor-predicate');
on("SELECT datahike.create_branch('feature')");
my $base = head();
my $ours = put('main', '1');
my $theirs = $c->sql("SET datahike.branch = feature; INSERT INTO entry VALUES ('feature', '1'); SELECT datahike.commit_id()");
is($c->sql("SELECT datahike.common_ancestor('$ours', '$theirs')"), $base, 'common-ancestor: of diverged branches');
my $graph = $c->sql("SELECT * FROM datahike.graph('$branch', 'feature')");
is(scalar(grep { $graph =~ /\* (\| )?$_/ } map { substr $_, 0, 8 } @ids, $ours, $theirs), 7, 'commit-graph');
is($c->sql("SELECT parents[1] = '$base' AND committed_at IS NOT NULL FROM datahike.commit_info('$ours')"), 't', 'commit-info');

# Merges
is(on("SELECT count(*) FROM datahike.conflicts('feature')"), '0', 'conflicts-empty-for-compatible: none');
my $count = entries();
is(on("SELECT status FROM datahike.merge('feature')"), 'merged', 'merge');
isnt(head(), $ours, 'merge-snapshot-id: of its own');
is(parents(), "$ours $theirs", 'merge-parent-ids: both');
is(value('feature') . ' ' . (entries() - $count), '1 1', 'merge-data-visibility');
$c->sql("SELECT datahike.delete_branch('feature')");

# Data
fresh();
put('key-1', 'value-alpha');
is(value('key-1'), 'value-alpha', 'write-read-roundtrip');
fresh();
my @counts = entries();
put('a', '1');
push @counts, entries();
on("INSERT INTO entry VALUES ('b', '2'), ('c', '3')");
is("@counts " . entries(), '0 1 3', 'count-after-writes');
is(join(',', map { value($_) } qw(a b c nonexistent)), '1,2,3,', 'multiple-entries-readable: others are not');
on("SELECT datahike.create_branch('feature')");
put('main-only', 'main-data');
my $main = join ',', value('main-only'), value('feature-only'), value('a');
my $was = $branch;
$branch = 'feature';
put('feature-only', 'feature-data');
is($main . ' ' . join(',', value('main-only'), value('feature-only'), value('a')), 'main-data,,1 ,feature-data,1', 'branch-data-isolation');
$branch = $was;
$c->sql("SELECT datahike.delete_branch('feature')");
fresh();
my $one = put('first', 'v1');
my $two = put('second', 'v2');
is(join(' ', map { at($_, "SELECT string_agg(key || value, ',' ORDER BY key) FROM entry") } $one, $two), 'firstv1 firstv1,secondv2', 'as-of-data-consistency');
on("DELETE FROM entry WHERE key = 'first'");
is(entries() . value('first') . value('second'), '1v2', 'delete-entry-consistency');
on("UPDATE entry SET value = 'updated' WHERE key = 'second'");
on("DELETE FROM entry WHERE key = 'second'; INSERT INTO entry VALUES ('second', 'again')");
is(entries() . value('second'), '1again', 'overwrite-entry');

# Many at once
$branch = 'db';
my $before = on('SELECT count(*) FROM datahike.log()');
is(together(map { my $s = $_; join '', map { "UPDATE counter SET n = n + 1;\n" } 1 .. 10 } 1 .. 8)
    . on('SELECT n FROM counter') . ' ' . (on('SELECT count(*) FROM datahike.log()') - $before) . on("SELECT count(*) - count(DISTINCT tx) FROM datahike.log()"),
    '80 800', 'concurrent-commits: 8 sessions x 10');
is(together(map { "SELECT datahike.create_branch('branch$_');\n" } 1 .. 10) . scalar(grep { /^branch\d/ } split / /, branches()), '10', 'concurrent-branch-creation');
is(together((map { "SELECT message FROM datahike.commit_info();\nSELECT count(*) FROM entry;\n" x 20 } 1 .. 8), join '', map { "UPDATE counter SET n = n + 1;\n" } 1 .. 20)
    . on('SELECT n FROM counter'), '100', 'concurrent-readers: beside a writer');
is(together(map { my $s = $_; join '', map { "INSERT INTO entry VALUES ('t$s-k$_', 'val-$s-$_');\n" } 1 .. 10 } 1 .. 4) . entries(), '40', 'concurrent-data-integrity: 4 writers x 10');

# Garbage collection; what the branches that were deleted above have left goes first.
sub collected { return $c->sql("SELECT commits FROM datahike.gc(min_age => '0')") }
collected();
fresh();
my @line = map { put("g$_", $_) } 1 .. 3;
is(collected() . ': ' . join(' ', (map { at($_, 'SELECT count(*) FROM entry') } @line), entries()), '0: 1 2 3 3', 'gc-roots-one-branch: a branch keeps its commit and those before it');
on("SELECT datahike.create_branch('other', '$line[1]')");
my @other = map { $c->sql("SET datahike.branch = other; INSERT INTO entry VALUES ('other$_', '$_'); SELECT datahike.commit_id()") } 1 .. 2;
is(collected() . ': ' . join(' ', map { at($_, "SELECT string_agg(key, ',' ORDER BY key) FROM entry") } @line[1, 2], @other), '0: g1,g2 g1,g2,g3 g1,g2,other1 g1,g2,other1,other2', 'gc-roots-many-branches: so does each of several');
$c->sql("SELECT datahike.delete_branch('other')");
is(collected() . ': ' . join(' ', map { at($_, 'SELECT 1') =~ /ERROR:  72000/ ? 'gone' : 'there' } @other), '2: gone gone', 'gc-sweep: what no branch has any more');
is(join(' ', (map { at($_, "SELECT string_agg(key || value, ',' ORDER BY key) FROM entry") } @line), $c->sql("SELECT count(*) FROM datahike.verify(true) WHERE status <> 'ok'")),
    'g11 g11,g22 g11,g22,g33 0', 'gc-sweep-keeps-the-rest');
