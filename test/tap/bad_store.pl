# A store of another format, of another cluster, one with a damaged page, and one that is gone: a named error for the
# statement that needs it, never a wrong answer; the server stays up; what is put right is there again.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap has no store' if $Cluster::am eq 'heap';
plan tests => 19;

my $c = Cluster->new('datahike.fold_delay = 5ms');
$c->sql(<<'SQL');
CREATE TABLE good (id int PRIMARY KEY, v text);
CREATE TABLE h (id int) USING heap;
CREATE TABLE bad (id int PRIMARY KEY, v text);
INSERT INTO good SELECT g, 'good ' || g FROM generate_series(1, 1000) g;
INSERT INTO bad SELECT g, md5('bad ' || g) FROM generate_series(1, 1000) g;
SELECT datahike.commit_id();
SQL
my $database = $c->sql('SELECT oid FROM pg_database WHERE datname = current_database()');
my $file = "$c->{dir}/data/datahike/$database/data.mdb";
ok(-s $file, 'the store is where it should be');
# Wait until the log is purged, so that the store alone holds the rows.
ok($c->wait_for(sub { $c->sql('SELECT log_rows FROM datahike.stats()') eq '0' }, 40), 'all of it is in the store');
$c->stop;

sub slurp { open my $in, '<:raw', $file or die $!; local $/; return scalar <$in> }
sub spew { open my $out, '+<:raw', $file or die $!; print $out $_[0]; close $out }
my $original = slurp();

# with(WHAT, CHANGE): the server on a changed file
sub with {
    my ($what, $changed, $tests) = @_;
    spew($changed);
    ok($c->start, "$what: the server starts");
    $tests->();
    is($c->sql('INSERT INTO h VALUES (1); SELECT 1'), '1', "$what: heap tables work");
    is($c->log_has(qr/was terminated by signal/), 0, "$what: no process died of it");
    $c->stop;
    spew($original);
}

my $needle = 'store/format';
my $future = $original;
$future =~ s/\Q$needle\E\K(.)/chr(ord($1) + 98)/ges;
isnt($future, $original, 'the format version is found');
with('a future format', $future, sub {
    my $answer = $c->sql('SELECT count(*) FROM good');
    like($answer, qr/ERROR:  55000:/, 'a future format: reading is refused with 55000');
    like($answer, qr/format/, 'a future format: and says why');
});

# one byte of one stored value
my $value = $c->start && $c->sql("SELECT md5('bad 500')");
$c->stop;
my $damaged = $original;
ok($damaged =~ s/\Q$value\E/substr($value, 0, 10) . chr(ord(substr($value, 10, 1)) ^ 1) . substr($value, 11)/ge, 'a stored value is found');
with('a flipped bit', $damaged, sub {
    like($c->sql("SELECT * FROM bad WHERE id = 500"), qr/ERROR:  XX001:/, 'a flipped bit: the row is refused with XX001');
    like($c->sql("SELECT count(v), max(v) FROM bad"), qr/ERROR:  XX001:/, 'a flipped bit: and every scan that meets it');
    is($c->sql("SELECT count(*), max(id) FROM good"), '1000|1000', 'a flipped bit: another table is read as ever');
});

# no store at all: it must not answer from less
rename $file, "$file.away" or die $!;
ok($c->start, 'no store: the server starts');
like($c->sql('SELECT count(*) FROM good'), qr/ERROR:  (XX001|55000|58030|58P01):/, 'no store: an error, not an empty table');
$c->stop;
unlink $file;
rename "$file.away", $file or die $!;

ok($c->start, 'put right');
is($c->sql("SELECT count(*), md5(string_agg(v, '' ORDER BY id)) = (SELECT md5(string_agg(md5('bad ' || g), '' ORDER BY g)) FROM generate_series(1, 1000) g) FROM bad"), '1000|t', 'every row is there');
