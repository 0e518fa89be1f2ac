-- at() with partitions, inheritance and altered tables, in statements of every kind, and after errors.
SET client_min_messages = warning;
SELECT plan(53);
CREATE TABLE p (id int, region int, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY RANGE (id);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (0) TO (100);
CREATE TABLE p2b (v text, region int NOT NULL, dropped int, id int NOT NULL);
ALTER TABLE p2b DROP COLUMN dropped;
ALTER TABLE p2 ATTACH PARTITION p2b FOR VALUES FROM (100) TO (1000);
INSERT INTO p SELECT g, 1 + g % 2, 'v' || g FROM generate_series(0, 199) g;
CREATE TABLE h_p USING heap AS SELECT * FROM p;
SELECT datahike.commit_id()::text AS one \gset
SELECT datahike.create_branch('one') \g /dev/null
UPDATE p SET v = 'new' WHERE id % 3 = 0;
UPDATE p SET region = 3 - region WHERE id % 7 = 0;
DELETE FROM p WHERE id % 5 = 0;

SELECT results_eq($$SELECT * FROM datahike.at(NULL::p, 'one') ORDER BY id$$, 'SELECT * FROM h_p ORDER BY id', 'all leaves of a partitioned table');
SELECT results_eq(format($$SELECT * FROM datahike.at(NULL::p, %L) WHERE region = 2 AND id > 50 ORDER BY id$$, :'one'), 'SELECT * FROM h_p WHERE region = 2 AND id > 50 ORDER BY id', 'some of them');
SELECT results_eq($$SELECT x.v, (x).id FROM datahike.at(NULL::p, 'one') x, LATERAL (SELECT x AS y) s WHERE (s.y).id = 150$$, $$VALUES ('v150', 150)$$, 'a whole row of a leaf with columns in another order');
SELECT results_eq($$SELECT count(*) FROM datahike.at(NULL::p, 'one') a JOIN datahike.at(NULL::p, NULL) b USING (id, region)$$, 'SELECT count(*) FROM h_p a JOIN p b USING (id, region)', 'partitions joined');
SET enable_partitionwise_join = on;
SELECT results_eq($$SELECT count(*) FROM datahike.at(NULL::p, 'one') a JOIN datahike.at(NULL::p, NULL) b USING (id, region)$$, 'SELECT count(*) FROM h_p a JOIN p b USING (id, region)', 'one by one');
RESET enable_partitionwise_join;
SELECT results_eq($$SELECT * FROM datahike.at(NULL::p2b, 'one') ORDER BY id$$, 'SELECT v, region, id FROM h_p WHERE region = 2 AND id >= 100 ORDER BY id', 'a leaf alone');
CREATE FUNCTION leaves(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  line text;
  n bigint := 0;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP n := n + (line ~ 'Scan .*on p|Scan using')::int; END LOOP;
  RETURN n;
END $$;
SELECT is(leaves($$SELECT * FROM datahike.at(NULL::p, 'one') WHERE region = 1$$), 1::bigint, 'partitions are pruned');
PREPARE pruned(text, int) AS SELECT count(*) FROM datahike.at(NULL::p, $1) WHERE region = $2;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq($$EXECUTE pruned('one', 2)$$, 'VALUES (100::bigint)', 'also when the plan is run');
RESET plan_cache_mode;
CREATE TABLE p_heap PARTITION OF p FOR VALUES IN (9) USING heap;
SELECT throws_ok($$SELECT * FROM datahike.at(NULL::p, 'one')$$, '42809', '"p_heap" is not a datahike table', 'a partition on heap');
SELECT is((SELECT count(*) FROM datahike.at(NULL::p, 'one') WHERE region = 1), 100::bigint, 'unless it is not read');
DROP TABLE p_heap;
CREATE TABLE p9 PARTITION OF p FOR VALUES IN (9);
INSERT INTO p VALUES (1, 9, 'x');
SELECT is((SELECT count(*) FROM datahike.at(NULL::p, 'one')), 200::bigint, 'a partition of later is empty');

CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (extra int) INHERITS (parent);
INSERT INTO parent VALUES (1, 'p');
INSERT INTO child VALUES (1, 'c', 0), (2, 'c', 0);
SELECT datahike.commit_id()::text AS inherited \gset
DELETE FROM parent;
SELECT results_eq(format('SELECT * FROM datahike.at(NULL::parent, %L) ORDER BY 1, 2', :'inherited'), $$VALUES (1, 'c'), (1, 'p'), (2, 'c')$$, 'children');
SELECT results_eq(format('SELECT * FROM datahike.at(NULL::child, %L) ORDER BY 1', :'inherited'), $$VALUES (1, 'c', 0), (2, 'c', 0)$$, 'a child alone');

-- altered tables
CREATE TABLE t (gone int, id int PRIMARY KEY, v text);
INSERT INTO t SELECT 0, g, 'v' || g FROM generate_series(1, 100) g;
SELECT datahike.create_branch('t') \g /dev/null
PREPARE count_v AS SELECT count(v), max(id) FROM datahike.at(NULL::t, 't');
PREPARE one_row AS SELECT * FROM datahike.at(NULL::t, 't') WHERE id = 1;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE count_v', 'VALUES (100::bigint, 100)', 'a prepared statement');
SELECT results_eq('EXECUTE one_row', $$VALUES (0, 1, 'v1')$$, 'and another');
DELETE FROM t;
CREATE INDEX t_v ON t (v);
SELECT results_eq('EXECUTE count_v', 'VALUES (100::bigint, 100)', 'after CREATE INDEX');
ALTER TABLE t DROP COLUMN gone;
SELECT results_eq('EXECUTE count_v', 'VALUES (100::bigint, 100)', 'after DROP COLUMN');
SELECT throws_ok('EXECUTE one_row', '0A000', 'cached plan must not change result type', 'as any cached plan that would return other columns');
ALTER TABLE t ADD COLUMN w int DEFAULT 5;
SELECT results_eq('EXECUTE count_v', 'VALUES (100::bigint, 100)', 'after ADD COLUMN');
SELECT results_eq($$SELECT * FROM datahike.at(NULL::t, 't') WHERE id = 1$$, $$VALUES (1, 'v1', 5)$$, 'old rows with today''s columns');
SELECT results_eq($$SELECT x FROM datahike.at(NULL::t, 't') x WHERE id = 1$$, $$VALUES (ROW(1, 'v1', 5)::t)$$, 'as a whole row');
SELECT results_eq($$SELECT x.* FROM (VALUES ('t')) r(r), LATERAL datahike.at(NULL::t, r) x WHERE id = 1$$, $$VALUES (1, 'v1', 5)$$, 'by the function');
ALTER TABLE t ALTER id TYPE bigint;
SELECT throws_ok('EXECUTE count_v', '0A000', 'cached plan must not change result type', 'another type of max()');
SELECT results_eq($$SELECT v FROM datahike.at(NULL::t, 't') WHERE id = 7$$, $$VALUES ('v7')$$, 'rows from before, without an index');
DEALLOCATE count_v;
PREPARE count_v AS SELECT count(v), max(id) FROM datahike.at(NULL::t, 't');
SELECT results_eq('EXECUTE count_v', 'VALUES (100::bigint, 100::bigint)', 'prepared again');
RESET plan_cache_mode;
ALTER TABLE t RENAME TO t2;
SELECT throws_ok('EXECUTE count_v', '42704', NULL, 'after RENAME');
ALTER TABLE t2 RENAME TO t;
SELECT results_eq('EXECUTE count_v', 'VALUES (100::bigint, 100::bigint)', 'and back');
CREATE VIEW t_old AS SELECT id, v FROM datahike.at(NULL::t, 't');
SELECT throws_ok('ALTER TABLE t DROP COLUMN v', '2BP01', NULL, 'a view depends on the columns it shows');
SELECT throws_ok('DROP TABLE t', '2BP01', NULL, 'and on the table');

-- constraints of later say nothing about rows of before
CREATE TABLE d (id int NOT NULL, v text);
INSERT INTO d VALUES (1, 'a'), (1, 'b');
SELECT datahike.commit_id()::text AS doubled \gset
DELETE FROM d WHERE v = 'a';
ALTER TABLE d ADD PRIMARY KEY (id);
SELECT results_eq(format('SELECT id, v FROM datahike.at(NULL::d, %L) GROUP BY id, v ORDER BY v', :'doubled'), $$VALUES (1, 'a'), (1, 'b')$$, 'a key: GROUP BY');
SELECT results_eq(format('SELECT count(*) FROM (SELECT DISTINCT id, v FROM datahike.at(NULL::d, %L)) x', :'doubled'), 'VALUES (2::bigint)', 'a key: DISTINCT');
SELECT results_eq(format('SELECT count(*) FROM generate_series(1, 2) g LEFT JOIN datahike.at(NULL::d, %L) x ON x.id = g', :'doubled'), 'VALUES (3::bigint)', 'a key: a join that would be left out');
SELECT results_eq(format('SELECT count(*) FROM generate_series(1, 2) g JOIN datahike.at(NULL::d, %L) x ON x.id = g', :'doubled'), 'VALUES (2::bigint)', 'a key: a join that would stop at the first row');
ALTER TABLE child ADD CHECK (id > 10);
SELECT results_eq(format('SELECT count(*) FROM datahike.at(NULL::parent, %L) WHERE id = 2', :'inherited'), 'VALUES (1::bigint)', 'a CHECK constraint');

-- statements
CREATE TABLE target (id bigint PRIMARY KEY, v text);
INSERT INTO target SELECT id, v FROM datahike.at(NULL::t, 't') WHERE id <= 50;
SELECT is((SELECT count(*) FROM target), 50::bigint, 'INSERT ... SELECT');
UPDATE target SET v = x.v || '!' FROM datahike.at(NULL::t, 't') x WHERE x.id = target.id AND x.id <= 10;
SELECT is((SELECT count(*) FROM target WHERE v LIKE '%!'), 10::bigint, 'UPDATE ... FROM');
DELETE FROM target USING datahike.at(NULL::t, 't') x WHERE x.id = target.id AND x.v = 'v50';
SELECT is((SELECT count(*) FROM target), 49::bigint, 'DELETE ... USING');
MERGE INTO target USING datahike.at(NULL::t, 't') x ON x.id = target.id
  WHEN MATCHED AND target.v <> x.v THEN UPDATE SET v = x.v WHEN NOT MATCHED THEN INSERT VALUES (x.id, x.v);
SELECT results_eq('SELECT * FROM target ORDER BY id', $$SELECT id, v FROM datahike.at(NULL::t, 't') ORDER BY id$$, 'MERGE');
INSERT INTO t (id, v) SELECT id, v FROM datahike.at(NULL::t, 't') WHERE id = 3 ON CONFLICT (id) DO UPDATE SET v = excluded.v;
SELECT is((SELECT v FROM t WHERE id = 3), 'v3', 'a row brought back');
CREATE TABLE copied AS SELECT * FROM datahike.at(NULL::t, 't');
CREATE MATERIALIZED VIEW seen AS SELECT count(*) AS n FROM t_old;
SELECT is((SELECT n FROM seen), (SELECT count(*) FROM copied), 'CREATE TABLE AS and a materialised view of a view');
CREATE FUNCTION in_sql(r text) RETURNS SETOF t LANGUAGE sql STABLE AS 'SELECT * FROM datahike.at(NULL::t, r)';
CREATE FUNCTION in_plpgsql(r text, want bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  row t;
  found text;
BEGIN
  SELECT v INTO found FROM datahike.at(NULL::t, r) WHERE id = want;
  FOR row IN SELECT * FROM datahike.at(NULL::t, r) ORDER BY id LIMIT 2 LOOP found := found || ' ' || row.id; END LOOP;
  RETURN found;
END $$;
CREATE FUNCTION set_branch() RETURNS bigint LANGUAGE sql SET datahike.branch = 't' AS 'SELECT count(*) FROM datahike.at(NULL::t, NULL)';
SELECT is((SELECT count(*) FROM in_sql('t') WHERE id < 4), 3::bigint, 'an SQL function');
SELECT is(in_plpgsql('t', 9), 'v9 1 2', 'a PL/pgSQL function');
SELECT is(in_plpgsql(NULL, 3), 'v3 3', 'with the session''s view');
SELECT is(set_branch(), 100::bigint, 'a function''s SET clause');
SELECT is((SELECT count(*) FROM generate_series(1, 5) g, LATERAL (SELECT * FROM datahike.at(NULL::t, 't') x WHERE x.id = g) s), 5::bigint, 'LATERAL around it');

-- errors leave nothing behind
CREATE FUNCTION fails_at(n bigint) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN IF n = 50 THEN RAISE 'fifty'; END IF; RETURN true; END$$;
CREATE FUNCTION caught() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  PERFORM count(*) FROM datahike.at(NULL::t, 't') WHERE fails_at(id);
  RETURN -1;
EXCEPTION WHEN raise_exception THEN RETURN (SELECT count(*) FROM t);
END $$;
SELECT throws_ok($$SELECT count(*) FROM datahike.at(NULL::t, 't') WHERE fails_at(id)$$, 'P0001', 'fifty', 'an error amid the scan');
SELECT is((SELECT count(*) FROM t), 1::bigint, 'the next statement reads the present');
SELECT is(caught(), 1::bigint, 'so does one after an exception was caught');
SELECT results_eq($$SELECT count(*), max(caught()) FROM datahike.at(NULL::t, 't') WHERE id < 3$$, 'VALUES (2::bigint, 1::bigint)', 'also within a scan of another view');
BEGIN;
SAVEPOINT s;
DECLARE c CURSOR FOR SELECT id FROM datahike.at(NULL::t, 't') WHERE fails_at(id);
FETCH 5 FROM c \g /dev/null
SELECT throws_ok('FETCH ALL FROM c', 'P0001', NULL, 'a cursor that fails');
ROLLBACK TO s;
SELECT is((SELECT count(*) FROM datahike.at(NULL::t, 't')), 100::bigint, 'and the transaction goes on');
COMMIT;
SELECT is((SELECT v FROM datahike.at(NULL::t, 't') WHERE id = 9), 'v9', 'as do the next');
SELECT throws_ok($$UPDATE t SET v = '' FROM datahike.at(NULL::t, 'nowhere') x$$, '42704', NULL, 'no such revision in an UPDATE');
SELECT * FROM finish();
