"""Chooses what the sessions do next."""
import ddl
import dml
import schema
from machine import Step
from model import Model

SETTINGS = ["enable_seqscan", "enable_indexscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "enable_nestloop",
            "enable_sort", "enable_hashagg", "enable_indexonlyscan", "enable_material"]


class SessionState:
    """What the generator remembers of a session; names may be stale, which makes errors that are compared as well."""

    def __init__(self):
        self.savepoints, self.cursors, self.prepared = [], [], []
        self.wrote = False
        self.changed_schema = False

    def ended(self):
        self.savepoints, self.wrote = [], False
        self.cursors = [c for c in self.cursors if c[1]]


class Player:
    """`sessions`: one name or two. With two, a change of many rows is made only while the other one has locked nothing: else it
    would depend on the order of rows which locks are held by the time it waits. `prepares`: with PREPARE TRANSACTION."""

    def __init__(self, rnd, machine, sessions, prepares=True):
        self.rnd, self.machine, self.sessions = rnd, machine, sessions
        self.states = {name: SessionState() for name in sessions}
        self.model = Model()
        self.prepares = prepares
        self.prepared_transactions = 0  # that have been made; they hold locks until somebody ends them
        # Which of two serializable transactions fails, and whether one does, is for each access method to say.
        self.levels = ["READ COMMITTED"] * 2 + ["REPEATABLE READ"] + ["SERIALIZABLE"] * (len(sessions) == 1)

    def set_up(self):
        for text in schema.statements(self.rnd):
            self.machine.step(Step("A", text))
        self.machine.read_model(self.model, "A")
        for _ in range(self.rnd.randint(0, 5)):
            if self.model.writable():
                self.machine.step(Step("A", ddl.create_index(self.rnd, self.rnd.choice(self.model.writable()))))
        self.machine.read_model(self.model, "A")

    def play(self, steps):
        self.set_up()
        for _ in range(steps):
            free = [s for s in self.sessions if s not in self.machine.pending]
            if not free or self.prepared_transactions and self.rnd.random() < 0.2:
                self.end_prepared()
                continue
            name = self.rnd.choice(free)
            self.do(name, self.next_step(name))
        self.machine.finish()

    def end_prepared(self):
        how = self.rnd.choice(["COMMIT", "COMMIT", "ROLLBACK"])
        self.machine.step(Step(self.sessions[0], how + " of all prepared transactions", "end_prepared"))
        self.prepared_transactions = 0
        for name in self.sessions:
            if name not in self.machine.pending:
                self.machine.read_model(self.model, name)

    def do(self, name, step):
        self.machine.step(step)
        self.remember(name, step)

    def remember(self, name, step):
        state = self.states[name]
        word = step.sql.split(" ")[0]
        session = self.machine.heap.session(name)
        if not session.in_transaction and not session.failed and not session.pending:
            state.ended()
        if step.kind == "connect":
            self.states[name] = SessionState()
        if word in ("CREATE", "ALTER", "DROP"):
            state.changed_schema = True
        if state.changed_schema and not session.pending:
            self.machine.read_model(self.model, name)
            # Uncommitted changes of the schema are forgotten with the transaction.
            state.changed_schema = session.in_transaction or session.failed

    def alone(self, name):
        return not self.prepared_transactions and all(not self.states[other].wrote and other not in self.machine.pending for other in self.sessions if other != name)

    # ------------------------------------------------------------ one step

    def next_step(self, name):
        rnd, session = self.rnd, self.machine.heap.session(name)
        if session.failed and rnd.random() < 0.85:
            return self.recover(name)
        if not self.model.writable():
            return Step(name, "CREATE TABLE t%d (id int PRIMARY KEY, c0 int)" % rnd.randint(100, 999))
        roll = rnd.random()
        if roll < 0.17:
            return self.control(name, session)
        if roll < 0.62:
            return self.change(name)
        if roll < 0.82:
            return self.query(name)
        if roll < 0.87:
            return self.cursor(name)
        if roll < 0.90:
            return self.prepared(name)
        if roll < 0.95 or session.in_transaction and roll < 0.98:
            self.states[name].wrote = True
            text = ddl.change(rnd, self.model)
            if ddl.rewrites(text) and self.may_be_seen_from_before(name):
                text = ddl.create_index(rnd, rnd.choice(self.model.writable()))
            return self.definition(name, text)
        if roll < 0.985:
            return self.definition(name, ddl.maintain(rnd, self.model))
        return self.disturb(name)

    def may_be_seen_from_before(self, name):
        """On heap an older snapshot finds a table empty that has been truncated or rewritten; on datahike it still has its rows. A snapshot
        is older, too, that another session takes before it waits for the end of this one's transaction."""
        return len(self.sessions) > 1 and any(self.machine.heap.session(s).in_transaction for s in self.sessions)

    def definition(self, name, text):
        """Whether an open cursor uses an index, and keeps it from being dropped, is the planner's choice."""
        if self.states[name].cursors and "INDEX" in text and not text.startswith("CREATE"):
            return self.query(name)
        return Step(name, text)

    def recover(self, name):
        state = self.states[name]
        if state.savepoints and self.rnd.random() < 0.6:
            at = self.rnd.randrange(len(state.savepoints))
            state.savepoints = state.savepoints[:at + 1]
            return Step(name, "ROLLBACK TO " + state.savepoints[at])
        return Step(name, self.rnd.choice(["ROLLBACK", "ROLLBACK", "COMMIT"]))

    def control(self, name, session):
        rnd, state = self.rnd, self.states[name]
        if not session.in_transaction:
            return Step(name, "BEGIN ISOLATION LEVEL " + rnd.choice(self.levels))
        roll = rnd.random()
        if roll < 0.31:
            return Step(name, "COMMIT")
        if roll < 0.36 and self.prepares:
            self.prepared_transactions += 1
            return Step(name, "PREPARE TRANSACTION '%%DATABASE%%-%d'" % rnd.randint(0, 999999))
        if roll < 0.45:
            return Step(name, "ROLLBACK")
        if roll < 0.5:
            return Step(name, "SET CONSTRAINTS ALL " + rnd.choice(["DEFERRED", "IMMEDIATE"]))
        if roll < 0.75 or not state.savepoints:
            state.savepoints.append("s%d" % rnd.randint(0, 5))
            return Step(name, "SAVEPOINT " + state.savepoints[-1])
        at = rnd.randrange(len(state.savepoints))
        point = state.savepoints[at]
        if rnd.random() < 0.4:
            state.savepoints = state.savepoints[:at]
            return Step(name, "RELEASE " + point)
        state.savepoints = state.savepoints[:at + 1]
        return Step(name, "ROLLBACK TO " + point)

    def some_table(self):
        """Seldom the one that triggers write."""
        tables = self.model.writable()
        return self.rnd.choice([t for t in tables if t.name != "audit" or self.rnd.random() < 0.2] or tables)

    def change(self, name):
        rnd = self.rnd
        table, other = self.some_table(), self.some_table()
        many = self.alone(name)
        self.states[name].wrote = True
        roll = rnd.random()
        if roll < 0.35:
            return Step(name, dml.insert(rnd, table))
        if roll < 0.5:
            return Step(name, dml.update(rnd, table, False))
        if roll < 0.58:
            return Step(name, dml.delete(rnd, table, False))
        if roll < 0.63:
            return Step(name, dml.locking(rnd, table, many))
        if roll < 0.66:
            return Step(name, dml.changing_query(rnd, table))
        if roll < 0.69:
            return Step(name, dml.insert_many(rnd, table))
        if roll < 0.72:
            columns, data = dml.copy_data(rnd, table)
            return Step(name, "COPY %s (%s) FROM '%%FILE%%'" % (table.name, ", ".join(columns)), "copy_in", data=data)
        if not many:
            return Step(name, dml.insert(rnd, table))
        if roll < 0.82:
            return Step(name, dml.update(rnd, table, True))
        if roll < 0.86:
            return Step(name, dml.delete(rnd, table, True))
        if roll < 0.89:
            return Step(name, dml.update_from(rnd, table, other))
        if roll < 0.92:
            return Step(name, dml.insert_select(rnd, table))
        if roll < 0.95:
            return Step(name, dml.merge(rnd, table))
        if roll < 0.98:
            return Step(name, dml.subtransactions(rnd, table))
        if self.may_be_seen_from_before(name):
            return Step(name, dml.delete(rnd, table, True))
        return Step(name, "TRUNCATE %s%s" % (table.name, rnd.choice(["", " CASCADE", " RESTART IDENTITY CASCADE"])))

    def query(self, name):
        rnd = self.rnd
        if rnd.random() < 0.04:
            return Step(name, "COPY %s TO '%%FILE%%'" % rnd.choice([t for t in self.model.tables if t.kind == "r"] or
                                                                   self.model.tables).name, "copy_out")
        query, ordered = dml.select(rnd, self.model.tables)
        return Step(name, query, ordered=ordered)

    def cursor(self, name):
        """Over whole rows in order; half of them for changing the row that they are at."""
        rnd, state = self.rnd, self.states[name]
        table = rnd.choice(self.model.writable())
        if not state.cursors or rnd.random() < 0.35:
            locking = rnd.random() < 0.3 and self.alone(name)
            hold = not locking and rnd.random() < 0.3
            state.cursors.append(("c%d" % rnd.randint(0, 9), hold, table if locking else None))
            state.wrote = state.wrote or locking
            return Step(name, "DECLARE %s %sCURSOR %sFOR SELECT * FROM %s t WHERE %s ORDER BY t::text%s" % (
                state.cursors[-1][0], "" if locking else rnd.choice(["SCROLL ", "", "NO SCROLL "]), "WITH HOLD " if hold else "",
                table.name, dml.where(rnd, table, "t"), " FOR UPDATE" if locking else ""))
        cursor, _, table = rnd.choice(state.cursors)
        if table and rnd.random() < 0.4:
            columns = table.plain_columns()
            if columns and rnd.random() < 0.7:
                return Step(name, "UPDATE %s SET %s WHERE CURRENT OF %s" % (table.name, dml.assignments(rnd, table, columns), cursor))
            return Step(name, "DELETE FROM %s WHERE CURRENT OF %s" % (table.name, cursor))
        if rnd.random() < 0.1:
            state.cursors = [c for c in state.cursors if c[0] != cursor]
            return Step(name, "CLOSE " + cursor)
        return Step(name, "FETCH %s FROM %s" % (rnd.choice(
            ["NEXT", "3", "ALL", "BACKWARD 2", "PRIOR", "ABSOLUTE 2", "FIRST", "LAST", "RELATIVE 0", "BACKWARD ALL"]), cursor), ordered=True)

    def prepared(self, name):
        rnd, state = self.rnd, self.states[name]
        tables = [t for t in self.model.writable() if t.types.get("id") == "integer"]
        if not tables:
            return self.query(name)
        if not state.prepared or rnd.random() < 0.3:
            table = rnd.choice(tables)
            state.prepared.append("p%d" % rnd.randint(0, 9999))
            text = rnd.choice(["SELECT * FROM %s WHERE id = $1", "SELECT count(*) FROM %s WHERE id > $1", "DELETE FROM %s WHERE id = $1",
                               "INSERT INTO %s (id) VALUES ($1) RETURNING *", "SELECT * FROM %s WHERE id = $1 FOR UPDATE"]) % table.name
            return Step(name, "PREPARE %s (int) AS %s" % (state.prepared[-1], text))
        state.wrote = True
        return Step(name, "EXECUTE %s (%s)" % (rnd.choice(state.prepared), dml.key(rnd)))

    def disturb(self, name):
        """What no answer may depend on."""
        rnd = self.rnd
        roll = rnd.random()
        if roll < 0.4:
            return Step(name, "SET %s = %s" % (rnd.choice(SETTINGS), rnd.choice(["on", "off"])))
        if roll < 0.5:
            return Step(name, "RESET ALL")
        if roll < 0.55:
            return Step(name, "SET plan_cache_mode = " + rnd.choice(["force_generic_plan", "force_custom_plan"]))
        if roll < 0.85:
            return Step(name, "SELECT datahike.commit_id()", "fold")
        if roll < 0.9:
            return Step(name, "-- the fold worker is terminated", "kill_worker")
        return Step(name, "-- a new connection", "connect")
