# What purge() has erased is in no byte of the store after compact(), in none of the data directory but WAL once everything else has
# been rewritten as docs/limits.md says; and kill -9 leaves nothing erased, or everything to be finished.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use File::Find;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'heap has no history' if $Cluster::am eq 'heap';
my %points = (before_redaction_commit => 0, after_redaction_commit => 1, before_erasure_commit => 1, after_erasure_commit => 1);
plan tests => 21 + 8 * keys %points;

my $c = Cluster->new('restart_after_crash = on', 'datahike.fold_delay = 5ms', 'autovacuum = off', 'wal_level = replica');
srand 20261128;
sub random_bytes { return join '', map { chr(33 + int rand 90) } 1 .. $_[0] }
sub random_name { my $n = random_bytes(12); $n =~ tr/A-Za-z0-9//cd; return "Zq$n" . int(rand 1e9) }

# Rows whose values nobody else has, in the forms that values are stored in: each is to be found in the file as these bytes.
my (@secrets, @values);
for my $id (1 .. 12) {
    my $number = (1 << 56) | ($id << 50) | (int(rand 2**25) << 25) | int(rand 2**25);
    my %row = (id => $id * 100, text => random_name(), number => $number, large => random_name() . 'L', many => random_name());
    $row{uuid} = join '', map { sprintf '%02x', int rand 256 } 1 .. 16;
    push @secrets, \%row;
    push @values, $row{text}, $row{large}, $row{many}, pack('H*', $row{uuid});
    # Amid others numbers are kept as differences, in few bits; but the greatest is in the zone map.
    push @values, pack('q<', $number) if $id <= 6 || $id == 12;
}
sub file_has {
    my ($file, @wanted) = @_;
    open my $in, '<:raw', $file or return ();
    local $/;
    my $bytes = <$in>;
    return grep { index($bytes, $_) >= 0 } @wanted;
}
sub store { return glob "$c->{dir}/data/datahike/*/data.mdb" }
sub in_store { return map { file_has($_, @_) } store() }
sub in_data_directory {
    my @wanted = @_;
    my @found;
    find({no_chdir => 1, wanted => sub {
        return unless -f $_ && $_ !~ m{/pg_wal/};
        push @found, "$_: " . unpack('H*', $_) for file_has($File::Find::name, @wanted);
    }}, "$c->{dir}/data");
    return @found;
}

$c->sql('CREATE TABLE t (id int PRIMARY KEY, s text, n bigint, u uuid, large text, many text); ALTER TABLE t ALTER large SET STORAGE EXTERNAL; CREATE INDEX t_s ON t (s); CREATE INDEX t_n ON t (n); '
    . 'CREATE TABLE other (id int) ; INSERT INTO other VALUES (1);');
my $row_sql = sub {
    my ($r) = @_;
    return "($r->{id}, '$r->{text}', $r->{number}, '$r->{uuid}', '$r->{large}' || repeat('x', 300000), '$r->{many}')";
};
# Alone in small commits; amid others in a large one; with a value that many rows share, and is kept in a dictionary; updated and deleted.
$c->sql("INSERT INTO t VALUES " . $row_sql->($secrets[$_])) for 0 .. 5;
$c->sql("BEGIN; INSERT INTO t SELECT g, 'plain' || g, g, gen_random_uuid(), 'small', 'common' || g % 5 FROM generate_series(10000, 14999) g; INSERT INTO t VALUES "
    . join(', ', map { $row_sql->($_) } @secrets[6 .. 11]) . "; INSERT INTO t SELECT g, 'plain' || g, g, gen_random_uuid(), 'small', 'common' || g % 5 FROM generate_series(20000, 24999) g; COMMIT;");
$c->sql("INSERT INTO t SELECT 30000 + g, '$secrets[0]{text}', $secrets[1]{number} + 0, '$secrets[2]{uuid}', 'small', '$secrets[3]{many}' FROM generate_series(1, 500) g");
$c->sql("UPDATE t SET id = id + 1 WHERE id = 100; DELETE FROM t WHERE id = 200; SELECT datahike.create_branch('side'); ANALYZE t; SELECT datahike.commit_id()");
my $plain = "SELECT count(*), sum(id), md5(string_agg(s, ',' ORDER BY id)) FROM t WHERE id >= 10000 AND id < 30000";
my $expected = $c->sql($plain);
is(scalar(in_store(@values)), scalar @values, 'the store has all the values, in these bytes');

is($c->sql("SELECT versions >= 512 FROM datahike.purge('t', 'id < 10000 OR id > 30000')"), 't', 'they are erased');
is($c->sql($plain), $expected, 'the other rows are there');
is($c->sql('SELECT count(*) FROM t'), '10000', 'and no more');
$c->sql("SELECT datahike.gc(NULL, '0')");
like($c->sql('SELECT datahike.compact()'), qr/^\d+$/, 'compact() after it');
is(join(' ', map { unpack 'H*', $_ } in_store(@values)), '', 'no byte of the store has them');
is($c->sql("SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')"), '0', 'it verifies');
my $backup = "$c->{dir}/data/backup_of_t";
like($c->sql("SELECT datahike.backup('$backup')"), qr/^\d+$/, 'a backup');
is(join(' ', map { unpack 'H*', $_ } file_has("$backup/data.mdb", @values)), '', 'has none of them either');
is($c->sql("SELECT count(*) FILTER (WHERE status = 'redacted') > 3, count(*) FILTER (WHERE status = 'corrupt') FROM datahike.verify_backup('$backup', true)"), 't|0', 'and says the same');
# Buffers that are used again bring nothing back.
$c->sql("INSERT INTO t SELECT g, 'later' || g, g, gen_random_uuid(), 'small', 'common' FROM generate_series(25000 + $_ * 100, 25000 + $_ * 100 + 50) g; SELECT datahike.commit_id()") for 1 .. 10;
is(scalar(in_store(@values)), 0, 'nor do later commits bring them back');

# Everything else but WAL.
ok($c->wait_for(sub { $c->sql('INSERT INTO other VALUES (2); SELECT count(*) < 5 FROM datahike.tx_log') eq 't' }), 'the log has been purged');
$c->sql($_) for 'VACUUM FULL datahike.tx_log', 'VACUUM FULL pg_statistic', 'REINDEX TABLE t', 'CHECKPOINT', 'CHECKPOINT';
is(join("\n", in_data_directory(@values)), '', 'no file of the data directory but WAL has them');
is($c->sql("SET enable_seqscan = off; SELECT count(*) FROM t WHERE s > 'Zq' AND s < 'Zr'"), '0', 'nor does an index');
$c->stop; $c->start;
is($c->sql("$plain AND s NOT LIKE 'later%'"), $expected, 'after a restart the rows are there');

# A snapshot from before, views that were cached, and sessions in the way.
my $old = $c->session;
my $rows = 'count(*), sum(id) FROM t WHERE id BETWEEN 12000 AND 12009';
$c->sql('CREATE TABLE seen (step text, rows bigint, total bigint) USING heap');
$c->tell($old, "INSERT INTO seen SELECT 'cached', $rows; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM other;");
$c->sql("SELECT datahike.purge('t', 'id BETWEEN 12000 AND 12004')");
$c->tell($old, "INSERT INTO seen SELECT 'old', $rows; SET enable_seqscan = off; INSERT INTO seen SELECT 'old by index', $rows; COMMIT; INSERT INTO seen SELECT 'new', $rows;");
is($c->sql('SELECT * FROM seen'), "cached|10|120045\nold|5|60035\nold by index|5|60035\nnew|5|60035", 'other sessions do not see what is erased, whatever their snapshot');
$c->tell($old, 'BEGIN; SELECT count(*) FROM t;');
like($c->sql("SET statement_timeout = '500ms'; SELECT datahike.purge('t', 'id = 12006')"), qr/57014/, 'it waits for who uses the table, and can be cancelled');
$c->tell($old, 'COMMIT;');
is($c->sql('SELECT count(*) FROM t WHERE id = 12006'), '1', 'then nothing is erased');
is($c->sql("SELECT * FROM datahike.purge('t', 'id = 12006')"), '1|1', 'and the next call goes through');
is($c->sql("$plain AND s NOT LIKE 'later%'") ne $expected, 1, 'one row less');
is($c->sql("SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')"), '0', 'the store verifies');

# kill -9 of the worker, and with it of everybody, around each of its batches.
for my $point (sort keys %points) {
    my $secret = random_name();
    $c->sql("DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, '$secret', 1, NULL, NULL, NULL); UPDATE t SET n = 2 WHERE id = 1; SELECT datahike.commit_id()");
    my $before = $c->log_has(qr/stopping at crash point $point/);
    $c->configure("datahike.crash_point = '$point'");
    sleep 0.3;
    $c->sql("SELECT datahike.purge('t', 's LIKE ''$secret''')");
    ok($c->wait_for(sub { $c->log_has(qr/stopping at crash point $point/) > $before }), "$point: the worker stops there");
    $c->configure("datahike.crash_point = ''");
    ok($c->wait_for(sub { $c->alive }), "$point: the server comes back");
    my $left = $points{$point} ? 0 : 1;
    is($c->sql("SELECT count(*) FROM t WHERE id + 0 = 1"), $left, "$point: everything is erased or nothing");
    is($c->sql("SET enable_seqscan = off; SELECT count(*) FROM t WHERE s = '$secret'"), $left, "$point: by index too");
    is($c->sql("SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')"), '0', "$point: the store verifies");
    is($c->sql("SELECT * FROM datahike.purge('t', 's LIKE ''$secret''')"), $left ? '1|2' : '0|0', "$point: the next call finishes it");
    $c->sql("SELECT datahike.compact()");
    is(scalar(in_store($secret)), 0, "$point: no byte stays");
    is($c->sql("SELECT count(*) FROM datahike.verify(true) WHERE status NOT IN ('ok', 'redacted')"), '0', "$point: and it verifies");
}
