# A cluster whose processes fail when a test says so: faults/faults.cpp, built here and loaded before all other libraries.
package Faults;
use strict;
use warnings;
use Cluster;
use File::Temp;
use FindBin;

our @ISA = ('Cluster');

sub new {
    my ($class, @conf) = @_;
    my $lib = File::Temp->newdir('datahike-faults.XXXXXX', DIR => $ENV{TEST_TMP} // $ENV{TMPDIR} // '/tmp');
    chmod 0755, "$lib";
    chomp(my $include = `pg_config --includedir-server`);
    my $built = system("g++ -std=gnu++20 -O1 -fPIC -shared -Wno-register -I$include -o $lib/faults.so $FindBin::Bin/faults/faults.cpp -ldl");
    die 'faults.cpp does not build' if $built != 0;
    open my $control, '>', "$lib/control" or die $!;
    print $control "\0" x 4096;
    close $control;
    chmod 0666, "$lib/control";
    my $self = do {
        # Only servers need it, but they are started through a shell.
        local $ENV{LD_PRELOAD} = "$lib/faults.so";
        local $ENV{DATAHIKE_FAULTS} = "$lib/control";
        Cluster::new($class, @conf);
    };
    $self->{lib} = $lib;
    $self->sql(join '', map { "CREATE FUNCTION $_ AS '$lib/faults.so' LANGUAGE C;\n" }
        'fail_new(pid int, skip int, count int) RETURNS void', 'fail_io(operation text, skip int, count int) RETURNS void',
        'faults_left() RETURNS int', 'exit_now(status int) RETURNS void');
    return $self;
}

sub start {
    my ($self) = @_;
    local $ENV{LD_PRELOAD} = "$self->{lib}/faults.so";
    local $ENV{DATAHIKE_FAULTS} = "$self->{lib}/control";
    return Cluster::start($self);
}

1;
