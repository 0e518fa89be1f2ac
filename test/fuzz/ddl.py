"""Random changes of the schema, and maintenance."""
import schema
import values

BTREE_OPTIONS = ["", "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST"]


def name(rnd, prefix):
    return "%s%d" % (prefix, rnd.randint(0, 9999))


def create_index(rnd, table, concurrently=False, unique=None):
    columns = table.known()
    if not columns:
        return add_column(rnd, table)
    c = rnd.choice(columns)
    kind = table.types[c]
    method = rnd.choice(values.TYPES[kind].split())
    unique = rnd.random() < 0.15 if unique is None else unique
    key, tail = c, ""
    if method == "btree":
        key += rnd.choice(BTREE_OPTIONS)
        roll = rnd.random()
        others = [o for o in columns if o != c and values.has("btree", table.types[o])]
        if roll < 0.2 and others:
            key += ", " + rnd.choice(others)
        elif roll < 0.3 and others:
            tail = " INCLUDE (%s)" % rnd.choice(others)
        elif roll < 0.4 and kind in values.INTEGERS:
            key = "(%s %% 5)" % c
            unique = False
        elif roll < 0.5 and kind == "text":
            key = "lower(%s)" % c
        elif roll < 0.6 and kind == "text":
            key = "left(%s, 5) text_pattern_ops" % c
    if rnd.random() < 0.2 and "id" in table.types and table.kind == "r":
        tail += " WHERE id %s" % rnd.choice(["> 10", "< 20", "IS NOT NULL"])
    return "CREATE %sINDEX %s%s ON %s USING %s (%s)%s" % (
        "UNIQUE " if unique and method == "btree" else "", "CONCURRENTLY " if concurrently else "", name(rnd, "i"), table.name, method,
        key, tail)


def add_column(rnd, table, rewrites=True):
    if table.partition:
        return "ANALYZE " + table.name
    kind = schema.column_type(rnd)
    if kind == "posint" and not rewrites:  # a constraint of a domain is checked by a rewrite
        kind = "integer"
    roll = rnd.random()
    column = name(rnd, "a")
    if roll < 0.4:
        tail = " DEFAULT " + values.literal(rnd, kind, nulls=0)
    elif roll < 0.5:
        tail = " NOT NULL DEFAULT " + values.literal(rnd, kind, nulls=0)
    elif roll < 0.6 and rewrites:
        kind, tail = "integer", " DEFAULT (clock_timestamp() > '2000-01-01')::int"
    elif roll < 0.65 and kind in values.EXACT:
        tail = " CHECK (%s > -100)" % column
    else:
        tail = ""
    return "ALTER TABLE %s ADD COLUMN %s %s%s" % (table.name, column, kind, tail)


def alter_type(rnd, table):
    pairs = {"integer": ["bigint", "numeric", "text"], "smallint": ["integer"], "text": ["character varying(12)", "text"],
             "character varying(12)": ["text", "character varying(20)"], "date": ["timestamp with time zone", "text"],
             "numeric(8,2)": ["numeric", "numeric(8,2)"], "bigint": ["text", "numeric"], "boolean": ["text"], "mood": ["text"]}
    columns = [c for c, k in table.types.items() if k in pairs and c not in ("id", "ref")]
    if not columns or table.partition:
        return create_index(rnd, table)
    c = rnd.choice(columns)
    kind = rnd.choice(pairs[table.types[c]])
    using = " USING left(%s, 3)" % c if kind.startswith("character varying") and rnd.random() < 0.5 else ""
    return "ALTER TABLE %s ALTER COLUMN %s TYPE %s%s" % (table.name, c, kind, using)


def rewrites(text):
    """Whether a change of the schema may write a table anew."""
    return " TYPE " in text or "clock_timestamp" in text


def alter_column(rnd, table):
    c = rnd.choice(table.columns)
    kind = table.types[c]
    change = rnd.choice(["SET DEFAULT " + values.literal(rnd, kind), "DROP DEFAULT", "SET NOT NULL", "DROP NOT NULL", "SET STORAGE EXTERNAL",
                         "SET STATISTICS 10"])
    return "ALTER TABLE %s ALTER COLUMN %s %s" % (table.name, c, change)


def drop_column(rnd, table):
    columns = [c for c in table.columns if c != "id"]
    if not columns or table.partition:
        return create_index(rnd, table)
    return "ALTER TABLE %s DROP COLUMN %s CASCADE" % (table.name, rnd.choice(columns))


def constraint(rnd, table):
    if table.constraints and rnd.random() < 0.3:
        constraints = [c[0] for c in table.constraints if c[1] not in "pt"]
        if constraints:
            return "ALTER TABLE %s DROP CONSTRAINT %s CASCADE" % (table.name, rnd.choice(constraints))
    columns = [c for c in table.known() if values.has("btree", table.types[c])]
    if not columns:
        return add_column(rnd, table)
    c = rnd.choice(columns)
    new = name(rnd, "k")
    if rnd.random() < 0.4:
        tail = rnd.choice(["", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED", " INCLUDE (id)" if "id" in table.types else ""])
        return "ALTER TABLE %s ADD CONSTRAINT %s UNIQUE (%s)%s" % (table.name, new, c, tail)
    valid = rnd.choice(["", " NOT VALID"])
    return "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s)%s" % (table.name, new, values.predicate(rnd, c, table.types[c]), valid)


def rename(rnd, table):
    columns = [c for c in table.columns if c not in ("id", "ref")]
    if not columns or table.partition:
        return alter_column(rnd, table)
    return "ALTER TABLE %s RENAME COLUMN %s TO %s" % (table.name, rnd.choice(columns), name(rnd, "r"))


def new_table(rnd, table):
    new = name(rnd, "n")
    return rnd.choice([
        "CREATE TABLE %s AS SELECT * FROM %s" % (new, table.name),
        "CREATE TABLE %s (LIKE %s INCLUDING ALL)" % (new, table.name),
        "SELECT * INTO %s FROM %s" % (new, table.name),
        "CREATE MATERIALIZED VIEW %s AS SELECT * FROM %s" % (new, table.name),
        "CREATE TABLE %s () INHERITS (%s)" % (new, table.name)])


def drop_table(rnd, table):
    kind = "MATERIALIZED VIEW" if table.kind == "m" else "TABLE"
    return "DROP %s %s CASCADE" % (kind, table.name)


def partitioning(rnd, model):
    parents = [t for t in model.tables if t.kind == "p"]
    parts = [t for t in model.tables if t.partition]
    if not parts:
        return None
    p = rnd.choice(parts)
    owner = [t for t in parents if p.name.startswith(t.name + "_")]
    if not owner:
        return None
    return "ALTER TABLE %s DETACH PARTITION %s" % (owner[0].name, p.name)


def change(rnd, model):
    """A change of the schema that can stand in a transaction."""
    table = rnd.choice(model.writable())
    roll = rnd.random()
    if roll < 0.25:
        return create_index(rnd, table)
    if roll < 0.35:
        indexes = [i for t, i in model.indexes() if not i.primary]
        return "DROP INDEX %s" % rnd.choice(indexes).name if indexes else create_index(rnd, table)
    if roll < 0.5:
        return add_column(rnd, table)
    if roll < 0.58:
        return drop_column(rnd, table)
    if roll < 0.66:
        return alter_type(rnd, table)
    if roll < 0.74:
        return alter_column(rnd, table)
    if roll < 0.84:
        return constraint(rnd, table)
    if roll < 0.88:
        return rename(rnd, table)
    if roll < 0.94:
        return new_table(rnd, table) if len(model.tables) < 12 else create_index(rnd, table)
    if roll < 0.96:
        return drop_table(rnd, table)
    return partitioning(rnd, model) or add_column(rnd, table)


def maintain(rnd, model):
    """Commands that change no row; some cannot stand in a transaction."""
    table = rnd.choice(model.tables)
    indexes = model.indexes()
    roll = rnd.randint(0, 11)
    if roll <= 1:
        return "VACUUM %s%s" % (rnd.choice(["", "(ANALYZE) ", "(FREEZE) "]), table.name)
    if roll == 2:
        return "ANALYZE " + table.name
    if roll == 3:
        return "REINDEX TABLE " + table.name
    if roll == 4:
        return "REINDEX TABLE CONCURRENTLY " + table.name
    if roll == 5 and indexes:
        t, i = rnd.choice(indexes)
        return "CLUSTER %s USING %s" % (t.name, i.name)
    if roll == 6:
        return "VACUUM FULL " + table.name
    if roll == 7 and indexes:
        return "REINDEX INDEX " + rnd.choice(indexes)[1].name
    if roll == 8 and indexes:
        i = rnd.choice(indexes)[1]
        return "DROP INDEX CONCURRENTLY %s" % i.name
    if roll == 9:
        views = [t for t in model.tables if t.kind == "m"]
        if views:
            return "REFRESH MATERIALIZED VIEW " + rnd.choice(views).name
    return create_index(rnd, table, concurrently=True)
