-- values of many megabytes, compressed and not, and values that heap keeps out of line
CREATE TABLE t (id int PRIMARY KEY, v text, b bytea);
INSERT INTO t VALUES (1, repeat('a', 8 * 1024 * 1024), NULL);
INSERT INTO t SELECT 2, string_agg(md5(g::text), ''), NULL FROM generate_series(1, 200000) g;
INSERT INTO t SELECT 3, NULL, decode(string_agg(md5(g::text), ''), 'hex') FROM generate_series(1, 300000) g;
INSERT INTO t SELECT 10 + g, repeat(md5(g::text), g * 10), decode(md5(g::text), 'hex') FROM generate_series(1, 300) g;
SELECT id, length(v), md5(v), length(b), md5(b) FROM t WHERE id < 10 ORDER BY id;
SELECT count(*), sum(length(v)), md5(string_agg(md5(v), '' ORDER BY id)) FROM t WHERE id > 10;
SELECT substr(v, 4000000, 20) FROM t WHERE id = 2;
UPDATE t SET v = v || 'tail' WHERE id = 1;
SELECT length(v), right(v, 8) FROM t WHERE id = 1;
UPDATE t SET b = '\x01' WHERE id = 2 RETURNING length(v), md5(v), b;
-- out-of-line values of a heap table arrive whole, and stay when that table is gone
CREATE TABLE h (id int PRIMARY KEY, v text, j jsonb, a int[]) USING heap;
ALTER TABLE h ALTER v SET STORAGE EXTERNAL;
INSERT INTO h SELECT g, repeat(md5(g::text), 500), jsonb_build_object('k', repeat(md5(g::text), 300)),
  (SELECT array_agg(x * g) FROM generate_series(1, 5000) x) FROM generate_series(1, 20) g;
CREATE TABLE from_heap AS SELECT * FROM h;
CREATE TABLE from_heap2 (LIKE h);
INSERT INTO from_heap2 SELECT * FROM h;
UPDATE from_heap2 SET v = h.v || 'x' FROM h WHERE h.id = from_heap2.id AND h.id % 2 = 0;
DROP TABLE h;
SELECT id, length(v), md5(v), md5(j::text), array_length(a, 1), a[5000] FROM from_heap ORDER BY id;
SELECT id, length(v), md5(v), md5(j::text), array_length(a, 1) FROM from_heap2 ORDER BY id;
-- and back
CREATE TABLE back (LIKE from_heap) USING heap;
INSERT INTO back SELECT * FROM from_heap;
SELECT count(*) FROM (SELECT * FROM back EXCEPT SELECT * FROM from_heap) d;
-- in a transaction with rollbacks
BEGIN;
INSERT INTO t SELECT 5, repeat('z', 3000000);
SAVEPOINT s;
UPDATE t SET v = v || v WHERE id = 5;
SELECT length(v) FROM t WHERE id = 5;
ROLLBACK TO s;
SELECT length(v) FROM t WHERE id = 5;
COMMIT;
SELECT length(v) FROM t WHERE id = 5;
-- expanded values
DO $$
DECLARE a int[] := '{}';
BEGIN
  FOR i IN 1..2000 LOOP a[i] := i; END LOOP;
  INSERT INTO from_heap (id, a) VALUES (1000, a);
END $$;
SELECT id, array_length(a, 1), a[1999] FROM from_heap WHERE id = 1000;
-- a large value in a unique index
CREATE UNIQUE INDEX ON from_heap (md5(v));
INSERT INTO from_heap (id, v) SELECT 2000, v FROM from_heap WHERE id = 1;
-- the other way round: values that need TOAST on heap, and the table's options for it
CREATE TABLE moves (id int PRIMARY KEY, v text, w bytea) WITH (toast.autovacuum_enabled = off);
INSERT INTO moves SELECT g, (SELECT string_agg(md5(g::text || i), '') FROM generate_series(1, 2000) i), decode(repeat(md5(g::text), 400), 'hex')
  FROM generate_series(1, 5) g;
SELECT reltoastrelid <> 0 AS has_toast, (SELECT reloptions FROM pg_class x WHERE x.oid = c.reltoastrelid) FROM pg_class c WHERE relname = 'moves';
ALTER TABLE moves SET ACCESS METHOD heap;
SELECT id, length(v), md5(v), length(w), md5(w) FROM moves ORDER BY id;
INSERT INTO moves SELECT 6, string_agg(md5(i::text), ''), NULL FROM generate_series(1, 3000) i;
SELECT id, length(v), md5(v) FROM moves ORDER BY id;
