"""The same merge in plain SQL: three copies of a table in, the merged table and its conflicts out.

Nothing here knows how datahike merges. A copy is a heap table in schema o; rows are paired by the columns `identity`. The copy of a
base also has, for each column c, u_c: whether nothing is known of the cell (see merged_base).
"""


class Table:
    def __init__(self, name, identity, columns, generated=()):
        self.name = name
        self.identity = identity  # the primary key, or a column that stays the same through updates
        self.columns = columns  # all but generated ones
        self.generated = generated


STRATEGY = {
    "fail": "o.{c}",
    "ours": "o.{c}",
    "theirs": "t.{c}",
    "union": "coalesce(o.{c}, t.{c})",
    # The function resolve() of world.py, said once more.
    "resolver": "CASE WHEN coalesce(to_jsonb(t.{c}), 'null')::text COLLATE \"C\" < coalesce(to_jsonb(o.{c}), 'null')::text"
                " THEN t.{c} ELSE o.{c} END",
}
# Whether theirs is what becomes of a row that one side has deleted and the other changed.
ROW_IS_THEIRS = {"fail": "false", "ours": "false", "theirs": "true", "union": "o.there IS NULL", "resolver": "t.there"}


def same_cell(base, a, c):
    return "(NOT {b}.u_{c} AND {a}.{c} IS NOT DISTINCT FROM {b}.{c})".format(a=a, b=base, c=c)


def same(table, base, a):
    return "(%s)" % " AND ".join(same_cell(base, a, c) for c in table.columns if c not in table.identity)


def as_base(table, copy):
    return "SELECT *, %s FROM %s" % (", ".join("false AS u_" + c for c in table.columns), copy)


def merged_base(table, base, one, other):
    """A query for the base that two commits make where both are merge bases: their merge, in which what is in conflict is unknown.
    All three are copies of bases."""
    cells = []
    for c in table.columns:
        if c in table.identity:
            cells.append("%s, false AS u_%s" % (c, c))
            continue
        both = "NOT o.u_{c} AND NOT t.u_{c} AND o.{c} IS NOT DISTINCT FROM t.{c}".format(c=c)
        unchanged = "b.there AND NOT b.u_{c} AND NOT {x}.u_{c} AND b.{c} IS NOT DISTINCT FROM {x}.{c}"
        take = """CASE WHEN o.there AND t.there THEN CASE WHEN {both} THEN o.{p}{c} WHEN {t_takes} THEN t.{p}{c}
            WHEN {o_takes} THEN o.{p}{c} ELSE {unknown} END
            WHEN b.there THEN {unknown} WHEN o.there THEN o.{p}{c} ELSE t.{p}{c} END AS {p}{c}"""
        for prefix, unknown in ("", "NULL"), ("u_", "true"):
            cells.append(take.format(both=both, t_takes=unchanged.format(c=c, x="o"), o_takes=unchanged.format(c=c, x="t"),
                                     unknown=unknown, p=prefix, c=c))
    def as_it_was(x):
        return " AND ".join("NOT b.u_{c} AND NOT {x}.u_{c} AND b.{c} IS NOT DISTINCT FROM {x}.{c}".format(c=c, x=x)
                            for c in table.columns if c not in table.identity)
    stays = """CASE WHEN o.there AND t.there THEN true WHEN b.there IS NULL THEN o.there OR t.there
        WHEN o.there THEN NOT ({o}) WHEN t.there THEN NOT ({t}) ELSE false END""".format(o=as_it_was("o"), t=as_it_was("t"))
    return "SELECT %s FROM %s WHERE %s" % (", ".join(cells), joined(table, base, one, other), stays)


def joined(table, base, ours, theirs):
    copy = "(SELECT true AS there, * FROM %s)"
    using = ", ".join(table.identity)
    return "%s b FULL JOIN %s o USING (%s) FULL JOIN %s t USING (%s)" % (copy % base, copy % ours, using, copy % theirs, using)


def merged(table, base, ours, theirs, strategy):
    """A query for what the table holds after the merge, in the order of table.columns."""
    cells = []
    for c in table.columns:
        if c in table.identity:
            cells.append(c)
            continue
        conflict = STRATEGY[strategy].format(c=c)
        cells.append("""CASE WHEN o.there IS NULL THEN t.{c} WHEN t.there IS NULL THEN o.{c}
            WHEN b.there AND {unchanged} THEN o.{c}
            WHEN o.{c} IS NOT DISTINCT FROM t.{c} THEN o.{c}
            WHEN b.there AND {theirs_did_not} THEN o.{c}
            WHEN b.there AND {ours_did_not} THEN t.{c}
            ELSE {conflict} END AS {c}""".format(c=c, unchanged=same(table, "b", "t"), conflict=conflict,
                                                 theirs_did_not=same_cell("b", "t", c), ours_did_not=same_cell("b", "o", c)))
    theirs_wins = ROW_IS_THEIRS[strategy]
    stays = """CASE WHEN o.there AND t.there THEN true
        WHEN t.there THEN b.there IS NULL OR (NOT {bt} AND {win})
        WHEN o.there THEN b.there IS NULL OR (NOT {bo} AND NOT coalesce({win}, false))
        ELSE false END""".format(bt=same(table, "b", "t"), bo=same(table, "b", "o"), win=theirs_wins)
    return "SELECT %s FROM %s WHERE %s" % (", ".join(cells), joined(table, base, ours, theirs), stays)


def conflicts(table, base, ours, theirs):
    """A query for the conflicts of rows and cells: identity, column, kind, base, ours, theirs as text."""
    queries = []
    key = ", ".join(table.identity)
    source = joined(table, base, ours, theirs)
    for c in table.columns:
        if c in table.identity:
            continue
        queries.append("""SELECT ARRAY[{key}]::text[], '{c}', CASE WHEN b.there THEN 'cell' ELSE 'insert/insert' END,
            CASE WHEN b.there AND NOT b.u_{c} THEN coalesce(to_jsonb(b.{c}), 'null'::jsonb) END::text, coalesce(to_jsonb(o.{c}), 'null')::text,
            coalesce(to_jsonb(t.{c}), 'null')::text
            FROM {source} WHERE o.there AND t.there AND o.{c} IS DISTINCT FROM t.{c}
            AND (b.there IS NULL OR (NOT {ours_did_not} AND NOT {theirs_did_not}))""".format(
            key=key, c=c, source=source, ours_did_not=same_cell("b", "o", c), theirs_did_not=same_cell("b", "t", c)))
    queries.append("""SELECT ARRAY[{key}]::text[], NULL, 'delete/update', NULL, NULL, NULL FROM {source}
        WHERE b.there AND o.there IS NULL AND t.there AND NOT {bt}""".format(key=key, source=source, bt=same(table, "b", "t")))
    queries.append("""SELECT ARRAY[{key}]::text[], NULL, 'update/delete', NULL, NULL, NULL FROM {source}
        WHERE b.there AND t.there IS NULL AND o.there AND NOT {bo}""".format(key=key, source=source, bo=same(table, "b", "o")))
    return "SELECT * FROM (%s) c ORDER BY 1, 2 NULLS FIRST" % " UNION ALL ".join(queries)
