-- Values that are compressed are read by column as what they stand for, and by all else that reads segments: the same as heap's, on one and on more threads.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET default_toast_compression = 'pglz';
-- always compressed; of few values; some NULL, some short; by lz4
CREATE TABLE h (id int, k int, v text COLLATE "C", d text COLLATE "C", m text COLLATE "C", l text COMPRESSION lz4 COLLATE "C", n numeric, b bytea, j jsonb, u text COMPRESSION lz4) USING heap;
CREATE TABLE t (LIKE h INCLUDING COMPRESSION) USING datahike;
CREATE FUNCTION words(seed int, n int) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT string_agg('word' || (seed * 31 + i * i) % 97, ' ') FROM generate_series(1, n) i $$;
INSERT INTO h SELECT i, i % 10, words(i, 350) || i, words(i % 7, 900), CASE WHEN i % 5 = 0 THEN NULL WHEN i % 2 = 0 THEN 'short ' || i % 11 ELSE words(i % 13, 500) END, words(i % 300, 400),
  CASE WHEN i % 4 = 0 THEN repeat('9', 3000)::numeric + i ELSE i END, CASE WHEN i % 3 = 0 THEN decode(repeat(md5(i::text), 70), 'hex') END,
  CASE WHEN i % 6 = 0 THEN jsonb_build_object('name', 'n' || i % 9, 'text', words(i, 400)) END, repeat('äöü ' || i % 20, 400) FROM generate_series(1, 1500) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', pg_column_compression(v), pg_column_compression(d), pg_column_compression(l), pg_column_compression(u)), ',') FROM t), 'pglz pglz lz4 lz4', 'all values are compressed');
CREATE FUNCTION digest(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
  EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(q::text, 0)), 0) FROM (%s) q', query) INTO r; RETURN r; END $$;
CREATE FUNCTION same(query text, must bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE one text; many text; few text; rows text; heap text; line text; found bool := false; BEGIN
  heap := digest(regexp_replace(query, '\mt\M', 'h', 'g'));
  SET LOCAL datahike.threads = 1; one := digest(query);
  SET LOCAL datahike.threads = 4; many := digest(query);
  SET LOCAL work_mem = '256kB'; few := digest(query); SET LOCAL work_mem = '64MB';
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP found := found OR line ~ 'Datahike|Columns|by column'; END LOOP;
  SET LOCAL datahike.vectorized = off; rows := digest(query); SET LOCAL datahike.vectorized = on;
  IF must AND NOT found THEN RETURN NEXT fail(query || ' is not vectorized'); RETURN; END IF;
  RETURN NEXT is(concat_ws(', ', one, many, few, rows), concat_ws(', ', heap, heap, heap, heap), query);
END $$;
CREATE TABLE queries (id serial, must bool DEFAULT true, query text) USING heap;
INSERT INTO queries (query) VALUES
  ('SELECT v, count(*) FROM t GROUP BY v'), ('SELECT d, count(*), sum(k) FROM t GROUP BY d'), ('SELECT m, count(*) FROM t GROUP BY m'), ('SELECT l, u, count(*) FROM t GROUP BY l, u'),
  ('SELECT k, min(v), max(v), min(m), max(l) FROM t GROUP BY k'), ('SELECT min(v), max(v), min(d), max(m), min(u COLLATE "C") FROM t'),
  ('SELECT count(DISTINCT v), count(DISTINCT d), count(DISTINCT m), count(DISTINCT u) FROM t'), ('SELECT k, count(DISTINCT l) FROM t GROUP BY k'), ('SELECT DISTINCT d FROM t'),
  ('SELECT count(*) FROM t WHERE v LIKE ''%word96 word5%'''), ('SELECT count(*) FROM t WHERE m NOT LIKE ''%word1%word2%'' AND k > 2'), ('SELECT count(*) FROM t WHERE m = ''short 4'''),
  ('SELECT count(*) FROM t WHERE d IN (words(1, 900), words(5, 900))'), ('SELECT count(*), count(v), count(m), count(b), count(n), count(j) FROM t'), ('SELECT sum(length(v)), sum(length(u)), avg(length(m)) FROM t'),
  ('SELECT sum(length(v)) FROM t WHERE k IN (3, 4)'), ('SELECT count(*), max(v) FROM t WHERE k = 3 AND v LIKE ''%word8 %'' AND m LIKE ''short%'''), ('SELECT count(*), min(l) FROM t WHERE (k = 3 AND v LIKE ''%word8 %'') OR (k = 5 AND v LIKE ''%word9 %'') OR id < 10'),
  ('SELECT count(*) FILTER (WHERE k = 3 AND v LIKE ''%word8 %''), count(*) FILTER (WHERE k > 7 AND v LIKE ''%word11 %''), sum(length(v)) FILTER (WHERE k = 1), max(v) FROM t WHERE k <> 4'), ('SELECT k, count(*) FILTER (WHERE m LIKE ''%word3 %'') FROM t GROUP BY k'),
  ('SELECT * FROM (SELECT id, v, d, m, b, n, j, row_number() OVER (PARTITION BY k ORDER BY id DESC) rn FROM t) x WHERE rn <= 3'), ('SELECT id, rank() OVER (PARTITION BY d ORDER BY id) FROM t'),
  ('SELECT id, lag(v) OVER (PARTITION BY k ORDER BY id), lead(m) OVER (PARTITION BY k ORDER BY id) FROM t'), ('SELECT id, first_value(d) OVER (PARTITION BY k ORDER BY id) FROM t'),
  ('SELECT a.d, count(*) FROM t a JOIN (SELECT DISTINCT d, length(d) q FROM t) b ON a.d = b.d GROUP BY a.d'), ('SELECT count(*), sum(a.id) FROM t a JOIN t b ON a.v = b.v'),
  ('SELECT b.l, count(*) FROM t a JOIN t b ON a.k = b.k WHERE b.id < 20 GROUP BY b.l'), ('SELECT count(*) FROM t a LEFT JOIN t b ON a.m = b.m WHERE b.id < 100');
INSERT INTO queries (must, query) VALUES (false, 'SELECT id, v FROM t ORDER BY v LIMIT 20'), (false, 'SELECT * FROM t ORDER BY id DESC LIMIT 10'), (false, 'SELECT d, count(*) c FROM t GROUP BY d ORDER BY c DESC, d LIMIT 3'), (false, 'SELECT * FROM t'),
  (false, 'SELECT id, n FROM t WHERE n > 100'), (false, 'SELECT sum(n) FROM t'), (false, 'SELECT b, count(*) FROM t GROUP BY b'), (false, 'SELECT count(*) FROM t WHERE j ->> ''name'' = ''n3'''), (false, 'SELECT id FROM t WHERE id > 700 AND v LIKE ''%word7 %''');
SELECT same(query, false) FROM queries ORDER BY id;
-- The same of rows of this transaction, in memory and in the log, and of rows some of which have been removed.
BEGIN;
INSERT INTO t SELECT id + 10000, k, v || 'own', d, m, l, n, b, j, u FROM h WHERE id < 400;
INSERT INTO h SELECT id + 10000, k, v || 'own', d, m, l, n, b, j, u FROM h WHERE id < 400;
UPDATE t SET k = k + 1 WHERE id % 9 = 0;
UPDATE h SET k = k + 1 WHERE id % 9 = 0;
SELECT same(query, false) FROM queries WHERE id % 2 = 0 ORDER BY id;
ROLLBACK;
DELETE FROM t WHERE id % 3 = 1;
DELETE FROM h WHERE id % 3 = 1;
VACUUM t;
SELECT same(query, false) FROM queries WHERE id % 2 = 1 ORDER BY id;
SELECT is_empty('SELECT * FROM datahike.verify(true) WHERE status = ''corrupt''', 'verify() finds what the commits say');
-- Commits of the same rows have the same digest, however they are compressed: the digest is of what they stand for.
CREATE TABLE x (id int, v text COMPRESSION pglz) USING datahike;
SELECT datahike.create_branch('side') \g /dev/null
SELECT commit_id AS base FROM datahike.log(max => 1) \gset
INSERT INTO x SELECT i, words(i, 600) FROM generate_series(1, 20) i;
UPDATE x SET v = v || 'changed' WHERE id = 3;
SET datahike.branch = 'side';
INSERT INTO x SELECT i, words(i, 700) FROM generate_series(101, 120) i;
RESET datahike.branch;
SELECT is((SELECT status FROM datahike.merge('side')), 'merged', 'branches are merged');
SELECT is((SELECT string_agg(DISTINCT pg_column_compression(v), ',') FROM x), 'pglz', 'and values stay compressed');
SELECT is((SELECT count(*) FROM x WHERE v <> words(id, CASE WHEN id > 100 THEN 700 ELSE 600 END) || CASE WHEN id = 3 THEN 'changed' ELSE '' END), 0::int8, 'with what they stand for');
-- The same value, compressed otherwise, is no difference.
SELECT commit_id AS first FROM datahike.log(max => 1) \gset
ALTER TABLE x ALTER v SET COMPRESSION lz4;
UPDATE x SET v = v || '' WHERE id < 10;
SELECT is((SELECT string_agg(DISTINCT pg_column_compression(v), ',') FROM x), 'lz4,pglz', 'by two methods');
SELECT is((SELECT count(*) FROM (SELECT * FROM datahike.at(NULL::x, :'first') EXCEPT SELECT * FROM x) y), 0::int8, 'no rows differ');
-- Another store's table, read by row and by column; Datalog; purge.
SELECT format('CREATE SERVER past FOREIGN DATA WRAPPER datahike OPTIONS (commit_id %L)', :'first') \gexec
CREATE SCHEMA past;
IMPORT FOREIGN SCHEMA public LIMIT TO (x, t) FROM SERVER past INTO past;
SELECT is((SELECT md5(string_agg(v, '' ORDER BY id)) FROM past.x), (SELECT md5(string_agg(v, '' ORDER BY id)) FROM x), 'a foreign table');
SELECT is((SELECT string_agg(c, ',' ORDER BY c) FROM (SELECT md5(d) || count(*) c FROM past.t GROUP BY d) q), (SELECT string_agg(c, ',' ORDER BY c) FROM (SELECT md5(d) || count(*) c FROM h GROUP BY d) q), 'by column');
SELECT is((SELECT count(*) FROM past.x WHERE v = words(7, 600)), 1::int8, 'with a condition');
SELECT is((SELECT count(*) FROM datahike.q('[:find ?i ?v :where [?e :x/id ?i] [?e :x/v ?v]]') AS q(i int, v text) JOIN x ON x.id = q.i AND x.v = q.v), (SELECT count(*) FROM x), 'Datalog');
SELECT is(datahike.q_json('[:find ?i . :in $ ?v :where [?e :x/v ?v] [?e :x/id ?i]]', words(5, 600)), '5', 'Datalog looks for one');
SELECT is((SELECT count(*) FROM datahike.q('[:find ?i ?j :where [?e :t/id ?i] [?e :t/j ?j]]') AS q(i int, j jsonb) JOIN h ON h.id = q.i AND h.j = q.j), (SELECT count(*) FROM h WHERE j IS NOT NULL), 'Datalog reads jsonb');
SELECT ok(datahike.purge('x', 'id BETWEEN 5 AND 14') IS NOT NULL, 'rows between others are erased');
SELECT is((SELECT string_agg(DISTINCT pg_column_compression(v), ',') FROM x), 'lz4,pglz', 'and the others are as they were');
SELECT is((SELECT count(*) FROM x WHERE v <> words(id, CASE WHEN id > 100 THEN 700 ELSE 600 END) || CASE WHEN id = 3 THEN 'changed' ELSE '' END), 0::int8, 'all of them');
SELECT is_empty('SELECT * FROM datahike.verify(true) WHERE status = ''corrupt''', 'and what the commits say');
-- A column of compressed values that becomes one of another type.
CREATE TABLE y (id int, v text) USING datahike;
INSERT INTO y SELECT i, '[' || words(i, 600) || ']' FROM generate_series(1, 5) i;
ALTER TABLE y ALTER v TYPE jsonb USING to_jsonb(v);
SELECT is((SELECT count(*) FROM y WHERE v #>> '{}' = '[' || words(id, 600) || ']'), 5::int8, 'as another type');
SELECT ok(datahike.relation_size('t') < (SELECT sum(length(v) + length(d) + length(l)) FROM t) / 2, 'tables are smaller than what they hold');
SELECT * FROM finish();
