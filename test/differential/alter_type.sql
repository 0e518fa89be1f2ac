-- refused in this version: changing a column's type by rewriting the table
CREATE TABLE t (id int PRIMARY KEY, g int, s text);
INSERT INTO t SELECT i, i % 10, 'x' || i % 3 FROM generate_series(1, 1000) i;
ALTER TABLE t ALTER g TYPE bigint USING g * 1000000000000;
SELECT min(g), max(g), count(*) FROM t;
ALTER TABLE t ALTER s TYPE varchar(20);
BEGIN;
ALTER TABLE t ALTER id TYPE text USING 'n' || id;
SELECT min(id) FROM t;
ROLLBACK;
SELECT min(id), pg_typeof(min(id)) FROM t;
