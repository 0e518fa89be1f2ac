"""Random queries and changes. What they answer must not depend on the order in which a table's rows are met: whatever is
limited, numbered or walked by a cursor is sorted by whole rows, and a change of many rows leaves unique columns alone."""
import values

KEY_MOST = 40


def key(rnd):
    return str(rnd.randint(0, KEY_MOST))


def where(rnd, table, alias=""):
    dot = alias + "." if alias else ""
    known = table.known()
    if not known or rnd.random() < 0.1:
        return "true"
    parts = []
    for _ in range(rnd.choice([1, 1, 1, 2, 3])):
        column = rnd.choice(known) if rnd.random() < 0.8 or "id" not in known else "id"
        part = values.predicate(rnd, dot + column, table.types[column])
        parts.append("NOT (%s)" % part if rnd.random() < 0.1 else part)
    return rnd.choice([" AND ", " OR "]).join("(%s)" % p for p in parts)


def by_key(rnd, table):
    return "id = " + key(rnd) if "id" in table.types else where(rnd, table)


# ---------------------------------------------------------------- changes

def row_values(rnd, table, columns):
    cells = []
    for c in columns:
        if c == "id":
            cells.append(rnd.choice([key(rnd)] * 9 + ["NULL"]))
        elif c == "ref":
            cells.append(rnd.choice([key(rnd), "NULL"]))
        elif rnd.random() < 0.08:
            cells.append("DEFAULT")
        else:
            cells.append(values.literal(rnd, table.types[c]))
    return "(%s)" % ", ".join(cells)


def on_conflict(rnd, table):
    target = table.arbiter(rnd)
    if target is None or rnd.random() < 0.25:
        return " ON CONFLICT DO NOTHING"
    if rnd.random() < 0.4:
        return " ON CONFLICT %s DO NOTHING" % target
    sets = ["%s = %s" % (c, rnd.choice(["EXCLUDED." + c, values.literal(rnd, table.types[c])]))
            for c in rnd.sample(table.writable(), min(2, len(table.writable())))]
    condition = " WHERE " + where(rnd, table, table.name) if rnd.random() < 0.3 else ""
    return " ON CONFLICT %s DO UPDATE SET %s%s" % (target, ", ".join(sets), condition)


def returning(rnd, table):
    return rnd.choice(["", "", " RETURNING *", " RETURNING " + rnd.choice(table.columns)])


def insert(rnd, table):
    columns = table.writable()
    if rnd.random() < 0.2:
        columns = rnd.sample(columns, max(1, len(columns) - 1))
    rows = ", ".join(row_values(rnd, table, columns) for _ in range(rnd.choice([1, 1, 1, 2, 5])))
    tail = on_conflict(rnd, table) if rnd.random() < 0.4 else ""
    return "INSERT INTO %s (%s) VALUES %s%s%s" % (table.name, ", ".join(columns), rows, tail, returning(rnd, table))


def insert_many(rnd, table):
    """Rows by the dozen, now and then by the thousand, without keys or with keys of their own."""
    columns = table.writable()
    count = rnd.choice([20, 20, 200, 3000]) if rnd.random() < 0.9 else 15000
    # To delete a row of a table that refers to itself is to scan it.
    if any("REFERENCES %s(" % table.name in definition for _, _, definition in table.constraints):
        count = min(count, 3000)
    start, cells = rnd.randint(1, 50) * 100000, []
    for c in columns:
        kind = table.types[c]
        if c == "ref":
            cells.append("NULL")
        elif c == "id":
            cells.append("%d + n" % start)
        elif kind in ("integer", "bigint", "numeric"):
            cells.append(rnd.choice(["%d + n" % start, "n % 7"]))
        elif kind == "text":
            cells.append("'many' || n")
        else:
            cells.append(values.literal(rnd, kind))
    tail = " ON CONFLICT DO NOTHING" if rnd.random() < 0.5 else ""
    return "INSERT INTO %s (%s) SELECT %s FROM generate_series(1, %d) n%s" % (
        table.name, ", ".join(columns), ", ".join(cells), count, tail)


def insert_select(rnd, table):
    columns = table.writable()
    cells = ["id + %d" % rnd.randint(1, 30) if c == "id" else c for c in columns]
    return "INSERT INTO %s (%s) SELECT %s FROM (SELECT * FROM %s x ORDER BY x::text LIMIT %d) s%s%s" % (
        table.name, ", ".join(columns), ", ".join(cells), table.name, rnd.randint(1, 20), on_conflict(rnd, table), returning(rnd, table))


def assignment(rnd, table, column):
    kind = table.types[column]
    if kind in ("integer", "bigint", "numeric") and rnd.random() < 0.4:
        return "%s = %s + 1" % (column, column)
    if kind == "text" and rnd.random() < 0.3:
        return "%s = left(%s || 'x', 30)" % (column, column)
    if column == "ref":
        return "ref = " + rnd.choice([key(rnd), "NULL"])
    return "%s = %s" % (column, rnd.choice(["DEFAULT", values.literal(rnd, kind), values.literal(rnd, kind)]))


def assignments(rnd, table, columns):
    chosen = rnd.sample(columns, min(len(columns), rnd.choice([1, 1, 2])))
    return ", ".join(assignment(rnd, table, c) for c in chosen)


def update(rnd, table, many):
    if many or not any(i.primary for i in table.indexes):
        columns = table.plain_columns()
        if not columns:
            return insert(rnd, table)
        if not many:
            return "UPDATE %s SET %s WHERE %s" % (table.name, assignments(rnd, table, columns), by_key(rnd, table))
        return "UPDATE %s SET %s WHERE %s%s" % (table.name, assignments(rnd, table, columns), where(rnd, table), returning(rnd, table))
    return "UPDATE %s SET %s WHERE %s%s" % (table.name, assignments(rnd, table, table.writable()), by_key(rnd, table), returning(rnd, table))


def update_from(rnd, table, other):
    columns = table.plain_columns()
    if not columns or "id" not in other.types or "id" not in table.types:
        return insert(rnd, table)
    return "UPDATE %s SET %s FROM (SELECT DISTINCT id AS other FROM %s o WHERE %s) s WHERE %s.id = s.other%s" % (
        table.name, assignments(rnd, table, columns).replace("DEFAULT", "NULL"), other.name, where(rnd, other, "o"), table.name,
        rnd.choice(["", " RETURNING *"]))


def delete(rnd, table, many):
    condition = where(rnd, table) if many else by_key(rnd, table)
    return "DELETE FROM %s WHERE %s%s" % (table.name, condition, returning(rnd, table))


def merge(rnd, table):
    """Needs a key, and sets no unique column."""
    columns = table.plain_columns()
    if not columns or "id" not in table.types or table.partition:
        return delete(rnd, table, False)
    low = rnd.randint(0, 30)
    matched = rnd.choice(["DELETE", "DO NOTHING", "UPDATE SET " + assignments(rnd, table, columns)])
    missing = rnd.choice(["DO NOTHING", "INSERT (id) VALUES (s.n)"])
    return "MERGE INTO %s t USING (SELECT n FROM generate_series(%d, %d) n) s ON t.id = s.n WHEN MATCHED AND %s THEN %s " \
        "WHEN NOT MATCHED THEN %s" % (table.name, low, low + 5, where(rnd, table, "t"), matched, missing)


def subtransactions(rnd, table):
    """A block that fails again and again, each time in a subtransaction."""
    return "DO $$ BEGIN FOR i IN %d..%d LOOP BEGIN %s; IF i %% 2 = 0 THEN RAISE division_by_zero; END IF; " \
        "EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$" % (
            1, rnd.choice([3, 8, 70]), rnd.choice([insert, lambda r, t: update(r, t, False), lambda r, t: delete(r, t, False)])(rnd, table)
            .split(" RETURNING")[0])


def copy_data(rnd, table):
    columns = table.writable()
    lines = []
    for _ in range(rnd.choice([1, 3, 20, 300])):
        cells = [key(rnd) if c == "id" and rnd.random() < 0.5 else str(rnd.randint(100, 10**6)) if c == "id" else
                 "\\N" if c == "ref" else values.copy_field(rnd, table.types[c]) for c in columns]
        lines.append("\t".join(cells))
    if rnd.random() < 0.1:
        lines.append("garbage")
    return columns, "\n".join(lines) + "\n"


# ---------------------------------------------------------------- queries

def aggregates(rnd, table, alias):
    out = ["count(*)"]
    for c in rnd.sample(table.known(), min(3, len(table.known()))):
        kind, name = table.types[c], "%s.%s" % (alias, c)
        if kind in values.EXACT:
            out.append(rnd.choice(["sum(%s)", "min(%s)", "max(%s)", "avg(%s)", "count(DISTINCT %s)"]) % name)
        elif kind in ("text", "date", "double precision", "timestamp with time zone"):
            out.append(rnd.choice(["min(%s)", "max(%s)", "count(%s)"]) % name)
        elif kind == "boolean":
            out.append("bool_or(%s)" % name)
        else:
            out.append("string_agg(%s::text, ',' ORDER BY %s::text)" % (name, name))
    return ", ".join(out)


def grouping(rnd, table):
    return [c for c in table.known() if values.has("btree", table.types[c])]


def select(rnd, tables):
    """(query, whether the order of its rows counts)"""
    t, u = rnd.choice(tables), rnd.choice(tables)
    condition = where(rnd, t, "t")
    shape = rnd.randint(0, 13)
    if shape <= 2:
        return "SELECT * FROM %s t WHERE %s" % (t.name, condition), False
    if shape == 3:
        return "SELECT %s FROM %s t WHERE %s" % (aggregates(rnd, t, "t"), t.name, condition), False
    if shape == 4 and grouping(rnd, t):
        c = rnd.choice(grouping(rnd, t))
        return "SELECT t.%s, %s FROM %s t WHERE %s GROUP BY t.%s" % (c, aggregates(rnd, t, "t"), t.name, condition, c), False
    if shape == 5:
        return "SELECT * FROM %s t WHERE %s ORDER BY t::text %s LIMIT %d OFFSET %d" % (
            t.name, condition, rnd.choice(["", "DESC"]), rnd.randint(0, 9), rnd.randint(0, 3)), True
    if shape == 6 and grouping(rnd, t):
        c = rnd.choice(grouping(rnd, t))
        return "SELECT %s FROM %s t WHERE %s ORDER BY %s %s NULLS %s" % (
            c, t.name, condition, c, rnd.choice(["", "DESC"]), rnd.choice(["FIRST", "LAST"])), values.TYPES[t.types[c]] != "btree"
    if shape == 7 and "id" in t.types and "id" in u.types:
        return "SELECT t::text, u::text FROM %s t %s JOIN %s u ON t.id = u.id WHERE %s" % (
            t.name, rnd.choice(["", "LEFT", "FULL"]), u.name, condition), False
    if shape == 8:
        # By one column: thousands of rows with large values, each as text for each other, would take minutes on heap too. So would
        # rows without columns, which are all equal.
        left, right = ("%s.%s::text" % (a, next(iter(x.types))) if x.types else "'()'" for a, x in (("u", u), ("t", t)))
        return "SELECT count(*) FROM %s t WHERE %sEXISTS (SELECT FROM %s u WHERE %s AND %s < %s)" % (
            t.name, rnd.choice(["", "NOT "]), u.name, where(rnd, u, "u"), left, right), False
    if shape == 9:
        return "SELECT t::text FROM %s t WHERE %s %s SELECT u::text FROM %s u WHERE %s" % (
            t.name, condition, rnd.choice(["UNION", "EXCEPT", "INTERSECT", "UNION ALL"]), u.name, where(rnd, u, "u")), False
    if shape == 10:
        return "SELECT t::text, row_number() OVER (ORDER BY t::text), count(*) OVER () FROM %s t WHERE %s" % (t.name, condition), False
    if shape == 11 and "id" in t.types:
        return "SELECT * FROM %s t WHERE id IN (SELECT id FROM %s u WHERE %s)" % (
            t.name, u.name if "id" in u.types else t.name, where(rnd, u, "u") if "id" in u.types else "true"), False
    if shape == 12:
        return "SELECT count(*), min(ctid) IS NULL, bool_and(tableoid = tableoid) FROM %s t WHERE %s" % (t.name, condition), False
    return "SELECT count(*) FROM %s t TABLESAMPLE %s (100) WHERE %s" % (t.name, rnd.choice(["BERNOULLI", "SYSTEM"]), condition), False


def changing_query(rnd, table):
    """A change within a query."""
    change = rnd.choice([insert(rnd, table), update(rnd, table, False), delete(rnd, table, False)]).split(" RETURNING")[0]
    return "WITH changed AS (%s RETURNING *) SELECT (SELECT count(*) FROM changed), (SELECT count(*) FROM %s)" % (change, table.name)


def locking(rnd, table, many):
    mode = rnd.choice(["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
    wait = rnd.choice(["", " NOWAIT", " SKIP LOCKED"])
    condition = where(rnd, table) if many or wait else by_key(rnd, table)
    return "SELECT * FROM %s t WHERE %s FOR %s%s" % (table.name, condition, mode, wait)
