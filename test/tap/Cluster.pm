# A private cluster for one test, made by test/cluster.sh; stopped and removed when the test ends.
package Cluster;
use strict;
use warnings;
use File::Temp;
use FindBin;
use Time::HiRes qw(sleep time);

my $cluster_sh = "$FindBin::Bin/../cluster.sh";
our $am = $ENV{AM} // 'datahike';

# new(CONF LINE...): a running cluster with a database `test` whose default access method is the one under test
sub new {
    my ($class, @conf) = @_;
    my $home = File::Temp->newdir('datahike-tap.XXXXXX', DIR => $ENV{TEST_TMP} // '/tmp');
    chmod 0755, "$home";
    my $self = bless {home => $home, dir => "$home/cluster", owner => $$}, $class;
    system($cluster_sh, 'create', $self->{dir}, @conf) == 0 or die "no cluster";
    system($cluster_sh, 'database', $self->{dir}, 'test') == 0 or die "no database";
    return $self;
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != $self->{owner};    # a process that the test has forked
    local $?;
    system($cluster_sh, 'stop', $self->{dir}, 'immediate');
}

sub command { my ($self, $database) = @_; $database //= 'test'; return "psql -XqAt -h $self->{dir}/socket -U postgres -v ON_ERROR_STOP=1 -v VERBOSITY=verbose $database" }

# in(DATABASE, STATEMENTS): what psql prints, errors included; each statement in a transaction of its own
sub in {
    my ($self, $database, $statements) = @_;
    my $file = "$self->{home}/statements.sql";
    open my $out, '>', $file or die $!;
    print $out $statements;
    close $out;
    my $answer = `@{[$self->command($database)]} -f $file 2>&1`;
    chomp $answer;
    return $answer;
}
sub sql { my ($self, $statements) = @_; return $self->in('test', $statements) }

sub alive { my ($self) = @_; return $self->sql('SELECT 1') eq '1' }

sub wait_for {
    my ($self, $what, $seconds) = @_;
    my $until = time + ($seconds // 30);
    until ($what->()) {
        return 0 if time > $until;
        sleep 0.05;
    }
    return 1;
}

sub start { my ($self) = @_; return system($cluster_sh, 'start', $self->{dir}) == 0 }
sub stop { my ($self, $mode) = @_; return system($cluster_sh, 'stop', $self->{dir}, $mode // 'fast') == 0 }

# configure(LINE): appended to postgresql.conf and reloaded; '' for a name takes effect as the last one does
sub configure {
    my ($self, $line) = @_;
    open my $conf, '>>', "$self->{dir}/data/postgresql.conf" or die $!;
    print $conf "$line\n";
    close $conf;
    kill 'HUP', $self->postmaster;
}

sub postmaster {
    my ($self) = @_;
    open my $file, '<', "$self->{dir}/data/postmaster.pid" or die "no postmaster";
    my $pid = <$file>;
    return int $pid;
}

sub children {
    my ($self) = @_;
    my $postmaster = $self->postmaster;
    return grep { (stat_of($_))[1] == $postmaster } map { m|(\d+)| } glob '/proc/[0-9]*';
}

# (state, parent) of a process; ('', 0) where it is gone
sub stat_of {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/stat" or return ('', 0);
    my ($state, $parent) = (<$file> // '') =~ /\) (\S) (\d+)/ or return ('', 0);
    return ($state, $parent);
}

sub is_running { my ($state) = stat_of(@_); return $state ne '' && $state ne 'Z' }

# The machine loses power, as far as processes are concerned: nobody gets to say goodbye.
sub kill_everything {
    my ($self) = @_;
    my $postmaster = $self->postmaster;
    kill 'STOP', $postmaster;
    my @all = ($self->children, $postmaster);
    kill 'KILL', @all;
    $self->wait_for(sub { !grep { is_running($_) } @all });
    # What names the dead postmaster goes as well: where nobody reaps orphans, its pid still seems to be in use.
    unlink "$self->{dir}/data/postmaster.pid", glob "$self->{dir}/socket/.s.*";
}

sub log_has {
    my ($self, $pattern) = @_;
    open my $file, '<', "$self->{dir}/log" or return 0;
    return scalar grep { /$pattern/ } <$file>;
}

# A session that stays: statements go in, an answer comes when \echo's word does.
sub session {
    my ($self) = @_;
    my $pid = open(my $to, '|-', $self->command . " >$self->{home}/session.out 2>&1") or die $!;
    $to->autoflush(1);
    return {to => $to, out => "$self->{home}/session.out", pid => $pid};
}

sub tell {
    my ($self, $session, $statement) = @_;
    my $mark = 'done' . int(rand 1e9);
    print {$session->{to}} "$statement\n\\echo $mark\n";
    return $self->wait_for(sub { open my $f, '<', $session->{out} or return 0; return scalar grep { /$mark/ } <$f> });
}

1;
