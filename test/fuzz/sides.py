"""The two databases of a scenario, their sessions, and what a statement did in one of them."""
import dataclasses
import os
import select
import subprocess
import time

import psycopg2
import psycopg2.extensions as ext

HERE = os.path.dirname(os.path.abspath(__file__))
CLUSTER_SH = os.path.join(HERE, "..", "cluster.sh")
HANG = 60.0  # seconds after which a statement that waits for no lock has hung

# Every value is compared as the text that the server sent.
ext.string_types.clear()


class Difference(Exception):
    """What the fuzzer looks for."""


class Refused(Exception):
    """The scenario cannot go on: heap has carried out what had to wait and was then refused by name, or nobody says what is right."""


@dataclasses.dataclass
class Outcome:
    """What a statement did: done with a command tag and rows, failed with an SQLSTATE, or waiting for a lock."""

    state: str  # done, error, blocked, lost
    tag: str = ""
    rows: list = None
    sqlstate: str = ""
    message: str = ""

    def describe(self):
        if self.state == "error":
            return "ERROR %s: %s" % (self.sqlstate, self.message)
        if self.state != "done":
            return self.state + (" " + self.message if self.message else "")
        if self.rows is None:
            return self.tag
        shown = "\n".join("    " + " | ".join("NULL" if v is None else v[:100] for v in row) for row in self.rows[:40])
        return "%s, %d rows%s" % (self.tag, len(self.rows), "\n" + shown if shown else "")


class Session:
    """One connection, used asynchronously, so that a statement may wait for another session's lock."""

    def __init__(self, side):
        self.side = side
        self.connection = psycopg2.connect(host=side.socket, user="postgres", dbname=side.database, options=side.options, async_=1)
        self._poll_until(lambda: False)
        self.pid = self.connection.info.backend_pid
        self.cursor = None
        self.copied_to = None

    def _poll_until(self, given_up):
        while True:
            state = self.connection.poll()
            if state == ext.POLL_OK:
                return True
            fd = self.connection.fileno()
            if state == ext.POLL_READ:
                ready = select.select([fd], [], [], 0.02)[0]
            else:
                ready = select.select([], [fd], [], 0.02)[1]
            if not ready and given_up():
                return False

    @property
    def pending(self):
        return self.cursor is not None

    @property
    def in_transaction(self):
        return self.connection.info.transaction_status == ext.TRANSACTION_STATUS_INTRANS

    @property
    def failed(self):
        return self.connection.info.transaction_status == ext.TRANSACTION_STATUS_INERROR

    def start(self, sql):
        assert self.cursor is None, (self.cursor.query, sql)
        self.cursor = self.connection.cursor()
        self.cursor.execute(sql)
        return self.wait()

    def wait(self):
        """The outcome, or blocked once the session has been waiting for a lock for longer than a deadlock check takes."""
        started, blocked_since = time.time(), [None]

        def given_up():
            if not self.side.waits_for_lock(self.pid):
                blocked_since[0] = None
            elif blocked_since[0] is None:
                blocked_since[0] = time.time()
            if time.time() - started > HANG:
                raise Difference("%s: no answer for %d seconds" % (self.side.name, HANG))
            return blocked_since[0] is not None and time.time() - blocked_since[0] > 0.06

        try:
            if not self._poll_until(given_up):
                return Outcome("blocked")
            cursor, self.cursor = self.cursor, None
            return Outcome("done", cursor.statusmessage, cursor.fetchall() if cursor.description else None)
        except psycopg2.Error as error:
            self.cursor = None
            text = str(error).strip().split("\n")[0]
            if self.connection.closed or error.pgcode is None or error.pgcode.startswith(("57P", "08")):
                return Outcome("lost", message=text)
            return Outcome("error", sqlstate=error.pgcode, message=text)

    def run(self, sql):
        """For statements that must succeed."""
        outcome = self.start(sql)
        if outcome.state != "done":
            raise Difference("%s: %s\n  %s" % (self.side.name, sql, outcome.describe()))
        return outcome.rows

    def close(self):
        self.connection.close()


class Side:
    """One database, with named sessions and one more that watches. `options`: settings that RESET goes back to."""

    def __init__(self, cluster, database, name, options=""):
        self.options = options
        self.cluster, self.socket, self.database, self.name = cluster, cluster.socket, database, name
        self.is_datahike = name == "datahike"
        self.sessions = {}
        self.monitor = None
        self.watch()

    def watch(self):
        self.monitor = psycopg2.connect(host=self.socket, user="postgres", dbname=self.database, options=self.options)
        self.monitor.autocommit = True

    def session(self, name):
        if name not in self.sessions:
            self.sessions[name] = Session(self)
        return self.sessions[name]

    def waits_for_lock(self, pid):
        return self.query("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %d" % pid) == [("t",)]

    def query(self, sql):
        cursor = self.monitor.cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None

    def end_prepared(self, how):
        for gid, in self.query("SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared"):
            self.query("%s PREPARED '%s'" % (how, gid))

    def close(self):
        for session in self.sessions.values():
            session.close()
        self.sessions = {}
        if self.monitor:
            self.monitor.close()
        self.monitor = None


class Cluster:
    """A private cluster. Databases are made from a template, which has the extension where it is needed."""

    def __init__(self, directory, access_method):
        self.directory, self.am = directory, access_method
        self.socket = directory + "/socket"
        self.databases = 0
        lines = ["autovacuum = off", "deadlock_timeout = 30ms", "max_connections = 100", "wal_level = minimal",
                 "max_wal_senders = 0", "max_wal_size = 256MB", "max_locks_per_transaction = 256", "client_min_messages = error"]
        subprocess.run([CLUSTER_SH, "create", directory] + lines, check=True, env=dict(os.environ, AM=access_method))
        self.admin = psycopg2.connect(host=self.socket, user="postgres", dbname="postgres")
        self.admin.autocommit = True

    def execute(self, sql):
        self.admin.cursor().execute(sql)

    def side(self, name, template="template0"):
        """A fresh database, or a copy of one that nobody is connected to. `name`: heap or datahike."""
        self.databases += 1
        database = "fuzz%d" % self.databases
        self.execute("CREATE DATABASE %s TEMPLATE %s STRATEGY %s" %
                     (database, template, "wal_log" if template == "template0" else "file_copy"))
        side = Side(self, database, name)
        if name == "datahike" and self.am != "heap":
            side.query("CREATE EXTENSION datahike")
            self.execute("ALTER DATABASE %s SET default_table_access_method = %s" % (database, self.am))
            side.monitor.close()
            side.watch()
            side.query("CREATE TABLE probe (a int)")
            if side.query("SELECT a.amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE relname = 'probe'") != [(self.am,)]:
                raise SystemExit("tables are not made in " + self.am)
            side.query("DROP TABLE probe")
        return side

    def drop(self, side):
        if side.monitor and not side.monitor.closed:
            side.end_prepared("ROLLBACK")
        side.close()
        self.execute("DROP DATABASE IF EXISTS %s WITH (FORCE)" % side.database)

    def crashed(self):
        with open(self.directory + "/log", errors="replace") as log:
            return [line for line in log if "was terminated by signal" in line or "PANIC" in line]

    def stop(self):
        self.admin.close()
        subprocess.run([CLUSTER_SH, "stop", self.directory, "immediate"], check=False)
