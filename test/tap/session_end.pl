# What a session keeps in shared memory for its inserts goes with it, however it ends.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Cluster;
use Test::More;

plan skip_all => 'heap keeps nothing' if $Cluster::am eq 'heap';
plan tests => 3;

# Files, so that what this server alone takes can be measured.
my $c = Cluster->new('dynamic_shared_memory_type = mmap', 'min_dynamic_shared_memory = 0');

sub shared_bytes {
    my $bytes = 0;
    $bytes += -s $_ for glob "$c->{dir}/data/pg_dynshmem/*";
    return $bytes;
}

# A session takes a chunk of rowids from each of the tables.
$c->sql('CREATE TABLE p (id int) PARTITION BY HASH (id)');
$c->sql("CREATE TABLE p$_ PARTITION OF p FOR VALUES WITH (MODULUS 200, REMAINDER $_)") for 0 .. 199;
my %endings = (
    'which committed' => 'INSERT INTO p SELECT generate_series(1, 2000)',
    'in a transaction' => 'BEGIN; INSERT INTO p SELECT generate_series(1, 2000)',
    'terminated' => 'BEGIN; INSERT INTO p SELECT generate_series(1, 2000); SELECT pg_terminate_backend(pg_backend_pid())',
);
for my $ending (sort keys %endings) {
    $c->sql($endings{$ending}) for 1 .. 10;
    my $before = shared_bytes();
    $c->sql($endings{$ending}) for 1 .. 60;
    is(shared_bytes(), $before, "60 sessions $ending leave nothing behind");
}
