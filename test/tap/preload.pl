# CREATE EXTENSION where the library is not preloaded is refused with what to do about it.
use strict;
use warnings;
use FindBin;
use File::Temp;
use Test::More;

plan skip_all => 'heap needs no library' if ($ENV{AM} // '') eq 'heap';
plan tests => 4;

my $base = File::Temp->newdir("datahike-preload.XXXXXX", DIR => $ENV{TEST_TMP} // "/tmp");
chmod 0755, "$base";
my $dir = "$base/cluster";
my $cluster = "$FindBin::Bin/../cluster.sh";
END { system($cluster, "stop", $dir, "immediate") if $dir; }

# AM=heap: a cluster without shared_preload_libraries
is(system("AM=heap $cluster create $dir"), 0, "a cluster without the library");
my $psql = "psql -X -h $dir/socket -U postgres -v VERBOSITY=verbose postgres";
my $answer = `$psql -c 'CREATE EXTENSION datahike' 2>&1`;
like($answer, qr/ERROR:  55000:/, "CREATE EXTENSION is refused with 55000");
like($answer, qr/HINT:.*shared_preload_libraries/, "and names the setting");
is(`$psql -At -c 'SELECT count(*) FROM pg_am WHERE amname = \$\$datahike\$\$'`, "0\n", "nothing is left of it");
