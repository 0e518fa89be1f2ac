"""What the generators know of the schema: read from heap's catalog after each change, so that failed or rolled back DDL
leaves it right."""
import json

import values

QUERY = """SELECT json_build_object('name', c.relname, 'kind', c.relkind::text, 'partition', c.relispartition,
  'columns', (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated <> '' OR
      a.attidentity = 'a', a.attnotnull) ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'indexes', (SELECT json_agg(json_build_array(ic.relname, am.amname, i.indisunique OR i.indisexclusion, i.indisprimary,
      pg_get_indexdef(i.indexrelid), i.indimmediate, pg_get_indexdef(i.indexrelid, 1, true), i.indisvalid, i.indnkeyatts,
      pg_get_expr(i.indpred, i.indrelid)) ORDER BY ic.relname)
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam WHERE i.indrelid = c.oid),
  'constraints', (SELECT json_agg(json_build_array(conname, contype::text, pg_get_constraintdef(oid)) ORDER BY conname)
    FROM pg_constraint WHERE conrelid = c.oid AND conparentid = 0))::text
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm') ORDER BY c.relname"""


class Index:
    def __init__(self, fields):
        (self.name, self.method, self.unique, self.primary, self.definition, self.immediate, self.first_key, self.valid,
         self.keys, self.predicate) = fields


class Table:
    def __init__(self, data):
        self.name, self.kind, self.partition = data["name"], data["kind"], data["partition"]
        columns = data["columns"] or []
        self.types = {c[0]: c[1] for c in columns}
        self.generated = {c[0] for c in columns if c[2]}
        self.not_null = {c[0] for c in columns if c[3]}
        self.indexes = [Index(i) for i in data["indexes"] or []]
        self.constraints = data["constraints"] or []

    @property
    def columns(self):
        return list(self.types)

    def writable(self):
        return [c for c in self.types if c not in self.generated]

    def known(self):
        """Columns whose type predicates can be made for."""
        return [c for c, t in self.types.items() if t in values.TYPES]

    def unique_columns(self):
        """Columns that a many-row UPDATE must leave alone: whether it fails would depend on the order of rows."""
        text = " ".join(i.definition for i in self.indexes if i.unique)
        if any(g in text for g in self.generated):
            return set(self.types)
        return {c for c in self.types if c in text}

    def plain_columns(self):
        unique = self.unique_columns()
        return [c for c in self.writable() if c not in unique and c != "id"]

    def arbiter(self, rnd):
        """The target of ON CONFLICT, or None."""
        usable = [i for i in self.indexes if i.unique and i.method == "btree" and i.immediate and i.valid]
        if not usable:
            return None
        index = rnd.choice(usable)
        target = index.definition.split(" USING btree ")[1].replace("NULLS NOT DISTINCT", "")
        return target.split(" INCLUDE ")[0]


class Model:
    def __init__(self):
        self.tables = []

    def read(self, rows):
        self.tables = [Table(json.loads(row[0])) for row in rows]

    def writable(self):
        return [t for t in self.tables if t.kind in "rp" and t.writable()]

    def indexes(self):
        return [(t, i) for t in self.tables for i in t.indexes]
