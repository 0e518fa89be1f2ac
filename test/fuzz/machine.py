"""Carries out steps in both databases and compares what they do."""
import collections
import dataclasses
import json
import os
import re
import time

import check
from model import QUERY
from sides import Difference, Refused

# What this version refuses by name (docs/limits.md). A statement that datahike refuses is not given to heap; a transaction that
# it was in fails there as well.
REFUSALS = [r"parallel", r"rewrit", r"changes? the type|column's type|type of a column", r"UNLOGGED|unlogged",
            r"PREPARE TRANSACTION|two-phase|prepared", r"deferrable constraints", r"VACUUM FULL", r"CLUSTER",
            r"before its column changed type"]


# 40001 where heap lets an older snapshot go on.
REWRITTEN = re.compile(r'could not serialize access: table "(.*)" has been rewritten')


@dataclasses.dataclass
class Step:
    """`kind`: sql; model (a look at the catalogs); copy_in (with data) and copy_out, whose statement says %FILE%; connect; fold;
    settle; kill_worker."""

    session: str
    sql: str
    kind: str = "sql"
    ordered: bool = False
    data: str = ""

    def text(self):
        if self.kind == "model":
            return "-- %s reads the catalogs" % self.session
        lines = "-- %s%s\n%s;" % (self.session, "" if self.kind == "sql" else " (%s)" % self.kind, self.sql)
        return lines + ("\n" + self.data + "\\." if self.data else "")


def same_errors(a, b):
    """Which row of a statement fails first may depend on the order of rows, so violations of data are one class."""
    return a == b or (a[:2] in ("22", "23") and b[:2] in ("22", "23"))


def shows_a_column_twice(tables):
    """Whether a snapshot from before another session's ALTER TABLE sees the old row of a catalog and its own new one too. It sees the
    old one alone where PostgreSQL finds both by one index entry, which depends on the room in the catalog's page."""
    for row in tables:
        columns = [c[0] for c in json.loads(row[0])["columns"] or []]
        if len(columns) != len(set(columns)):
            return True
    return False


class Machine:
    def __init__(self, datahike, heap, files):
        self.datahike, self.heap, self.files = datahike, heap, files
        self.steps = []      # those carried out
        self.refused = collections.Counter()  # messages
        self.pending = {}    # session -> step
        self.outcomes = collections.Counter()  # done, or an SQLSTATE

    # ------------------------------------------------------------ one step

    def step(self, step):
        """The outcome on heap; None where nothing was done."""
        if step.kind == "settle":
            self.settle()
            return None
        if step.kind == "end_prepared":
            self.steps.append(step)
            self.end_prepared(step.sql.split(" ")[0])
            return None
        if step.kind in ("fold", "kill_worker"):
            self.steps.append(step)
            self.only_datahike(step)
            return None
        if step.session in self.pending:
            return None
        self.steps.append(step)
        if step.kind == "connect":
            for side in (self.datahike, self.heap):
                self.leave(side, step.session)
            self.look_at_pending()  # who waited for it goes on
            return None
        ours = self.datahike.session(step.session).start(self.sql_of(step, self.datahike))
        if ours.state == "error" and ours.sqlstate == "0A000" and self.is_refusal(ours.message):
            return self.refuse(step, ours)
        theirs = self.heap.session(step.session).start(self.sql_of(step, self.heap))
        if "blocked" in (ours.state, theirs.state):
            ours, theirs = self.agree_on_waiting(step, ours, theirs)
        if ours.state == theirs.state == "blocked":
            self.pending[step.session] = step
        else:
            self.compare(step, ours, theirs)
        if theirs.state == "error" or not self.heap.session(step.session).in_transaction or step.sql.startswith("ROLLBACK"):
            self.look_at_pending()  # locks may have been let go of
        return theirs

    def sql_of(self, step, side):
        if not step.kind.startswith("copy"):
            return step.sql.replace("%DATABASE%", side.database)
        path = os.path.join(self.files, side.name + ".copy")
        if step.kind == "copy_in":
            with open(path, "w") as out:
                out.write(step.data)
        elif os.path.exists(path):
            os.unlink(path)
        return step.sql.replace("%FILE%", path)

    def only_datahike(self, step):
        if not self.datahike.is_datahike or self.datahike.cluster.am == "heap":
            return
        if step.kind == "fold":
            self.datahike.query("SELECT datahike.commit_id()")
        else:
            self.datahike.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'datahike fold worker' "
                                "AND datname = current_database()")

    def end_prepared(self, how):
        """COMMIT or ROLLBACK of all prepared transactions, by a session that waits for nothing."""
        for side in (self.datahike, self.heap):
            side.end_prepared(how)
        self.look_at_pending()

    def leave(self, side, name):
        """Closes a session. Its backend lets go of its locks a little later."""
        if name not in side.sessions:
            return
        session = side.sessions.pop(name)
        session.close()
        until = time.time() + 10
        while time.time() < until and side.query("SELECT FROM pg_stat_activity WHERE pid = %d" % session.pid):
            time.sleep(0.002)

    def is_refusal(self, message):
        return any(re.search(pattern, message) for pattern in REFUSALS)

    def refuse(self, step, ours):
        message = re.sub(r'"[^"]*"', '"..."', ours.message)
        self.refused[message] += 1
        session = self.heap.session(step.session)
        if session.in_transaction:
            session.start("SELECT 1 / 0")
        self.look_at_pending()
        return ours

    # ------------------------------------------------------------ waiting

    def agree_on_waiting(self, step, ours, theirs):
        """One of the two may only be late: on its way to a lock, or to a deadlock's end."""
        until = time.time() + 5
        while ours.state != theirs.state and "blocked" in (ours.state, theirs.state) and time.time() < until:
            if ours.state == "blocked":
                ours = self.datahike.session(step.session).wait()
            else:
                theirs = self.heap.session(step.session).wait()
        if ours.state != theirs.state and "blocked" in (ours.state, theirs.state):
            self.differ(step, ours, theirs)
        return ours, theirs

    def deadlock_ends_another(self, ours, theirs):
        """Of the sessions in a deadlock the first that looks for one ends, which is a matter of milliseconds: a session that has
        waited looks again when it goes on to wait for a transaction whose subtransaction it has waited for."""
        deadlock = "40P01"
        if (ours.sqlstate == deadlock) == (theirs.sqlstate == deadlock):
            return False
        side = self.heap if ours.sqlstate == deadlock else self.datahike
        return any(side.session(name).wait().sqlstate == deadlock for name in self.pending)

    def beside_rewrite(self, name, message):
        """Whether the session's transaction has one snapshot, and some session has rewritten the table that the message names (decision
        158). That may have begun before the transaction, and ended since."""
        table = REWRITTEN.search(message).group(1)
        begun = [s.sql for s in self.steps if s.session == name and s.sql.startswith("BEGIN")]
        return bool(begun) and ("REPEATABLE READ" in begun[-1] or "SERIALIZABLE" in begun[-1]) and any(
            re.match(r"CLUSTER|ALTER TABLE|VACUUM.*FULL", s.sql) and re.search(r"\b%s\b" % re.escape(table), s.sql) for s in self.steps)

    def look_at_pending(self):
        gone_on = []
        for name, step in list(self.pending.items()):
            ours = self.datahike.session(name).wait()
            theirs = self.heap.session(name).wait()
            if "blocked" in (ours.state, theirs.state):
                ours, theirs = self.agree_on_waiting(step, ours, theirs)
            if ours.state == "blocked" and theirs.state == "blocked":
                continue
            del self.pending[name]
            gone_on.append((step, ours, theirs))
        if len(gone_on) > 1 and not any("lost" in (ours.state, theirs.state) for _, ours, theirs in gone_on):
            raise Refused("sessions that waited went on at once, in an order that nobody says")
        for step, ours, theirs in gone_on:
            # Which tables' definitions a reader of the catalogs had seen before it waited for one depends on their order there.
            # Where that one has been dropped it is an error, of another one it finds nothing any more.
            if step.kind == "model" and "error" in (ours.state, theirs.state) and all(
                    o.state == "done" or (o.message or "").startswith("could not open relation with OID") for o in (ours, theirs)):
                raise Refused("a reader of the catalogs waited for DROP")
            if not (step.kind == "model" and ours.state == theirs.state == "done"):
                self.compare(step, ours, theirs)

    # ------------------------------------------------------------ comparing

    def compare(self, step, ours, theirs):
        outcome = theirs.sqlstate or theirs.state
        self.outcomes[outcome] += 1
        if "lost" in (ours.state, theirs.state):
            self.differ(step, ours, theirs)
        if ours.sqlstate == "0A000" and theirs.state == "done" and self.is_refusal(ours.message):
            raise Refused("heap has done what datahike refuses: %s" % ours.message)
        if ours.sqlstate == "40001" and theirs.sqlstate != "40001" and REWRITTEN.search(ours.message) and self.beside_rewrite(step.session, ours.message):
            raise Refused("heap has done what datahike does not beside a rewrite: %s" % ours.message)
        if self.deadlock_ends_another(ours, theirs):
            raise Refused("a deadlock ended one session here and another there")
        if ours.state != theirs.state:
            self.differ(step, ours, theirs)
        if ours.state == "error":
            if not same_errors(ours.sqlstate, theirs.sqlstate):
                self.differ(step, ours, theirs)
        else:
            a, b = ours.rows, theirs.rows
            if a is not None and b is not None and not step.ordered:
                a, b = sorted(a, key=repr), sorted(b, key=repr)
            if step.kind == "model" and (shows_a_column_twice(a) or shows_a_column_twice(b)):
                return
            if ours.tag != theirs.tag or a != b:
                ours.rows, theirs.rows = a, b
                self.differ(step, ours, theirs)
            if step.kind == "copy_out":
                self.compare_files(step)
        a, b = (side.session(step.session).connection.info.transaction_status for side in (self.datahike, self.heap))
        if a != b:
            raise Difference("transaction status %s on datahike, %s on heap, after\n%s" % (a, b, step.text()))

    def compare_files(self, step):
        contents = []
        for side in (self.datahike, self.heap):
            with open(os.path.join(self.files, side.name + ".copy"), errors="replace") as lines:
                contents.append(sorted(lines))
        if contents[0] != contents[1]:
            raise Difference("COPY wrote different rows: %s" % step.text())

    def differ(self, step, ours, theirs):
        raise Difference("%s\n  datahike: %s\n  heap: %s" % (step.text(), ours.describe(), theirs.describe()))

    # ------------------------------------------------------------ the whole

    def read_model(self, model, name):
        """A step as others are: it locks the tables that it describes."""
        if name in self.pending or self.heap.session(name).failed:
            return
        outcome = self.step(Step(name, QUERY, "model", ordered=True))
        if outcome.state == "done":
            model.read(outcome.rows)

    def settle(self):
        """Ends all transactions, also those that wait for each other."""
        for _ in range(4):
            self.end_prepared("ROLLBACK")
            for name in list(self.heap.sessions):
                if name not in self.pending:
                    self.step(Step(name, "ROLLBACK"))
        if self.pending:
            raise Difference("still waiting when all others have ended:\n" + "\n".join(s.text() for s in self.pending.values()))

    def finish(self):
        self.settle()
        check.same_contents(self.datahike, self.heap)
        if self.datahike.cluster.am != "heap":
            check.indexes(self.datahike)
        check.same_catalogs(self.datahike, self.heap)
        crashes = self.datahike.cluster.crashed()
        if crashes:
            raise Difference("the server crashed:\n" + "".join(crashes))
