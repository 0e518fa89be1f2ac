"""What must hold at the end: the same rows in both databases, and each index in agreement with its table."""
from sides import Difference

TABLES = """SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'm', 'p') ORDER BY 1"""
SEQUENTIAL = """SET enable_seqscan = on; SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off"""
BY_INDEX = """SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; SET enable_indexscan = on; SET enable_indexonlyscan = on"""
BY_BITMAP = """SET enable_seqscan = off; SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = on"""
INDEXES = """SELECT c.relname, t.relname, a.amname, pg_get_expr(i.indpred, i.indrelid), pg_get_indexdef(i.indexrelid, 1, true)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid JOIN pg_am a ON a.oid = c.relam
  WHERE t.relnamespace = 'public'::regnamespace AND c.relkind = 'i' AND i.indisvalid ORDER BY 1"""
# Constraints, defaults, triggers and indexes as pg_dump would write them, and what DDL left invalid.
CATALOG = """SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || convalidated
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT 'index ' || pg_get_indexdef(indexrelid) || indisvalid || indisready FROM pg_index
    WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
  UNION ALL SELECT 'column ' || attrelid::regclass || ' ' || attnum || attname || format_type(atttypid, atttypmod) || attnotnull
      || attisdropped || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'm'))"""


def quoted(name):
    return '"%s"' % name


def contents(side, table):
    return sorted(row[0] for row in side.query("SELECT t::text FROM %s t" % quoted(table)))


def first_differences(ours, theirs):
    a, b = set(ours), set(theirs)
    lines = ["    only in datahike: " + t[:300] for t in sorted(a - b)[:5]] + ["    only in heap: " + t[:300] for t in sorted(b - a)[:5]]
    return "\n".join(lines) or "    the same rows, other numbers of them"


def contents_at(side, revision, heap):
    """Of the tables that heap has: their rows at a revision, by at(). Materialized views have none."""
    tables = heap.query("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1")
    return {table: sorted(row[0] for row in side.query("SELECT t::text FROM datahike.at(NULL::%s, '%s') t" % (quoted(table), revision)))
            for (table,) in tables}


def same_rows(table, ours, theirs):
    if ours != theirs:
        raise Difference("table %s: %d rows in datahike, %d in heap\n%s" % (
            table, len(ours), len(theirs), first_differences(ours, theirs)))


def same_contents(datahike, heap):
    tables = [side.query(TABLES) for side in (datahike, heap)]
    if tables[0] != tables[1]:
        raise Difference("tables: %s on datahike, %s on heap" % tuple(tables))
    for (table,) in tables[1]:
        same_rows(table, contents(datahike, table), contents(heap, table))


def same_catalogs(datahike, heap):
    ours, theirs = (sorted(row[0] for row in side.query(CATALOG)) for side in (datahike, heap))
    if ours != theirs:
        raise Difference("the catalogs differ\n" + first_differences(ours, theirs))


def rows(side, settings, query):
    side.query(settings)
    answer = sorted(row[0] for row in side.query(query))
    side.query("RESET ALL")
    return answer


def matches(side, table, method, key):
    """Conditions on the key that an index of this method answers, for a few of the values that there are."""
    found = side.query("SELECT DISTINCT quote_literal((%s)::text), pg_typeof(%s)::text FROM %s t WHERE (%s) IS NOT NULL ORDER BY 1 LIMIT 5" % (
        key, key, quoted(table), key))
    for value, kind in found:
        if kind == "tsvector":
            yield "@@ 'cat'::tsquery"
        else:
            operator = {"hash": "=", "gin": "@>", "gist": "~=" if kind == "point" else "&&"}[method]
            yield "%s %s::%s" % (operator, value, kind)


def indexes(side):
    """Each index and a sequential scan of its table give the same rows; amcheck finds nothing."""
    side.query("CREATE EXTENSION IF NOT EXISTS amcheck")
    for index, table, method, predicate, key in side.query(INDEXES):
        condition = " WHERE (%s)" % predicate if predicate else ""
        if method == "btree":
            queries = ["SELECT t::text FROM %s t%s ORDER BY %s" % (quoted(table), condition, key)]
            settings = [BY_INDEX]
        else:
            queries = ["SELECT t::text FROM %s t%s(%s) %s" % (quoted(table), condition + (" AND " if condition else " WHERE "), key, match)
                       for match in matches(side, table, method, key)]
            settings = [BY_INDEX, BY_BITMAP]
        for query in queries:
            sequential = rows(side, SEQUENTIAL, query)
            for setting in settings:
                indexed = rows(side, setting, query)
                if indexed != sequential:
                    raise Difference("index %s of %s (%s): %d rows by index, %d by sequential scan: %s\n%s" % (
                        index, table, method, len(indexed), len(sequential), query,
                        first_differences(indexed, sequential).replace("datahike", "the index").replace("heap", "the table")))
        if method == "btree":
            try:
                side.query("SELECT bt_index_parent_check('%s'::regclass, true)" % quoted(index))
            except Exception as error:
                raise Difference("amcheck of %s on %s: %s" % (index, table, error)) from error
