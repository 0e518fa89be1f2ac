"""A database with branches, random changes on them, and every merge compared with the oracle's."""
import random

import psycopg2

import oracle

RESOLVER = """CREATE FUNCTION resolve(relation regclass, key jsonb, "column" text, base jsonb, ours jsonb, theirs jsonb) RETURNS jsonb
LANGUAGE sql AS $$ SELECT CASE WHEN "column" IS NULL THEN coalesce(theirs, ours)
  WHEN theirs::text COLLATE "C" < ours::text THEN theirs ELSE ours END $$"""


class Mismatch(Exception):
    pass


class Commit:
    def __init__(self, number, uuid, parents):
        self.number, self.uuid, self.parents = number, uuid, parents
        self.ancestors = {self}
        for parent in parents:
            self.ancestors |= parent.ancestors

    def copy(self, table):
        return "o.c%d_%s" % (self.number, table.name)


def independent(commits):
    """Without those that others of them descend from, newest first."""
    best = [c for c in commits if not any(c is not other and c in other.ancestors for other in commits)]
    return sorted(best, key=lambda c: -c.number)


class World:
    """One scenario: everything in it is decided by the seed."""

    def __init__(self, connection, seed):
        self.connection, self.seed = connection, seed
        self.random = random.Random(seed)
        self.cursor = connection.cursor()
        self.script, self.serial, self.merges, self.outcomes = [], 0, 0, {}
        self.commits, self.heads = [], {}
        # Of the transaction: commits merged so far, where a fast-forward has set the branch, whether rows have changed.
        self.merged, self.moved, self.changed = [], None, False
        self.make_schema()

    def run(self, sql, note=True):
        if note:
            self.script.append(sql)
        self.cursor.execute(sql)
        return self.cursor.fetchall() if self.cursor.description else None

    def quietly(self, sql):
        return self.run(sql, False)

    def chance(self, probability):
        return self.random.random() < probability

    # Schemas

    def make_schema(self):
        r = self.random
        self.quietly("DROP SCHEMA IF EXISTS o CASCADE; CREATE SCHEMA o; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        for name in [n for (n,) in self.quietly("SELECT * FROM datahike.branches()") if n != "db"]:
            self.quietly("SELECT datahike.delete_branch('%s')" % name)
        deferrable = r.choice(["", "DEFERRABLE INITIALLY DEFERRED", "DEFERRABLE"])
        unique = "UNIQUE %s" % deferrable if self.chance(0.4) else ""
        check = "CHECK (a + coalesce(b, 0) < 11)" if self.chance(0.4) else ""
        keyed = "CREATE TABLE k (id int%s, a int NOT NULL, b int, s text %s%s%s)" % (
            " PRIMARY KEY" if self.chance(0.8) else " PRIMARY KEY DEFERRABLE", unique, ", " + check if check else "",
            ", g int GENERATED ALWAYS AS (a * 2) STORED" if self.chance(0.3) else "")
        self.run(keyed)
        self.run("CREATE TABLE n (eid int, a int, s text%s)" % (", UNIQUE (a)" if self.chance(0.15) else ""))
        self.tables = [oracle.Table("k", ["id"], ["id", "a", "b", "s"]), oracle.Table("n", ["eid"], ["eid", "a", "s"])]
        self.references = self.chance(0.6) and "DEFERRABLE" not in keyed.split("a int")[0]
        if self.references:
            action = r.choice(["", "ON DELETE CASCADE", "ON DELETE SET NULL"])
            self.run("CREATE TABLE c (x int, y text COLLATE \"C\", k int REFERENCES k %s %s, v text, PRIMARY KEY (y, x))" % (
                action, r.choice(["", "DEFERRABLE INITIALLY DEFERRED"])))
            self.tables.append(oracle.Table("c", ["x", "y"], ["x", "y", "k", "v"]))
        self.script.append(RESOLVER)
        self.quietly(RESOLVER)
        self.connection.commit()
        self.commit("db", [])
        while len(self.commits) < 2:
            self.transaction("db", merges=False)
        for name in ["f", "g"][:r.choice([1, 1, 2])]:
            self.run("SELECT datahike.create_branch('%s', 'db')" % name)
            self.connection.commit()
            self.heads[name] = self.heads["db"]

    # Random changes

    def values(self, table):
        r = self.random
        text = r.choice(["NULL", "'p'", "'q'", "'r'", "''", "repeat('xy', 3000)"] if self.chance(0.9) else ["'s%d'" % r.randrange(9)])
        self.serial += 1
        return {
            "k": {"id": r.randrange(12), "a": r.randrange(6), "b": r.choice(["NULL", r.randrange(6)]), "s": text},
            "n": {"eid": self.serial, "a": r.randrange(99), "s": text},
            "c": {"x": r.randrange(3), "y": "'%s'" % r.choice("uvw"), "k": r.choice(["NULL"] + list(range(12))), "v": text},
        }[table.name]

    def change(self):
        r = self.random
        table = r.choice(self.tables)
        values = self.values(table)
        row = " AND ".join("{0} = {1}".format(c, values[c]) for c in table.identity)
        if table.name == "n":
            row = "eid = (SELECT eid FROM n ORDER BY md5(eid::text || '%d') LIMIT 1)" % r.randrange(1000)
        kind = r.choice("iiiuuuddkmt" if table.name != "n" else "iiuudmt")
        if kind == "i":
            return "INSERT INTO {0} ({1}) VALUES ({2})".format(table.name, ", ".join(values), ", ".join(map(str, values.values())))
        if kind == "d":
            return "DELETE FROM %s WHERE %s" % (table.name, row)
        if kind == "k":  # a row moves to another key
            target = self.values(table)
            return "UPDATE %s SET %s WHERE %s" % (
                table.name, ", ".join("%s = %s" % (c, target[c]) for c in table.identity), row)
        if kind == "m":  # many rows at once
            column = r.choice(["a", "s"] if table.name != "c" else ["v"])
            return "UPDATE %s SET %s = %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s LIMIT %d))" % (
                table.name, column, values[column], table.name, r.randrange(5))
        if kind == "t":
            if not self.chance(0.1):
                return "UPDATE {0} SET {1} = {1}".format(table.name, table.columns[-1])
            return "DELETE FROM %s" % table.name if self.chance(0.5) else "TRUNCATE %s CASCADE" % table.name
        columns = [c for c in table.columns if c not in table.identity]
        return "UPDATE %s SET %s WHERE %s" % (
            table.name, ", ".join("%s = %s" % (c, values[c]) for c in r.sample(columns, r.randrange(1, len(columns) + 1))), row)

    def attempt(self, sql):
        """A statement that may violate a constraint."""
        self.quietly("SAVEPOINT s")
        try:
            self.quietly(sql)
            changed = self.cursor.rowcount != 0
            self.quietly("SET CONSTRAINTS ALL IMMEDIATE")
            self.quietly("SET CONSTRAINTS ALL DEFERRED")
        except psycopg2.IntegrityError:
            self.quietly("ROLLBACK TO s")
            return
        self.changed |= changed
        self.script.append(sql)

    # Transactions

    def transaction(self, branch, merges=True, source=None):
        self.run("SET datahike.branch = '%s'" % branch)
        self.connection.commit()
        self.merged, self.moved, self.changed = [], None, False
        rows = self.random.randrange(self.random.choice([1, 2, 4, 8]) + 1) if len(self.commits) > 1 else 20
        for _ in range(rows):
            self.attempt(self.change())
        if merges:
            for _ in range(self.random.choice([1, 1, 1, 2])):
                self.merge(branch, source)
            for _ in range(self.random.choice([0, 0, 2])):
                self.attempt(self.change())
        if merges and self.chance(0.1):
            self.script.append("ROLLBACK")
            self.connection.rollback()
            return
        self.script.append("COMMIT")
        self.connection.commit()
        self.commit(branch, self.merged)

    def cross(self):
        """Two branches merge each other as they were: what comes next has two merge bases."""
        one, other = self.random.sample(sorted(self.heads), 2)
        for branch in one, other:
            self.transaction(branch, merges=False)
        heads = self.heads[one], self.heads[other]
        self.transaction(one, source=heads[1])
        self.transaction(other, source=heads[0])

    def commit(self, branch, merged):
        uuid = self.quietly("SELECT datahike.commit_id()")[0][0]
        head = self.moved or self.heads.get(branch)
        if head and head.uuid == uuid:
            if merged:
                raise Mismatch("a merge made no commit")
            self.heads[branch] = head
            self.connection.commit()
            return
        parents = ([head] if head else []) + merged
        commit = Commit(len(self.commits), uuid, parents)
        self.commits.append(commit)
        self.heads[branch] = commit
        for table in self.tables:
            self.copy(commit.copy(table), table)
        self.connection.commit()

    def copy(self, name, table):
        self.quietly("DROP TABLE IF EXISTS %s; CREATE UNLOGGED TABLE %s USING heap AS SELECT %s FROM %s" % (
            name, name, ", ".join(table.columns), table.name))

    # Merges

    def bases(self, branch, theirs):
        """The best common ancestors, newest first; none: there is nothing to merge."""
        heads = [self.moved or self.heads[branch]] + self.merged
        if any(theirs in head.ancestors for head in heads):
            return []
        return independent({c for head in heads for c in head.ancestors & theirs.ancestors})

    def base_copy(self, commits, table):
        """Name of a copy of the base that these commits make together."""
        name = "o.b%s_%s" % ("_".join(str(c.number) for c in commits), table.name)
        if self.quietly("SELECT to_regclass('%s') IS NOT NULL" % name)[0][0]:
            return name
        query = oracle.as_base(table, commits[0].copy(table))
        for i in range(1, len(commits)):
            below = independent({c for one in commits[:i] for c in one.ancestors & commits[i].ancestors})
            base = self.base_copy(below, table)
            self.serial += 1
            parts = "o.one%d" % self.serial, "o.other%d" % self.serial
            self.quietly("CREATE TABLE %s USING heap AS %s" % (parts[0], query))
            self.quietly("CREATE TABLE %s USING heap AS %s" % (parts[1], oracle.as_base(table, commits[i].copy(table))))
            query = oracle.merged_base(table, base, *parts)
        self.quietly("CREATE TABLE %s USING heap AS %s" % (name, query))
        return name

    def merge(self, branch, source=None):
        r = self.random
        strategy = r.choice(["fail", "ours", "theirs", "union", "resolver"])
        arguments = ", resolver => 'resolve(regclass,jsonb,text,jsonb,jsonb,jsonb)'" if strategy == "resolver" else ", '%s'" % strategy
        kind = r.choice(["merge"] * 6 + ["cherry_pick", "revert"])
        if source:
            kind, theirs, name = "merge", source, source.uuid
            base = self.bases(branch, theirs)
        elif kind == "merge":
            if self.chance(0.6):
                name = r.choice([b for b in self.heads if b != branch])
                theirs = self.heads[name]
            else:
                theirs = r.choice(self.commits[-6:] if self.chance(0.8) else self.commits)
                name = theirs.uuid
            base = self.bases(branch, theirs)
        else:
            commit = r.choice(self.commits[1:])
            name = commit.uuid
            base, theirs = [commit.parents[0]], commit
            if kind == "revert":
                base, theirs = [commit], commit.parents[0]
        call = "datahike.%s('%s'%s)" % (kind, name, arguments)
        if not base:
            self.compare(call, "status", self.run("SELECT status FROM " + call)[0][0], "up to date")
            return
        self.merges += 1
        if len(base) > 1:
            self.outcomes["several bases"] = self.outcomes.get("several bases", 0) + 1
        for table in self.tables:
            self.copy("o.ours_" + table.name, table)
        if kind == "merge" and self.chance(0.3):
            self.compare_conflicts(name, base, theirs)
        behind = kind == "merge" and base == [self.moved or self.heads[branch]] and not self.merged and not self.changed
        self.compare_merge(call, base, theirs, strategy, kind, behind)

    def copies(self, table, base, theirs):
        return self.base_copy(base, table), "o.ours_" + table.name, theirs.copy(table)

    def expected_conflicts(self, base, theirs):
        return [(table.name,) + row for table in self.tables
                for row in self.quietly(oracle.conflicts(table, *self.copies(table, base, theirs)))]

    def compare_conflicts(self, name, base, theirs):
        expected = self.expected_conflicts(base, theirs)
        found = self.run("SELECT relation::text, key, \"column\", kind, base::text, ours::text, theirs::text FROM"
                         " datahike.conflicts('%s') WHERE kind LIKE '%%/%%' OR kind = 'cell'" % name)
        rows = []
        for relation, key, column, kind, base_value, ours, theirs_value in found:
            identity = next(t for t in self.tables if t.name == relation).identity
            cell = kind in ("cell", "insert/insert")
            shown = [str(key[c]) for c in identity] if "entity" not in key else None
            rows.append((relation, shown, column, kind) + ((base_value, ours, theirs_value) if cell else (None, None, None)))
        for row in expected:
            if row[0] == "n":
                expected[expected.index(row)] = (row[0], None) + row[2:]
        order = lambda row: tuple(str(value) for value in row)  # noqa: E731
        self.compare("conflicts('%s')" % name, "conflicts", sorted(rows, key=order), sorted(expected, key=order))

    def compare_merge(self, call, base, theirs, strategy, kind, behind):
        conflicts = len(self.expected_conflicts(base, theirs))
        for table in self.tables:
            self.quietly("DROP TABLE IF EXISTS o.result_{0}; CREATE TABLE o.result_{0} USING heap AS {1}".format(
                table.name, oracle.merged(table, *self.copies(table, base, theirs), strategy)))
        violated = self.violates()
        status, inserted, updated, deleted, found = self.run("SELECT * FROM " + call)[0]
        fails = violated or (strategy == "fail" and conflicts > 0)
        if fails:
            expected = "conflicts"
        else:
            expected = "fast-forward" if behind else "merged"
        if kind != "merge" and not fails and not self.differs_from_ours():
            expected = "up to date"
        self.compare(call, "status", status, expected)
        self.outcomes[status] = self.outcomes.get(status, 0) + 1
        if not violated:
            self.compare(call, "conflicts", found, conflicts)
        elif found <= 0:
            raise Mismatch("%s: a violation is not counted" % call)
        before = 0
        for table in self.tables:
            want = "o.ours_" if fails else "o.result_"
            columns = ", ".join(table.columns)
            rows = self.quietly("SELECT %s FROM %s ORDER BY %s" % (columns, want + table.name, columns))
            have = self.quietly("SELECT %s FROM %s ORDER BY %s" % (columns, table.name, columns))
            self.compare(call, "table " + table.name, have, rows)
            # The indexes have it too.
            self.quietly("SET LOCAL enable_seqscan = off")
            have = self.quietly("SELECT %s FROM %s ORDER BY %s" % (columns, table.name, columns))
            self.quietly("SET LOCAL enable_seqscan = on")
            self.compare(call, "table %s by index" % table.name, have, rows)
            before += len(rows) - self.quietly("SELECT count(*) FROM o.ours_" + table.name)[0][0]
        self.compare(call, "rows inserted less rows deleted", inserted - deleted, before)
        if status == "fast-forward":
            self.moved = theirs
        elif kind == "merge" and not fails:
            self.merged = self.merged + [theirs]
        else:
            self.changed |= status == "merged"

    def differs_from_ours(self):
        return any(self.quietly("SELECT EXISTS (TABLE o.result_{0} EXCEPT TABLE o.ours_{0}) OR EXISTS"
                                " (TABLE o.ours_{0} EXCEPT TABLE o.result_{0})".format(table.name))[0][0] for table in self.tables)

    def violates(self):
        """Whether the oracle's result breaks a constraint: put into heap tables that have them all."""
        self.quietly("SAVEPOINT v")
        try:
            self.quietly("SET CONSTRAINTS ALL IMMEDIATE")
            for table in self.tables:
                self.quietly("CREATE TABLE o.v_{0} (LIKE {0} INCLUDING ALL) USING heap".format(table.name))
                self.quietly("INSERT INTO o.v_{0} ({1}) SELECT {1} FROM o.result_{0}".format(table.name, ", ".join(table.columns)))
            if self.references:
                self.quietly("ALTER TABLE o.v_c ADD FOREIGN KEY (k) REFERENCES o.v_k")
            return False
        except psycopg2.IntegrityError:
            return True
        finally:
            self.quietly("ROLLBACK TO v")

    def compare(self, call, what, found, expected):
        if found != expected:
            raise Mismatch("%s: %s\n  found    %s\n  expected %s" % (call, what, found, expected))

    def play(self, steps):
        for _ in range(steps):
            if self.chance(0.2):
                self.cross()
            else:
                self.transaction(self.random.choice(sorted(self.heads)))
        self.quietly("RESET datahike.branch")
        self.connection.commit()
