"""Branches and old commits beside heap: each branch has a heap database of its own as its twin, copied when the branch is made,
and each commit that is kept in mind has a copy that nobody changes. What acts on all branches at once, a change of the schema,
is done to all of them. Merges: merges.py."""
import collections
import dataclasses

import psycopg2

import check
import ddl
import dml
import merges
import schema
from machine import Machine, Step
from model import QUERY
from player import Player
from sides import Difference, Session, Side

MOST_BRANCHES, MOST_COMMITS = 4, 4


@dataclasses.dataclass
class Action:
    """`kind`: step (on a branch, in session A, or in session R, which goes from branch to branch), ddl, maintain, create (a branch
    of another or of a kept commit), delete, reset (a branch to another or to a kept commit), merge (branch `name` into another),
    keep (the commit of a branch, with or without a tag), look (at a kept commit: pinned, as of its time, by its tag or id in
    at()), gc (of what nobody has, or of all that is old)."""

    kind: str
    branch: str = ""
    name: str = ""
    sql: str = ""
    step: Step = None
    how: str = ""

    def text(self):
        if self.step:
            return "-- %s %s: %s" % (self.kind, self.branch or self.name, self.step.text())
        return "-- %s %s %s %s %s" % (self.kind, self.name, self.branch, self.how, self.sql)


@dataclasses.dataclass
class Kept:
    """A commit, and a copy of what it holds. `branch`: where its time leads to it; "": on none any more."""

    commit: str
    at: str
    copy: Side
    branch: str
    tag: str = ""
    may_be_gone: bool = False


class Scenario:
    def __init__(self, cluster, files):
        self.cluster, self.files = cluster, files
        self.actions = []
        self.main = cluster.side("datahike")
        self.roamer = Session(self.main)
        self.machines = {}   # branch -> the branch beside its twin
        self.kept = {}       # name -> Kept
        self.bases = merges.Bases()
        self.players = {}
        self.outcomes = collections.Counter()
        self.add_branch("db", cluster.side("heap"))

    # ------------------------------------------------------------ twins

    def add_branch(self, branch, twin):
        side = Side(self.cluster, self.main.database, "datahike", "-c datahike.branch=" + branch)
        side.sessions["R"] = self.roamer
        self.machines[branch] = Machine(side, twin, self.files)
        self.machines[branch].outcomes = self.outcomes

    def copy(self, twin):
        """A copy of a heap database, whose sessions must leave for it."""
        twin.close()
        made = self.cluster.side("heap", template=twin.database)
        twin.watch()
        return made

    def close(self):
        for machine in self.machines.values():
            machine.datahike.sessions.pop("R", None)
            machine.datahike.close()
            self.cluster.drop(machine.heap)
        for kept in self.kept.values():
            self.cluster.drop(kept.copy)
        self.roamer.close()
        self.cluster.drop(self.main)

    def end_transactions(self, branches):
        for branch in branches:
            machine = self.machines[branch]
            if "A" in machine.heap.sessions:
                session = machine.heap.session("A")
                if session.in_transaction or session.failed:
                    machine.step(Step("A", "COMMIT"))
            # Its twin is about to be copied, which ends what a session holds beyond its transaction.
            machine.step(Step("A", "-- a new connection", "connect"))

    # ------------------------------------------------------------ acting

    def apply(self, action):
        """Does nothing where a shortened script lacks what the action needs."""
        self.actions.append(action)
        getattr(self, "do_" + action.kind)(action)

    def do_step(self, action):
        machine = self.machines.get(action.branch)
        if machine is None:
            return
        if action.step.sql.startswith("TRUNCATE"):  # its lock is one for all branches
            self.end_transactions(list(self.machines))
        if action.step.session == "R":
            if machine.heap.session("A").in_transaction or machine.heap.session("A").failed:
                return  # it might have to wait
            self.roamer.run("SET datahike.branch = '%s'" % action.branch)
        machine.step(action.step)
        if machine.pending:
            raise Difference("waits, though nobody else is on the branch: " + action.step.text())

    def do_maintain(self, action):
        self.end_transactions(list(self.machines))
        self.main.query(action.sql)

    def do_ddl(self, action):
        self.end_transactions(list(self.machines))
        twins = [m.heap for m in self.machines.values()] + [kept.copy for kept in self.kept.values()]
        errors = []
        for twin in twins:
            outcome = twin.session("D").start("BEGIN")
            outcome = twin.session("D").start(action.sql)
            if outcome.state != "done":
                errors.append(outcome.describe())
        ours = Session(self.main)
        outcome = ours.start(action.sql)
        ours.close()
        refused = outcome.state == "error" and outcome.sqlstate == "0A000"
        for twin in twins:
            twin.session("D").start("ROLLBACK" if errors or refused else "COMMIT")
        if not refused and (outcome.state == "done") != (not errors):
            raise Difference("%s\n  datahike: %s\n  heap: %s" % (action.sql, outcome.describe(), errors or "done"))
        self.bases.forget()

    def twin_of(self, name):
        """Of a branch, or of a kept commit that is still there: a revision that names it, and a copy of its twin. None: neither."""
        if name in self.machines:
            self.end_transactions([name])
            return name, self.copy(self.machines[name].heap)
        if name in self.kept and self.is_there(name):
            kept = self.kept[name]
            return kept.tag or kept.commit, self.copy(kept.copy)
        return None

    def is_there(self, name):
        """gc may have collected a kept commit without a tag; then it is forgotten."""
        kept = self.kept[name]
        try:
            self.main.query("SELECT FROM datahike.log('%s', 1)" % kept.commit)
            return True
        except psycopg2.Error as error:
            if error.pgcode != "72000" or not kept.may_be_gone:
                raise Difference("kept commit %s: %s" % (kept.commit, error)) from error
        self.cluster.drop(self.kept.pop(name).copy)
        return False

    def do_create(self, action):
        found = None if action.name in self.machines else self.twin_of(action.branch)
        if found:
            self.main.query("SELECT datahike.create_branch('%s', '%s')" % (action.name, found[0]))
            self.add_branch(action.name, found[1])
            self.bases.note(self, action.name)

    def do_delete(self, action):
        if action.branch not in self.machines or action.branch == "db":
            return
        self.end_transactions([action.branch])
        self.roamer.run("SET datahike.branch = 'db'")
        machine = self.machines.pop(action.branch)
        self.players.pop(action.branch, None)
        machine.datahike.sessions.pop("R", None)
        machine.datahike.close()
        self.main.query("SELECT datahike.delete_branch('%s')" % action.branch)
        self.cluster.drop(machine.heap)
        self.leave_line(action.branch)

    def leave_line(self, branch):
        for kept in self.kept.values():
            if kept.branch == branch:
                kept.branch = ""

    def leave_line_after_move(self, branch):
        """A fast-forward gives a branch the source's line, on which its own commits need not be."""
        parents = dict(self.main.query("SELECT commit_id::text, parents[1]::text FROM datahike.log('%s')" % branch))
        line, commit = set(), self.main.query("SELECT commit_id::text FROM datahike.log('%s', 1)" % branch)[0][0]
        while commit:
            line.add(commit)
            commit = parents.get(commit)
        for kept in self.kept.values():
            if kept.branch == branch and kept.commit not in line:
                kept.branch = ""

    def do_reset(self, action):
        if action.branch not in self.machines or action.name == action.branch:
            return
        self.end_transactions([action.branch])
        found = self.twin_of(action.name)
        if not found:
            return
        self.main.query("SELECT datahike.force_branch('%s', '%s')" % (action.branch, found[0]))
        machine = self.machines[action.branch]
        self.cluster.drop(machine.heap)
        machine.heap = found[1]
        self.players.pop(action.branch, None)
        self.leave_line(action.branch)

    def do_merge(self, action):
        if action.branch not in self.machines or action.name not in self.machines or action.name == action.branch:
            return
        self.end_transactions([action.branch, action.name])
        merges.merge(self, action.branch, action.name, action.how)
        self.players.pop(action.branch, None)

    def do_keep(self, action):
        machine = self.machines.get(action.branch)
        if machine is None or action.name in self.kept:
            return
        self.end_transactions([action.branch])
        commit = machine.datahike.session("A").run("SELECT datahike.commit_id()")[0][0]
        at = machine.datahike.query("SELECT committed_at FROM datahike.log('%s', 1)" % commit)[0][0]
        tag = "tag-" + action.name if action.how == "tag" else ""
        if tag:
            self.main.query("SELECT datahike.tag('%s', '%s')" % (tag, commit))
        self.kept[action.name] = Kept(commit, at, self.copy(machine.heap), action.branch, tag)

    def do_gc(self, action):
        old = "now()" if action.how == "old" else "NULL"
        self.main.query("SELECT datahike.gc(%s, '0')" % old)
        for kept in self.kept.values():
            kept.may_be_gone |= not kept.tag
        self.outcomes["gc"] += 1

    def do_look(self, action):
        if action.name not in self.kept or not self.is_there(action.name):
            return
        kept = self.kept[action.name]
        if action.how == "at":
            for table, ours in check.contents_at(self.main, kept.tag or kept.commit, kept.copy).items():
                check.same_rows(table, ours, check.contents(kept.copy, table))
            return
        setting = "-c datahike.commit_id=" + kept.commit
        if action.how == "as_of" and kept.branch in self.machines:
            setting = "-c datahike.branch=%s -c datahike.as_of=%s" % (kept.branch, kept.at.replace(" ", "\\ "))
        side = Side(self.cluster, self.main.database, "datahike", setting)
        try:
            machine = Machine(side, kept.copy, self.files)
            if action.step:
                machine.step(action.step)
            else:
                check.same_contents(side, kept.copy)
        finally:
            side.close()

    def finish(self):
        self.end_transactions(list(self.machines))
        for name in list(self.kept):
            self.do_look(Action("look", name=name))
            self.do_look(Action("look", name=name, how="at"))
        for branch, machine in self.machines.items():
            try:
                check.same_contents(machine.datahike, machine.heap)
                check.indexes(machine.datahike)
            except Difference as difference:
                raise Difference("branch %s: %s" % (branch, difference)) from difference

    # ------------------------------------------------------------ choosing

    def play(self, rnd, steps):
        for text in schema.statements(rnd, versioned=True):
            self.apply(Action("ddl", sql=text))
        for _ in range(steps):
            self.apply(self.choose(rnd))
            action = self.actions[-1]
            if action.kind == "step":
                self.player(rnd, action.branch).remember(action.step.session, action.step)
            elif action.kind == "ddl":
                self.players = {}
        self.finish()

    def player(self, rnd, branch):
        if branch not in self.players:
            machine = self.machines[branch]
            self.players[branch] = Player(rnd, machine, ["A", "R"], prepares=False)
            self.players[branch].model.read(machine.heap.query(QUERY))
        return self.players[branch]

    def choose(self, rnd):
        branch = rnd.choice(list(self.machines))
        player = self.player(rnd, branch)
        roll = rnd.random()
        if roll < 0.06:
            return self.change_branches(rnd, branch)
        if roll < 0.11:
            return self.visit_the_past(rnd, branch, player)
        if roll < 0.15 and player.model.writable():
            return self.change_schema(rnd, player.model)
        if not player.model.writable():
            return Action("ddl", sql="CREATE TABLE t%d (id int PRIMARY KEY, c0 int)" % rnd.randint(100, 999))
        return Action("step", branch, step=self.choose_step(rnd, player))

    def choose_step(self, rnd, player):
        session = player.machine.heap.session("A")
        if rnd.random() < 0.2:  # session R only looks around or changes something at once
            return player.change("R") if rnd.random() < 0.4 else player.query("R")
        if session.failed:
            return player.recover("A")
        roll = rnd.random()
        if roll < 0.2:
            return player.control("A", session)
        if roll < 0.25:
            return Step("A", "-- fold", "fold") if rnd.random() < 0.8 else Step("A", "-- terminate", "kill_worker")
        if roll < 0.32:
            return player.cursor("A")
        return player.change("A") if roll < 0.75 else player.query("A")

    def change_branches(self, rnd, branch):
        roll, others = rnd.random(), [b for b in self.machines if b != branch]
        if roll < 0.3 and others:
            return Action("merge", branch, name=rnd.choice(others), how=rnd.choice(["fail", "ours", "theirs", "theirs"]))
        if roll < 0.4 and others + list(self.kept):
            return Action("reset", branch, name=rnd.choice(others + list(self.kept)))
        if roll < 0.5:
            return Action("gc", how=rnd.choice(["", "old"]))
        if len(self.machines) < MOST_BRANCHES and roll < 0.85:
            source = rnd.choice(list(self.machines) + list(self.kept))
            return Action("create", source, name="b%d" % rnd.randint(0, 10**6))
        return Action("delete", branch)

    def visit_the_past(self, rnd, branch, player):
        if not self.kept or len(self.kept) < MOST_COMMITS and rnd.random() < 0.4:
            return Action("keep", branch, name="k%d" % rnd.randint(0, 10**6), how=rnd.choice(["", "tag"]))
        name, step = rnd.choice(list(self.kept)), None
        how = rnd.choice(["", "as_of", "at"])
        if how != "at" and rnd.random() < 0.6:
            query, ordered = dml.select(rnd, player.model.tables)
            step = Step("P", query, ordered=ordered)
        return Action("look", name=name, step=step, how=how)

    def change_schema(self, rnd, model):
        table = rnd.choice(model.writable())
        roll = rnd.random()
        indexes = [i for _, i in model.indexes() if not i.primary]
        if roll < 0.3:
            return Action("ddl", sql=ddl.create_index(rnd, table, unique=False))
        if roll < 0.4 and indexes:
            return Action("ddl", sql="DROP INDEX %s CASCADE" % rnd.choice(indexes).name)
        if roll < 0.6:
            # What a rewrite fills is NULL in older commits.
            return Action("ddl", sql=ddl.add_column(rnd, table, rewrites=False))
        if roll < 0.7:
            return Action("ddl", sql=ddl.drop_column(rnd, table))
        if roll < 0.75:
            return Action("ddl", sql=ddl.rename(rnd, table))
        return Action("maintain", sql=rnd.choice(["VACUUM %s", "REINDEX TABLE %s", "ANALYZE %s", "VACUUM (FREEZE) %s"]) % table.name)
