-- which values are compressed, by what, and that nothing else notices
SET default_toast_compression = 'pglz';
CREATE FUNCTION words(seed int, n int) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT string_agg('word' || (seed * 31 + i * i) % 97, ' ') FROM generate_series(1, n) i $$;
CREATE FUNCTION noise(seed int, n int) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT string_agg(md5((seed * 1000 + i)::text), '') FROM generate_series(1, n) i $$;
-- the widest rows that stay as they are, and the narrowest that do not, of every kind of storage
CREATE TABLE s (id int PRIMARY KEY, a text, b text COMPRESSION lz4, m text, e text, p text, n numeric, j jsonb, arr int[]);
ALTER TABLE s ALTER m SET STORAGE MAIN, ALTER e SET STORAGE EXTERNAL, ALTER p SET STORAGE PLAIN;
INSERT INTO s (id, a) SELECT g, repeat('x', 1950 + g) FROM generate_series(1, 100) g;
INSERT INTO s (id, a, b) SELECT 1000 + g, words(g, 100 + g), words(g, 250 - g) FROM generate_series(1, 150) g;
INSERT INTO s (id, a, m) SELECT 2000 + g, words(g, 100 + 5 * g), words(g, 400 - 5 * g) FROM generate_series(1, 70) g;
INSERT INTO s (id, a, e, p) SELECT 3000 + g, words(g, 50 + g), words(g, 200 - g), words(g, 10 * (g % 8)) FROM generate_series(1, 100) g;
INSERT INTO s (id, a, b, m) SELECT 4000 + g, noise(g, 20 + g), noise(-g, 80 - g), words(g, g * 10) FROM generate_series(1, 60) g;
INSERT INTO s (id, n, j, arr) SELECT 5000 + g, repeat('7', 500 * g)::numeric, (SELECT jsonb_agg(jsonb_build_object('item', i, 'name', words(i, 3))) FROM generate_series(1, g * 3) i),
  (SELECT array_agg(i % 7) FROM generate_series(1, g * 20) i) FROM generate_series(1, 40) g;
INSERT INTO s (id, a) SELECT 6000, repeat('long', 3000000);
SELECT id / 1000 AS part, id, pg_column_compression(a) a, pg_column_compression(b) b, pg_column_compression(m) m, pg_column_compression(e) e,
  pg_column_compression(p) p, pg_column_compression(n) n, pg_column_compression(j) j, pg_column_compression(arr) arr FROM s ORDER BY id;
SELECT id / 1000 AS part, count(*), md5(string_agg(md5(s::text), '' ORDER BY id)) FROM s GROUP BY 1 ORDER BY 1;
-- the table's own target
CREATE TABLE target (id int, a text, b text) WITH (toast_tuple_target = 300);
INSERT INTO target SELECT g, words(g, 20 + g * 3), words(-g, 200 - g) FROM generate_series(1, 80) g;
SELECT id, pg_column_compression(a), pg_column_compression(b) FROM target ORDER BY id;
-- UPDATE keeps what it does not change, whatever the column's method is by now
ALTER TABLE s ALTER a SET COMPRESSION lz4, ALTER b SET COMPRESSION pglz;
UPDATE s SET j = '{}' WHERE id % 3 = 0;
UPDATE s SET a = a || 'tail' WHERE id % 5 = 0;
UPDATE s SET b = a, a = b WHERE id % 7 = 0;
SELECT pg_column_compression(a) a, pg_column_compression(b) b, count(*), sum(length(a)), sum(length(b)) FROM s GROUP BY 1, 2 ORDER BY 1, 2;
WITH changed AS (UPDATE s SET a = substr(a, 1, 100), b = NULL WHERE id % 11 = 0 RETURNING *) SELECT id, pg_column_compression(a), length(a) FROM changed ORDER BY id;
-- in one transaction, before and after the rows are in the log, and rolled back
BEGIN;
INSERT INTO s (id, a) SELECT 7000 + g, words(g, 400) FROM generate_series(1, 5) g;
SELECT id, pg_column_compression(a), md5(a) FROM s WHERE id > 7000 ORDER BY id;
SAVEPOINT one;
UPDATE s SET b = a WHERE id > 7000;
SELECT id, pg_column_compression(b), a = b FROM s WHERE id > 7000 ORDER BY id;
ROLLBACK TO one;
INSERT INTO s (id, a) SELECT 8000 + g, words(g, 500) FROM generate_series(1, 300) g;
DELETE FROM s WHERE id > 8000 AND id % 2 = 0;
SELECT count(*), count(DISTINCT a), min(pg_column_compression(a)), max(a) = max(words(99, 500)) FROM s WHERE id > 8000;
COMMIT;
SELECT count(*), count(DISTINCT a), sum(length(a)) FROM s WHERE id > 7000;
-- SELECT INTO, INSERT ... SELECT, COPY, VACUUM FULL, CLUSTER, another type
CREATE TABLE copied AS SELECT * FROM s;
SELECT pg_column_compression(a) a, pg_column_compression(b) b, pg_column_compression(j) j, count(*) FROM copied GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
CREATE TABLE plain (id int, a text STORAGE PLAIN);
\copy s (id, a) TO 'compression.copied'
CREATE TABLE from_file (id int, a text COMPRESSION lz4);
\copy from_file FROM 'compression.copied'
\! rm -f compression.copied
SELECT pg_column_compression(a), count(*), sum(length(a)) FROM from_file GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM s JOIN from_file f USING (id) WHERE s.a IS DISTINCT FROM f.a;
ALTER TABLE from_file ALTER a SET COMPRESSION pglz;
VACUUM FULL from_file;
SELECT pg_column_compression(a), count(*) FROM from_file GROUP BY 1 ORDER BY 1;
CREATE INDEX ON from_file (id);
CLUSTER from_file USING from_file_id_idx;
SELECT pg_column_compression(a), count(*), md5(string_agg(a, '' ORDER BY id)) FROM from_file GROUP BY 1 ORDER BY 1;
ALTER TABLE from_file ALTER a TYPE varchar(20000);
SELECT pg_column_compression(a), count(*) FROM from_file WHERE length(a) < 20000 GROUP BY 1 ORDER BY 1;
ALTER TABLE from_file ALTER a TYPE bytea USING convert_to(a, 'UTF8');
SELECT pg_column_compression(a), count(*), sum(length(a)) FROM from_file GROUP BY 1 ORDER BY 1;
-- indexes, constraints, triggers
CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE, w text CHECK (length(w) < 20000), g tsvector GENERATED ALWAYS AS (to_tsvector('simple', w)) STORED);
CREATE INDEX ON t (md5(w));
CREATE INDEX ON t USING gin (g);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE NOTICE '% % %', TG_OP, length(OLD.w), length(NEW.w); NEW.w := NEW.w || OLD.w; RETURN NEW; END $$;
CREATE TRIGGER note BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO t SELECT g, repeat(md5(g::text), 100), words(g, 500) FROM generate_series(1, 20) g;
INSERT INTO t SELECT 21, repeat(md5('7'), 100);
INSERT INTO t SELECT 21, repeat(md5('7'), 100) ON CONFLICT (v) DO UPDATE SET w = t.w || 'again' RETURNING id, length(w);
INSERT INTO t SELECT 22, NULL, repeat('c', 20000);
SELECT id FROM t WHERE v = repeat(md5('9'), 100);
SET enable_seqscan = off;
SELECT id FROM t WHERE v = repeat(md5('9'), 100);
SELECT id FROM t WHERE md5(w) = md5(words(5, 500));
SELECT count(*) FROM t WHERE g @@ to_tsquery('simple', 'word5');
RESET enable_seqscan;
WITH changed AS (UPDATE t SET id = id + 100 WHERE id < 4 RETURNING *) SELECT id, length(w), pg_column_compression(w) FROM changed ORDER BY id;
SELECT count(*), count(DISTINCT v), count(DISTINCT w) FROM t;
-- partitions, EPQ's rows, cursors, prepared transactions
CREATE TABLE parts (k int, v text COMPRESSION lz4) PARTITION BY LIST (k);
CREATE TABLE part1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part2 (k int, v text COMPRESSION pglz);
ALTER TABLE parts ATTACH PARTITION part2 FOR VALUES IN (2);
INSERT INTO parts SELECT 1 + g % 2, words(g, 600) FROM generate_series(1, 10) g;
UPDATE parts SET k = 3 - k;
SELECT tableoid::regclass, k, pg_column_compression(v), count(*), sum(length(v)) FROM parts GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
BEGIN;
INSERT INTO parts SELECT 1, words(g, 700) FROM generate_series(1, 3) g;
PREPARE TRANSACTION 'compressed';
COMMIT PREPARED 'compressed';
BEGIN;
DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT k, v FROM parts ORDER BY k, v;
FETCH 1 FROM c;
COMMIT;
SELECT count(*), pg_column_compression(v), md5(string_agg(v, '' ORDER BY v)) FROM parts WHERE k = 1 GROUP BY 2 ORDER BY 2;
-- joins, sorts and groups of compressed values
SELECT count(*) FROM s x JOIN copied y ON x.a = y.a;
SELECT count(*), sum(n) FROM (SELECT a, count(*) n FROM (SELECT a FROM s UNION ALL SELECT a FROM copied) u GROUP BY a) g;
SELECT length(a) FROM s ORDER BY a DESC NULLS LAST LIMIT 5;
SELECT count(*) FROM s WHERE a LIKE '%word96 word5%';
SELECT j -> 0 ->> 'name' AS name, count(*) FROM s WHERE j IS NOT NULL GROUP BY 1 ORDER BY 1;
ANALYZE s;
