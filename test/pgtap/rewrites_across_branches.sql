-- Commands that write a table anew, with two branches, history, and changes of the same transaction. Heap twins of each
-- branch get the same commands.
SELECT plan(60);
\set VERBOSITY verbose
-- same(TWIN, WHAT): the table as the session sees it, sequentially and by index, is its twin
CREATE FUNCTION same(twin text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE t text := split_part(twin, '_', 1);
BEGIN
  PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
  RETURN NEXT results_eq(format('SELECT t::text FROM %I t ORDER BY 1', t), format('SELECT h::text FROM %I h ORDER BY 1', twin), what);
  PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
  RETURN NEXT results_eq(format('SELECT t::text FROM %I t WHERE id BETWEEN -9 AND 99999 ORDER BY 1', t), format('SELECT h::text FROM %I h ORDER BY 1', twin), what || ', by index');
END $$;
CREATE FUNCTION on_both(t text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('datahike.branch', 'db', false);
  RETURN QUERY SELECT same(t || '_db', what || ': db');
  PERFORM set_config('datahike.branch', 'b', false);
  RETURN QUERY SELECT same(t || '_b', what || ': b');
  PERFORM set_config('datahike.branch', 'db', false);
END $$;
SELECT datahike.create_branch('b') \g /dev/null

-- one transaction: changes on both branches, two rewrites, a savepoint, changes on the other branch
CREATE TABLE a (id int PRIMARY KEY, v int);
CREATE TABLE a_db (id int PRIMARY KEY, v int) USING heap;
CREATE TABLE a_b (id int PRIMARY KEY, v int) USING heap;
INSERT INTO a SELECT g, g FROM generate_series(1, 100) g;
INSERT INTO a_db TABLE a;
SET datahike.branch = 'b';
INSERT INTO a SELECT g, -g FROM generate_series(50, 150) g;
INSERT INTO a_b TABLE a;
SET datahike.branch = 'db';
BEGIN;
INSERT INTO a VALUES (201, 1), (202, 2);
DELETE FROM a WHERE id < 10;
INSERT INTO a_db VALUES (201, 1), (202, 2);
DELETE FROM a_db WHERE id < 10;
SET LOCAL datahike.branch = 'b';
UPDATE a SET v = 7 WHERE id = 60;
INSERT INTO a VALUES (301, 1);
UPDATE a_b SET v = 7 WHERE id = 60;
INSERT INTO a_b VALUES (301, 1);
SET LOCAL datahike.branch = 'db';
ALTER TABLE a ALTER v TYPE text USING 'v' || v;
ALTER TABLE a_db ALTER v TYPE text USING 'v' || v;
ALTER TABLE a_b ALTER v TYPE text USING 'v' || v;
SET LOCAL datahike.branch = 'b';
UPDATE a SET v = 'changed' WHERE id = 61;
INSERT INTO a VALUES (302, 'new');
UPDATE a_b SET v = 'changed' WHERE id = 61;
INSERT INTO a_b VALUES (302, 'new');
SAVEPOINT s;
ALTER TABLE a ALTER id TYPE bigint, ALTER v TYPE int USING length(v);
DELETE FROM a WHERE id < 100;
ALTER TABLE a ADD COLUMN r float8 DEFAULT random();
ROLLBACK TO s;
SELECT on_both('a', 'inside the transaction');
ALTER TABLE a ADD COLUMN w text DEFAULT clock_timestamp()::text || 'x', ADD COLUMN i int GENERATED ALWAYS AS IDENTITY, ADD COLUMN l int GENERATED ALWAYS AS (length(v)) STORED;
SELECT is((SELECT count(*) FROM a WHERE w IS NOT NULL AND i IS NOT NULL AND l = length(v)), (SELECT count(*) FROM a_db), 'columns are filled');
SET LOCAL datahike.branch = 'b';
SELECT is((SELECT count(*) FROM a WHERE w IS NOT NULL AND i IS NOT NULL AND l = length(v)), (SELECT count(*) FROM a_b), 'on the other branch as well');
ALTER TABLE a DROP COLUMN w, DROP COLUMN i, DROP COLUMN l;
COMMIT;
SELECT on_both('a', 'committed');
SELECT throws_ok($$INSERT INTO a VALUES (202, 'twice')$$, '23505', NULL, 'the key holds');
BEGIN;
ALTER TABLE a ALTER v TYPE varchar(100);
ROLLBACK;
SELECT on_both('a', 'rolled back');
VACUUM FULL a;
CLUSTER a USING a_pkey;
REINDEX TABLE a;
CREATE INDEX CONCURRENTLY ON a (v);
SELECT on_both('a', 'VACUUM FULL, CLUSTER, REINDEX, CONCURRENTLY');

-- deferrable constraints: a rewrite checks them at once, and commits on whatever branch is set
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE d (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, p int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE d_db (id int PRIMARY KEY, p int) USING heap;
CREATE TABLE d_b (id int PRIMARY KEY, p int) USING heap;
INSERT INTO parent SELECT generate_series(1, 5);
INSERT INTO d SELECT g, g % 5 + 1 FROM generate_series(1, 50) g;
INSERT INTO d_db TABLE d;
SET datahike.branch = 'b';
INSERT INTO parent SELECT generate_series(1, 5);
INSERT INTO d SELECT g, g % 5 + 1 FROM generate_series(51, 80) g;
INSERT INTO d_b TABLE d;
SET datahike.branch = 'db';
ALTER TABLE d ALTER id TYPE bigint;
ALTER TABLE d_db ALTER id TYPE bigint;
ALTER TABLE d_b ALTER id TYPE bigint;
SELECT on_both('d', 'deferrable constraints');
SELECT throws_ok('INSERT INTO d VALUES (1000, 77); SET CONSTRAINTS ALL IMMEDIATE', '23503', NULL, 'are still there');

-- access methods
CREATE TABLE m (id int PRIMARY KEY, v text, big text);
CREATE TABLE m_db (LIKE m) USING heap;
INSERT INTO m SELECT g, 'v' || g, repeat(md5(g::text), 100) FROM generate_series(1, 50) g;
INSERT INTO m_db TABLE m;
SELECT datahike.commit_id() AS in_datahike \gset
SET datahike.branch = 'b';
INSERT INTO m VALUES (1, 'only here', '');
SELECT throws_ok('ALTER TABLE m SET ACCESS METHOD heap', '0A000', NULL, 'rows of another branch are not left behind');
SELECT is((SELECT count(*) FROM m), 1::bigint, 'nothing has changed');
DELETE FROM m;
SET datahike.branch = 'db';
ALTER TABLE m SET ACCESS METHOD heap;
SELECT same('m_db', 'as a heap table');
ALTER TABLE m ALTER v TYPE varchar(5), ADD COLUMN more int DEFAULT 5;
ALTER TABLE m_db ALTER v TYPE varchar(5), ADD COLUMN more int DEFAULT 5;
UPDATE m SET more = 6 WHERE id > 40;
UPDATE m_db SET more = 6 WHERE id > 40;
SELECT datahike.create_branch('meanwhile') \g /dev/null
SET datahike.branch = 'b';
ALTER TABLE m SET ACCESS METHOD datahike;
SELECT same('m_db', 'as a datahike table again, on the session''s branch');
SET datahike.branch = 'db';
SELECT is_empty('TABLE m', 'and on no other');
SET datahike.branch = 'meanwhile';
SELECT is_empty('TABLE m', 'nor on one made meanwhile');
SET datahike.commit_id = :'in_datahike';
SELECT results_eq('SELECT id, v::text, big, more FROM m ORDER BY id', $$SELECT id, v::text, big, NULL::int FROM m_db ORDER BY id$$, 'what it held before can be read');
SELECT throws_ok('ALTER TABLE m ALTER v TYPE int USING 1', '25006', NULL, 'a pinned session rewrites nothing');
RESET datahike.commit_id;
SET datahike.branch = 'db';
CREATE TABLE first (id int PRIMARY KEY, v text) USING heap;
INSERT INTO first SELECT g, 'v' || g FROM generate_series(1, 50) g;
CREATE TABLE first_db (LIKE first) USING heap;
INSERT INTO first_db TABLE first;
ALTER TABLE first SET ACCESS METHOD datahike;
SELECT same('first_db', 'a heap table becomes a datahike table for the first time');

-- materialized views are refreshed on the session's branch
CREATE MATERIALIZED VIEW v AS SELECT id, v FROM a;
CREATE UNIQUE INDEX ON v (id);
CREATE TABLE v_db USING heap AS SELECT id, v FROM a;
SET datahike.branch = 'b';
SELECT is_empty('TABLE v', 'a view is made on one branch');
REFRESH MATERIALIZED VIEW v;
CREATE TABLE v_b USING heap AS SELECT id, v FROM a;
SELECT on_both('v', 'refreshed on each');
SET datahike.branch = 'b';
DELETE FROM a WHERE id = 300;
UPDATE a SET v = 'refreshed' WHERE id < 60;
DELETE FROM a WHERE id > 140;
DELETE FROM v_b;
INSERT INTO v_b SELECT id, v FROM a;
SET client_min_messages = warning;
REFRESH MATERIALIZED VIEW CONCURRENTLY v;
RESET client_min_messages;
SELECT on_both('v', 'CONCURRENTLY');
SET datahike.branch = 'db';
ALTER TABLE a ADD COLUMN x float8 DEFAULT random();
SELECT on_both('v', 'a view over a rewritten table');
-- event triggers see a rewrite once
CREATE TABLE seen (what text) USING heap;
CREATE FUNCTION saw() RETURNS event_trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO seen VALUES (pg_event_trigger_table_rewrite_oid()::regclass || ' ' || pg_event_trigger_table_rewrite_reason()); END $$;
CREATE EVENT TRIGGER saw ON table_rewrite EXECUTE FUNCTION saw();
ALTER TABLE d ALTER p TYPE bigint, ADD COLUMN r float8 DEFAULT random();
SELECT results_eq('TABLE seen', $$VALUES ('d 6')$$, 'an event trigger sees the rewrite');
DROP EVENT TRIGGER saw;

-- partitions and inheritance
CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
CREATE TABLE p_db (id int PRIMARY KEY, v text) USING heap;
CREATE TABLE p_b (id int PRIMARY KEY, v text) USING heap;
INSERT INTO p SELECT g, g FROM generate_series(1, 150) g;
INSERT INTO p_db TABLE p;
SET datahike.branch = 'b';
INSERT INTO p SELECT g, g FROM generate_series(50, 120) g;
INSERT INTO p_b TABLE p;
ALTER TABLE p ALTER v TYPE int USING v::int * 2;
ALTER TABLE p_db ALTER v TYPE int USING v::int * 2;
ALTER TABLE p_b ALTER v TYPE int USING v::int * 2;
SELECT on_both('p', 'partitions');
ALTER TABLE p DETACH PARTITION p2;
ALTER TABLE p2 ALTER v TYPE bigint;
ALTER TABLE p2 ALTER v TYPE int;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (100) TO (200);
SELECT on_both('p', 'detached, rewritten, attached');

-- more rows than are kept in memory
CREATE TABLE l (id int PRIMARY KEY, v int, filler text);
INSERT INTO l SELECT g, g, repeat(md5(g::text), 8) FROM generate_series(1, 60000) g;
SET datahike.branch = 'b';
INSERT INTO l SELECT g, -g, repeat(md5(g::text), 8) FROM generate_series(1, 40000) g;
ALTER TABLE l ALTER v TYPE text USING v || '!';
CREATE VIEW of_l AS SELECT count(*) a, sum(id) b, sum(length(v)) c, count(DISTINCT v) d, md5(string_agg(filler, ',' ORDER BY id)) e FROM l;
CREATE FUNCTION expected(rows int, sign int) RETURNS TABLE (a bigint, b bigint, c bigint, d bigint, e text) LANGUAGE sql AS
  $$ SELECT count(*), sum(g), sum(length(sign * g || '!')), count(DISTINCT g), md5(string_agg(repeat(md5(g::text), 8), ',' ORDER BY g)) FROM generate_series(1, rows) g $$;
SELECT results_eq('TABLE of_l', 'SELECT * FROM expected(40000, -1)', 'a large table on b');
SET datahike.branch = 'db';
SELECT results_eq('TABLE of_l', 'SELECT * FROM expected(60000, 1)', 'and on db');
SELECT * FROM finish();
