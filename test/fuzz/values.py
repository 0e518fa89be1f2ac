"""Types, and random literals of them. Small domains, so that keys collide and predicates match."""

# name as format_type() prints it -> kinds of default operator classes it has
TYPES = {
    "integer": "btree hash",
    "bigint": "btree hash",
    "smallint": "btree hash",
    "numeric": "btree hash",
    "numeric(8,2)": "btree hash",
    "double precision": "btree hash",
    "text": "btree hash",
    "character varying(12)": "btree hash",
    "character(4)": "btree hash",
    "boolean": "btree hash",
    "date": "btree hash",
    "timestamp without time zone": "btree hash",
    "timestamp with time zone": "btree hash",
    "interval": "btree hash",
    "uuid": "btree hash",
    "inet": "btree hash",
    "bytea": "btree hash",
    "mood": "btree hash",
    "posint": "btree hash",
    "pair": "btree",
    "jsonb": "btree gin",
    "integer[]": "btree gin",
    "text[]": "btree gin",
    "tsvector": "gin gist",
    "int4range": "btree gist",
    "point": "gist",
}
INTEGERS = ("integer", "bigint", "smallint", "posint")
EXACT = INTEGERS + ("numeric", "numeric(8,2)")
WORDS = ["", "a", "b", "cc", "zebra", "Ünï", "quote''d", "tab\tx", "0", "-1", "NULL"]
# Objects that the types above need.
PRELUDE = ["CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')", "CREATE DOMAIN posint AS int CHECK (VALUE > -5)",
           "CREATE TYPE pair AS (a int, b text)"]


def has(kind, type_name):
    return kind in TYPES.get(type_name, "").split()


def word(rnd):
    if rnd.random() < 0.03:
        return "long" + str(rnd.randint(0, 3)) * rnd.choice([300, 3000, 20000])
    return rnd.choice(WORDS)


def _json(rnd):
    return rnd.choice(['{}', '[]', '1', '"x"', 'null', '{"a": %d}' % rnd.randint(0, 3),
                       '{"b": [1, %d]}' % rnd.randint(0, 3), '[%d, "y"]' % rnd.randint(0, 3)])


def _plain(rnd, name):
    """The text of a value, to be quoted and cast."""
    small = rnd.randint(-4, 30)
    if name in ("integer", "posint", "smallint"):
        return str(small)
    if name == "bigint":
        return str(rnd.choice([small, small * 10**15]))
    if name == "numeric":  # one spelling for each number: of equal ones any may be the greatest
        return rnd.choice([str(small), "%d.%d" % (small, rnd.randint(1, 9))])
    if name == "numeric(8,2)":
        return "%d.%02d" % (small, rnd.randint(0, 99))
    if name == "double precision":
        return rnd.choice([str(small), "0.1", "1e300", "NaN", "Infinity", "-2.5"])
    if name == "text":
        return word(rnd)
    if name == "character varying(12)":
        return rnd.choice(WORDS)
    if name == "character(4)":
        return rnd.choice(["", "a", "b ", "cccc"])
    if name == "boolean":
        return rnd.choice("tf")
    if name == "date":
        return rnd.choice(["2020-01-%02d" % rnd.randint(1, 28), "infinity", "0044-03-15 BC"])
    if name.startswith("timestamp"):
        return rnd.choice(["2020-01-%02d 12:00:00.5" % rnd.randint(1, 28), "-infinity", "1999-12-31"])
    if name == "interval":
        return rnd.choice(["%d days" % small, "2 years", "-2 hours"])
    if name == "uuid":
        return "00000000-0000-0000-0000-%012d" % rnd.randint(0, 20)
    if name == "inet":
        return rnd.choice(["10.0.0.%d" % rnd.randint(0, 9), "10.0.0.0/8", "::1"])
    if name == "bytea":
        return rnd.choice(["\\x", "\\x00", "\\xff%02x" % rnd.randint(0, 20), "\\x" + "ab" * 2500])
    if name == "mood":
        return rnd.choice(["sad", "ok", "happy"])
    if name == "pair":
        return "(%d,%s)" % (rnd.randint(0, 5), rnd.choice("abc"))
    if name == "jsonb":
        return _json(rnd)
    if name == "integer[]":
        return "{" + ",".join(str(rnd.randint(0, 6)) for _ in range(rnd.randint(0, 4))) + "}"
    if name == "text[]":
        return rnd.choice(["{}", "{a}", "{a,b}", "{NULL,c}", "{{a,b},{c,d}}"])
    if name == "tsvector":
        return rnd.choice(["cat", "cat dog", "fox:1 cat:2", ""])
    if name == "int4range":
        low = rnd.randint(0, 40)
        return rnd.choice(["[%d,%d)" % (low, low + rnd.randint(0, 5)), "empty", "(,3)"])
    if name == "point":
        return "(%d,%d)" % (rnd.randint(0, 5), rnd.randint(0, 5))
    raise KeyError(name)


def literal(rnd, name, nulls=0.1):
    if rnd.random() < nulls:
        return "NULL"
    if rnd.random() < 0.01:
        return "'bad'::text::" + name  # often 22P02, and for text a value
    if name not in TYPES:
        return "NULL"
    text = _plain(rnd, name)
    return "'%s'::%s" % (text if "''" in text else text.replace("'", "''"), name)


def copy_field(rnd, name):
    """A field of COPY's text format."""
    if rnd.random() < 0.1 or name not in TYPES:
        return "\\N"
    text = _plain(rnd, name).replace("''", "'")
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def predicate(rnd, column, name):
    """A condition on one column; always of a form that its type has operators for."""
    roll = rnd.random()
    if roll < 0.1:
        return "%s IS %sNULL" % (column, rnd.choice(["", "NOT "]))
    value = literal(rnd, name, nulls=0.02)
    if name == "jsonb" and roll < 0.7:
        return "%s @> %s" % (column, value)
    if name.endswith("[]") and roll < 0.7:
        return "%s %s %s" % (column, rnd.choice(["@>", "<@", "&&"]), value)
    if name == "tsvector":
        return "%s @@ '%s'::tsquery" % (column, rnd.choice(["cat", "dog & cat", "!fox"]))
    if name == "int4range" and roll < 0.7:
        return "%s %s %s" % (column, rnd.choice(["&&", "@>", "<@", "-|-"]), value)
    if name == "point":
        return "%s <@ box '((0,0),(%d,3))'" % (column, rnd.randint(0, 5))
    if name == "boolean" and roll < 0.5:
        return rnd.choice(["%s", "NOT %s"]) % column
    if roll < 0.6:
        return "%s = %s" % (column, value)
    if roll < 0.7:
        return "%s IN (%s, %s)" % (column, value, literal(rnd, name))
    if roll < 0.75:
        return "%s IS DISTINCT FROM %s" % (column, value)
    return "%s %s %s" % (column, rnd.choice(["<", "<=", ">", ">=", "<>"]), value)
