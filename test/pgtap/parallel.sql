-- Parallel plans: workers read what their leader reads, whatever the shape of their views.
SELECT plan(51);
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SET datahike.vectorized = off;  -- its plans have no workers

-- What a statement's plan did: the nodes that say so, and whether workers were launched.
CREATE FUNCTION did(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; result text := '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || statement LOOP
    result := result || coalesce(substring(line FROM 'Parallel [A-Z][A-Za-z ]*(?= (?:using|on) )|Workers Launched: [1-9]'), '')
                     || ' ';
  END LOOP;
  RETURN regexp_replace(regexp_replace(result, '[1-9]', 'some'), ' +', ' ', 'g');
END $$;
-- The statement's value, computed in parallel if it may be: what is written out in a call of a pgTAP function is not.
CREATE FUNCTION value(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE statement INTO result;
  RETURN result;
END $$;

CREATE TABLE t (id int, g int, v text);
CREATE TABLE h (id int, g int, v text) USING heap;
INSERT INTO t SELECT i, i % 100, 'v' || i FROM generate_series(1, 50000) i;
INSERT INTO h SELECT i, i % 100, 'v' || i FROM generate_series(1, 50000) i;
CREATE TEMP TABLE facts (name text PRIMARY KEY, value text);
INSERT INTO facts SELECT 'first commit', datahike.commit_id();
UPDATE t SET g = g + 1000 WHERE id % 7 = 0;
DELETE FROM t WHERE id % 11 = 0;
INSERT INTO t SELECT i, i % 100, 'late' FROM generate_series(50001, 50100) i;
UPDATE h SET g = g + 1000 WHERE id % 7 = 0;
DELETE FROM h WHERE id % 11 = 0;
INSERT INTO h SELECT i, i % 100, 'late' FROM generate_series(50001, 50100) i;
CREATE INDEX t_id ON t (id);
CREATE TABLE untouched AS SELECT id FROM t;
CREATE VIEW sums AS SELECT count(*) AS n, sum(id) AS ids, sum(g) AS gs, sum(length(v)) AS lengths FROM t;
CREATE FUNCTION serial_sums() RETURNS SETOF sums LANGUAGE sql SET max_parallel_workers_per_gather = 0 AS
  'SELECT * FROM sums';
SELECT is(value('SELECT count(*) FROM sums'), '1', 'the sums are one row');

-- every kind of scan
SELECT alike(did('TABLE sums'), '%Workers Launched: some%Parallel Seq Scan%', 'a parallel sequential scan');
SELECT is(value('SELECT s::text FROM sums s'), (SELECT s::text FROM serial_sums() s), 'sees what a serial one does');
SELECT is(value('SELECT md5(string_agg(t::text, '','' ORDER BY id, v)) FROM t'), (SELECT md5(string_agg(h::text, ',' ORDER BY id, v)) FROM h), 'and what heap has');
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT alike(did('SELECT sum(g) FROM t WHERE id < 40000'), '%Workers Launched: some%Parallel Index Scan%', 'a parallel index scan');
SELECT is(value('SELECT sum(g) FROM t WHERE id < 40000'), (SELECT sum(g) FROM h WHERE id < 40000)::text, 'its sum');
SELECT is(value('SELECT count(id) FROM t WHERE id > 100'), (SELECT count(*) FROM h WHERE id > 100)::text, 'an index-only scan''s count');
RESET enable_bitmapscan;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SELECT alike(did('SELECT sum(g) FROM t WHERE id < 40000'), '%Workers Launched: some%Parallel Bitmap Heap Scan%', 'a parallel bitmap scan');
SELECT is(value('SELECT sum(g) FROM t WHERE id < 40000'), (SELECT sum(g) FROM h WHERE id < 40000)::text, 'its sum');
SET work_mem = '64kB';
SELECT is(value('SELECT sum(g) FROM t WHERE id < 40000'), (SELECT sum(g) FROM h WHERE id < 40000)::text, 'and with lossy pages');
RESET work_mem;
RESET enable_indexscan;
RESET enable_indexonlyscan;
RESET enable_seqscan;
SELECT is(value('SELECT count(*) FROM t a JOIN t b USING (id)'), (SELECT n FROM serial_sums())::text, 'a join');
SELECT is(value('SELECT sum(n) FROM (SELECT g, count(*) AS n FROM t GROUP BY g) s'), (SELECT n FROM serial_sums())::text, 'grouped');
SELECT is(value('SELECT count(*) FROM (SELECT * FROM t UNION ALL SELECT * FROM t) s'), (2 * (SELECT n FROM serial_sums()))::text, 'appended');
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT is(value('SELECT count(*) FROM generate_series(1, 3) s, LATERAL (SELECT count(*) FROM t WHERE g > s) x'), '3', 'scanned again and again');
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
SELECT unalike(did('SELECT count(*) FROM t TABLESAMPLE system (50) REPEATABLE (1), t b WHERE b.id = t.id'), '%Parallel Sample%', 'a sample is not divided');

-- settings
SELECT datahike.create_branch('b') \g /dev/null
SET datahike.branch = 'b';
DELETE FROM t WHERE id > 1000;
SELECT alike(did('TABLE sums'), '%Workers Launched: some%', 'parallel on a branch');
SELECT is(value('SELECT n FROM sums'), '910', 'workers read the branch');
RESET datahike.branch;
SELECT is(value('SELECT s::text FROM sums s'), (SELECT s::text FROM serial_sums() s), 'and the default one again');
SELECT set_config('datahike.commit_id', value, false) FROM facts WHERE name = 'first commit' \g /dev/null
SELECT alike(did('TABLE sums'), '%Workers Launched: some%', 'parallel under a pin');
SELECT is(value('SELECT row(n, gs)::text FROM sums'), '(50000,2475000)', 'workers read the commit');
RESET datahike.commit_id;
CREATE FUNCTION told(x int) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS
  $$BEGIN RETURN current_setting('datahike.shared_view'); END$$;
SELECT is(value('SELECT max(told(id)) FROM t'), '1', 'workers are told the branch');
SELECT is(current_setting('datahike.shared_view'), '', 'for the time of the query');
SET datahike.as_of = '2099-01-01';
SELECT is(value('SELECT n FROM sums'), '45555', 'as of a time to come');
SELECT is(value('SELECT max(told(id)) FROM t'), '1 ' || datahike.commit_id(), 'workers are told the commit');
RESET datahike.as_of;
CREATE FUNCTION on_b() RETURNS bigint LANGUAGE sql SET datahike.branch = 'b' AS 'SELECT n FROM sums';
SELECT is(value('SELECT on_b() FROM sums'), '910', 'a function on another branch in a parallel query');
CREATE FUNCTION of_row(x int) RETURNS bigint LANGUAGE sql PARALLEL SAFE SET datahike.branch = 'b'
  AS 'SELECT count(*) FROM t WHERE id = x';
SELECT is(value('SELECT sum(of_row(id)) FROM t WHERE id BETWEEN 991 AND 1010'), '10', 'called by workers, it reads its branch');
BEGIN;
DECLARE c CURSOR FOR TABLE sums;
SET LOCAL datahike.branch = 'b';
FETCH c \gset
SELECT is(:n, 45555, 'a cursor keeps its branch');
ROLLBACK;
BEGIN;
SELECT datahike.create_branch('uncommitted') \g /dev/null
SET LOCAL datahike.branch = 'uncommitted';
SELECT alike(did('TABLE sums'), '%Workers Launched: some%', 'parallel on a branch that is not committed yet');
SELECT is(value('SELECT n FROM sums'), '45555', 'workers know it');
ROLLBACK;

-- own changes
PREPARE count_all AS TABLE sums;
EXECUTE count_all \g /dev/null
BEGIN;
DELETE FROM t WHERE id <= 10;
SELECT alike(did('TABLE sums'), '%Workers Launched: some%Parallel Seq Scan%', 'parallel with uncommitted changes');
SELECT is(value('SELECT n FROM sums'), '45545', 'which are seen');
EXECUTE count_all \gset
SELECT is(:n, 45545, 'by a prepared statement too');
CREATE TABLE other (id int);
INSERT INTO other SELECT generate_series(1, 20000);
SELECT alike(did('SELECT count(*) FROM other'), '%Workers Launched: some%', 'and of a new table');
SELECT is(value('SELECT count(*) FROM other'), '20000', 'with its rows');
SELECT alike(did('SELECT count(*) FROM untouched'), '%Workers Launched: some%', 'of tables that were not changed');
SELECT alike(did('SELECT count(*) FROM untouched WHERE of_row(id) > 0'), '%Workers Launched: some%', 'and where a function may read another');
SAVEPOINT s;
DELETE FROM t;
SELECT is(value('SELECT n FROM sums'), '0', 'in a savepoint');
ROLLBACK TO s;
SELECT is(value('SELECT n FROM sums'), '45545', 'rolled back to');
ROLLBACK;
SELECT alike(did('TABLE sums'), '%Workers Launched: some%', 'parallel again after the end');

-- rights and mistakes
CREATE ROLE reader;
GRANT SELECT ON t, sums TO reader;
GRANT EXECUTE ON FUNCTION did TO reader;
SET ROLE reader;
SELECT alike(did('TABLE sums'), '%Workers Launched: some%', 'parallel for a role without rights to settings');
SELECT is(value('SELECT n FROM sums'), '45555', 'and right');
RESET ROLE;
DROP OWNED BY reader;
DROP ROLE reader;
CREATE FUNCTION mislabelled(x int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS
  $$BEGIN PERFORM FROM t WHERE id = x FOR UPDATE; RETURN x; END$$;
SET parallel_leader_participation = off;
SELECT throws_ok('SELECT sum(mislabelled(id)) FROM untouched WHERE id < 10', '25000', NULL, 'a worker locks no rows');
RESET parallel_leader_participation;

-- filling tables from parallel queries: more rows than a block of rowids has
CREATE TABLE filled AS SELECT a.id, a.v FROM t a, generate_series(1, 3) WHERE a.g < 2000;
SELECT is(value('SELECT count(*) FROM filled'), (3 * (SELECT n FROM serial_sums()))::text, 'CREATE TABLE AS');
SELECT alike(did('CREATE TABLE copied AS SELECT * FROM filled'), '%Workers Launched: some%', 'its query is parallel');
SELECT is(value('SELECT count(*) FROM copied'), (SELECT count(*) FROM filled)::text, 'and whole');
CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
DELETE FROM t WHERE id <= 10;
REFRESH MATERIALIZED VIEW m;
SELECT is(value('SELECT count(*) FROM m'), '45545', 'REFRESH MATERIALIZED VIEW');
CREATE TABLE numbered (id serial, v text);
INSERT INTO numbered (v) VALUES ('x');
SELECT is(lastval(), 1::bigint, 'taking rowids leaves lastval() alone');

-- indexes
SET max_parallel_maintenance_workers = 2;
ALTER TABLE t SET (parallel_workers = 2);
CREATE INDEX t_v ON t (v);
SET enable_seqscan = off;
SELECT is(value('SELECT count(*) FROM t WHERE v >= '''''), (SELECT n FROM serial_sums())::text, 'an index built in parallel');
BEGIN;
INSERT INTO t VALUES (-1, 0, 'own');
CREATE INDEX t_own ON t (id) WHERE id < 0;
SELECT is(value('SELECT count(*) FROM t WHERE id < 0'), '1', 'own rows get their entries');
ROLLBACK;
SET datahike.branch = 'b';
SELECT is(value('SELECT count(*) FROM t WHERE v >= '''''), '910', 'has the rows of the other branch');
INSERT INTO t VALUES (5, 0, 'twice'), (5, 0, 'twice');
RESET datahike.branch;
SELECT throws_ok('CREATE UNIQUE INDEX ON t (id) WHERE id < 8', '23505', NULL, 'a duplicate on another branch is found');
SELECT * FROM finish();
