"""Merges of branches beside heap. A fast-forward makes a branch's twin a copy of the other's. What else a merge has made is compared row
by row where a row has changed on one side only (test/merge compares cells, conflicts and strategies), and put into the twin, whose
constraints must hold it."""
import io

import psycopg2

import check
from sides import Difference

# What this version refuses by name, and what gc may have taken (docs/limits.md).
REFUSALS = ("0A000", "55000", "72000")
STORED = """SELECT c.relname, (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '')
  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1"""
# Tables that merges pair by their key, a column, and no partitions: a row may move between those.
KEYED = """SELECT c.relname, a.attname FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary AND i.indnatts = 1
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"""
FOREIGN_KEYS = """SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
  WHERE contype = 'f' AND conparentid = 0 AND connamespace = 'public'::regnamespace ORDER BY 1, 2"""


def rows_by_key(side):
    return {table: dict(side.query("SELECT %s::text, t::text FROM %s t" % (check.quoted(key), check.quoted(table))))
            for table, key in side.query(KEYED)}


class Bases:
    """The rows of commits that may become a merge base, as long as no definition changes."""

    def __init__(self):
        self.rows = {}  # by commit id

    def forget(self):
        self.rows = {}

    def note(self, scenario, branch):
        commit = scenario.main.query("SELECT commit_id FROM datahike.log('%s', 1)" % branch)[0][0]
        self.rows[commit] = rows_by_key(scenario.machines[branch].heap)

    def of_merge(self, scenario, branch, source):
        """None: they are not known, or there are several, of which a merge makes one first."""
        commit = scenario.main.query("SELECT datahike.common_ancestor('%s', '%s')" % (branch, source))[0][0]
        others = scenario.main.query("""SELECT count(*) FROM (SELECT datahike.ancestors('%s') INTERSECT SELECT datahike.ancestors('%s')
            EXCEPT SELECT datahike.ancestors('%s') EXCEPT SELECT '%s') c""" % (branch, source, commit, commit))[0][0]
        return self.rows.get(commit) if others == 0 else None


def merge(scenario, branch, source, strategy):
    target, other = scenario.machines[branch], scenario.machines[source]
    base = scenario.bases.of_merge(scenario, branch, source)
    scenario.roamer.run("SET datahike.branch = '%s'" % branch)
    outcome = scenario.roamer.start("SELECT status FROM datahike.merge('%s', '%s')" % (source, strategy))
    if outcome.state == "error" and outcome.sqlstate in REFUSALS:
        scenario.outcomes["merge " + outcome.sqlstate] += 1
        return
    if outcome.state != "done":
        raise Difference("merge of %s into %s: %s" % (source, branch, outcome.describe()))
    status = outcome.rows[0][0]
    scenario.outcomes["merge: " + status] += 1
    if status == "fast-forward":
        scenario.cluster.drop(target.heap)
        target.heap = scenario.copy(other.heap)
        scenario.leave_line_after_move(branch)
    elif status == "merged":
        if base:
            compare(base, rows_by_key(target.heap), rows_by_key(other.heap), rows_by_key(target.datahike))
            scenario.outcomes["merge: compared"] += 1
        put_into(target.datahike, target.heap)
    check.same_contents(target.datahike, target.heap)
    for name in (branch, source):
        scenario.bases.note(scenario, name)


def compare(base, ours, theirs, merged):
    for table, rows in merged.items():
        before = base.get(table, {})
        a, b = ours[table], theirs[table]
        for key in before.keys() | a.keys() | b.keys() | rows.keys():
            was, mine, other = before.get(key), a.get(key), b.get(key)
            if mine != was and other != was and mine != other:
                continue  # both have changed it
            expected = other if mine == was else mine
            if rows.get(key) != expected:
                raise Difference("merge of table %s, row %s\n  base %s\n  ours %s\n  theirs %s\n  merged %s" % (
                    table, key, was, mine, other, rows.get(key)))


def put_into(datahike, heap):
    """The rows of a datahike database instead of those of its twin, which has all constraints."""
    try:
        heap.query("BEGIN; SET LOCAL session_replication_role = replica")
        tables = heap.query(STORED)
        heap.query("TRUNCATE %s CASCADE" % ", ".join(check.quoted(t) for t, _ in tables))
        for table, columns in tables:
            if not columns:  # of which only the number of rows is known
                rows = datahike.query("SELECT count(*) FROM %s" % check.quoted(table))[0][0]
                heap.query("INSERT INTO %s SELECT FROM generate_series(1, %s)" % (check.quoted(table), rows))
                continue
            data = io.StringIO()
            datahike.monitor.cursor().copy_expert("COPY %s (%s) TO STDOUT" % (check.quoted(table), columns), data)
            data.seek(0)
            heap.monitor.cursor().copy_expert("COPY %s (%s) FROM STDIN" % (check.quoted(table), columns), data)
        heap.query("SET LOCAL session_replication_role = origin")
        for table, name, definition in heap.query(FOREIGN_KEYS):
            heap.query("ALTER TABLE {0} DROP CONSTRAINT {1}, ADD CONSTRAINT {1} {2}".format(table, check.quoted(name), definition))
        heap.query("SET CONSTRAINTS ALL IMMEDIATE; COMMIT")
    except psycopg2.Error as error:
        heap.query("ROLLBACK")
        if isinstance(error, psycopg2.IntegrityError):
            raise Difference("what a merge has made violates a constraint: %s" % error) from error
        raise
