-- datahike.since and datahike.history: what they show, through every door for settings, and what they refuse.
SELECT plan(80);
CREATE EXTENSION dblink;
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE mark (name text PRIMARY KEY, tx bigint, at timestamptz, commit_id uuid) USING heap;
CREATE FUNCTION mark(name text) RETURNS void LANGUAGE sql AS 'INSERT INTO mark SELECT name, tx, committed_at, commit_id FROM datahike.log(max => 1)';
INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three');
SELECT mark('insert');
UPDATE t SET v = 'TWO' WHERE id = 2;
SELECT mark('update');
DELETE FROM t WHERE id = 3;
INSERT INTO t VALUES (4, 'four');
SELECT mark('last');
SELECT tx AS insert_tx, at AS insert_at, commit_id AS insert_commit FROM mark WHERE name = 'insert' \gset
SELECT tx AS update_tx, at AS update_at, commit_id AS update_commit FROM mark WHERE name = 'update' \gset
SELECT tx AS last_tx, at AS last_at FROM mark WHERE name = 'last' \gset

-- since
SELECT is(current_setting('datahike.since'), '', 'since is off');
SET datahike.since = :insert_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (2, 'TWO'), (4, 'four')$$, 'rows that later commits made');
SET datahike.since = :'insert_at';
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (2, 'TWO'), (4, 'four')$$, 'a time is as good as a tx');
SET datahike.since = :last_tx;
SELECT is_empty('SELECT * FROM t', 'exclusive: none after the last');
SET datahike.since = 0;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (1, 'one'), (2, 'TWO'), (4, 'four')$$, 'all after nothing');
SET datahike.since = 'infinity';
SELECT is_empty('SELECT * FROM t', 'none after all time');
SET datahike.since = '-infinity';
SELECT is((SELECT count(*) FROM t), 3::bigint, 'all after none');
SET datahike.since = :insert_tx;
SET datahike.as_of = :update_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (2, 'TWO')$$, 'between two points');
RESET datahike.as_of;
SET datahike.commit_id = :'insert_commit';
SELECT is_empty('SELECT * FROM t', 'of the commit it names');
RESET datahike.commit_id;
RESET datahike.since;
SELECT is((SELECT count(*) FROM t), 3::bigint, 'RESET');

-- history
SELECT is(current_setting('datahike.history'), 'off', 'history is off');
SET datahike.history = on;
SELECT results_eq('SELECT * FROM t ORDER BY id, v COLLATE "C"', $$VALUES (1, 'one'), (2, 'TWO'), (2, 'two'), (3, 'three'), (4, 'four')$$, 'every version of every row');
SELECT is((SELECT count(*) FROM t WHERE id = 2), 2::bigint, 'also by its key');
SET datahike.since = :insert_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (2, 'TWO'), (4, 'four')$$, 'with since those that later commits made');
RESET datahike.since;
SET datahike.as_of = :update_tx;
SELECT is((SELECT count(*) FROM t), 4::bigint, 'as of a tx, those up to there');
RESET datahike.as_of;
SET datahike.commit_id = :'insert_commit';
SELECT is((SELECT count(*) FROM t), 3::bigint, 'of a commit');
RESET datahike.commit_id;

-- Keys are not unique in history.
SELECT results_eq('SELECT id, count(*) FROM t GROUP BY id ORDER BY id', $$VALUES (1, 1::bigint), (2, 2), (3, 1), (4, 1)$$, 'grouping by the key');
SELECT results_eq('SELECT id, v, count(*) FROM t WHERE id = 2 GROUP BY id, v ORDER BY v COLLATE "C"', $$VALUES (2, 'TWO', 1::bigint), (2, 'two', 1)$$, 'and by more than the key');
SELECT is((SELECT count(*) FROM (SELECT id, v FROM t GROUP BY id, v) x), 5::bigint, 'in a subquery');
SELECT is((WITH x AS MATERIALIZED (SELECT id, v FROM t GROUP BY v, id) SELECT count(*) FROM x), 5::bigint, 'in WITH');
SELECT throws_ok('SELECT id, v FROM t GROUP BY id', '0A000', NULL, 'columns that only the key determines');
CREATE FUNCTION grouped() RETURNS TABLE (id int, v text) STABLE LANGUAGE sql AS 'SELECT id, v FROM t GROUP BY id, v';
SELECT throws_ok('SELECT * FROM grouped()', '0A000', NULL, 'also in a function that becomes part of the query');
RESET datahike.history;
SELECT is((SELECT count(*) FROM grouped()), 3::bigint, 'without history it may');
CREATE TABLE other (id int) USING heap;
INSERT INTO other VALUES (1), (2), (3);
PREPARE joined AS SELECT count(*) FROM other LEFT JOIN t USING (id);
PREPARE matched AS SELECT count(*) FROM other JOIN t USING (id);
EXECUTE joined \g /dev/null
EXECUTE matched \g /dev/null
SET datahike.history = on;
SELECT results_eq('EXECUTE joined', 'VALUES (4::bigint)', 'an outer join is not left out, in a plan prepared before');
SELECT results_eq('EXECUTE matched', 'VALUES (4::bigint)', 'nor does a join stop at the first version');
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT is((SELECT count(*) FROM other JOIN t USING (id)), 4::bigint, 'by whatever method');
RESET enable_hashjoin; RESET enable_mergejoin;
RESET datahike.history;
SELECT results_eq('EXECUTE joined', 'VALUES (3::bigint)', 'and back');

-- Read-only, by name.
CREATE FUNCTION refused(setting text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  command text;
  answers text := '';
BEGIN
  PERFORM set_config(setting, value, true);
  FOREACH command IN ARRAY ARRAY['INSERT INTO t VALUES (9)', 'UPDATE t SET v = v', 'DELETE FROM t', 'TRUNCATE t', 'SELECT FROM t FOR UPDATE',
      'INSERT INTO t SELECT 9 ON CONFLICT DO NOTHING', 'CREATE MATERIALIZED VIEW m USING datahike AS SELECT * FROM t'] LOOP
    BEGIN
      EXECUTE command;
      answers := answers || command || ' ';
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE <> '25006' OR SQLERRM NOT LIKE '%' || setting || '%' THEN answers := answers || SQLSTATE || ' ' || SQLERRM || ' '; END IF;
    END;
  END LOOP;
  PERFORM set_config(setting, '', true) WHERE setting <> 'datahike.history';
  RETURN answers;
END $$;
BEGIN; SELECT is(refused('datahike.since', '1'), '', 'no writes under since'); ROLLBACK;
BEGIN; SELECT is(refused('datahike.history', 'on'), '', 'no writes under history'); ROLLBACK;

-- Wrong values.
SELECT throws_ok($$SET datahike.since = 'yesterdy'$$, '22P02', NULL, 'no time');
SELECT throws_ok($$SET datahike.since = '-5'$$, '22P02', NULL, 'no tx');
SELECT throws_ok($$SET datahike.since = '2020-13-01'$$, '22P02', NULL, 'no date');
SELECT throws_ok($$SET datahike.history = 'perhaps'$$, '22023', NULL, 'no bool');

-- Every door.
BEGIN;
SET LOCAL datahike.history = on;
SELECT is((SELECT count(*) FROM t), 5::bigint, 'SET LOCAL');
COMMIT;
SELECT is((SELECT count(*) FROM t), 3::bigint, 'ends with the transaction');
CREATE FUNCTION versions_of(key int) RETURNS bigint LANGUAGE sql SET datahike.history = on AS 'SELECT count(*) FROM t WHERE id = key';
SELECT is(versions_of(2), 2::bigint, 'SET of a function');
SELECT results_eq('SELECT id, versions_of(id) FROM t ORDER BY id', $$VALUES (1, 1::bigint), (2, 2), (4, 1)$$, 'which its callers do not notice');
SELECT format('CREATE FUNCTION lately() RETURNS bigint LANGUAGE plpgsql SET datahike.since = %L AS ''BEGIN RETURN (SELECT count(*) FROM t); END''', :insert_tx) \gexec
SELECT is((SELECT count(*) FROM t WHERE lately() = 2), 3::bigint, 'of another');
CREATE FUNCTION ask(question text, options text, "user" text DEFAULT current_user) RETURNS text LANGUAGE sql AS $$
  SELECT a FROM dblink(format('host=%s port=%s dbname=%s user=%s options=''%s''', current_setting('unix_socket_directories'),
    current_setting('port'), current_database(), "user", options), question) AS x(a text)
$$;
SELECT is(ask('SELECT count(*) FROM t', '-c datahike.history=on'), '5', 'connection options');
SELECT is(ask('SELECT count(*) FROM t', format('-c datahike.since=%s', :insert_tx)), '2', 'for since');
CREATE ROLE tap_historian LOGIN;
GRANT SELECT ON t TO tap_historian;
ALTER ROLE tap_historian SET datahike.history = on;
SELECT format('ALTER ROLE tap_historian SET datahike.since = %L', :insert_tx) \gexec
SELECT is(ask('SELECT count(*) FROM t', '', 'tap_historian'), '2', 'ALTER ROLE SET, both');
SELECT is(ask('SELECT count(*) FROM t', '-c datahike.since=', 'tap_historian'), '5', 'one of them');
REVOKE ALL ON t FROM tap_historian;
DROP ROLE tap_historian;

-- Cursors keep their view.
BEGIN;
DECLARE now_cursor CURSOR FOR SELECT id FROM t;
SET LOCAL datahike.history = on;
DECLARE then_cursor CURSOR FOR SELECT id FROM t;
SET LOCAL datahike.history = off;
SELECT results_eq('FETCH ALL FROM now_cursor', 'SELECT id FROM t', 'a cursor opened before');
SELECT is((SELECT count(*) FROM t), 3::bigint, 'beside it the present');
CREATE FUNCTION fetched(name refcursor) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint := 0; i int;
BEGIN LOOP FETCH name INTO i; EXIT WHEN NOT FOUND; n := n + 1; END LOOP; RETURN n; END $$;
SELECT is(fetched('then_cursor'), 5::bigint, 'and one opened meanwhile');
COMMIT;

-- Own changes, and transactions that are not folded.
BEGIN;
INSERT INTO t VALUES (5, 'own');
UPDATE t SET v = 'ONE' WHERE id = 1;
SET LOCAL datahike.since = :last_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (1, 'ONE'), (5, 'own')$$, 'own changes came after the last commit');
SET LOCAL datahike.since = :insert_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (1, 'ONE'), (2, 'TWO'), (4, 'four'), (5, 'own')$$, 'and after earlier ones');
SET LOCAL datahike.since = 'infinity';
SELECT is_empty('SELECT * FROM t', 'not after all time');
SET LOCAL datahike.since = 1000000;
SELECT is_empty('SELECT * FROM t', 'nor after a tx to come');
SET LOCAL datahike.since = '';
SET LOCAL datahike.history = on;
SELECT is((SELECT count(*) FROM t), 5::bigint, 'history has commits alone');
ROLLBACK;
SELECT datahike.create_branch('fresh') AS made \gset
BEGIN;
SET LOCAL datahike.branch = 'fresh';
INSERT INTO t VALUES (5, 'own');
SET LOCAL datahike.since = :last_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (5, 'own')$$, 'on a new branch as well');
COMMIT;
SET datahike.branch = 'fresh';
SET datahike.since = :last_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (5, 'own')$$, 'and once they are committed');
RESET datahike.since;
RESET datahike.branch;
ALTER SYSTEM SET datahike.fold_delay = '60s';
SELECT pg_reload_conf() AS reloaded \gset
INSERT INTO t VALUES (6, 'six');
INSERT INTO t VALUES (7, 'seven');
UPDATE t SET v = 'SIX' WHERE id = 6;
SET datahike.since = :insert_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (2, 'TWO'), (4, 'four'), (6, 'SIX'), (7, 'seven')$$, 'after a folded commit');
SET datahike.since = :last_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (6, 'SIX'), (7, 'seven')$$, 'after the last folded one');
SET datahike.since = '';
INSERT INTO t VALUES (8, 'eight');
SELECT tx AS six_tx FROM datahike.log() WHERE (changes->'t'->>'inserted')::int = 1 ORDER BY tx OFFSET 1 LIMIT 1 \gset
INSERT INTO t VALUES (9, 'nine');
SELECT :six_tx + 1 AS seven_tx \gset
SET datahike.since = :seven_tx;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (6, 'SIX'), (8, 'eight'), (9, 'nine')$$, 'after one that was not folded when it was asked for');
SET datahike.history = on;
SELECT results_eq('SELECT * FROM t ORDER BY id', $$VALUES (6, 'SIX'), (8, 'eight'), (9, 'nine')$$, 'with history');
RESET datahike.history;
RESET datahike.since;
ALTER SYSTEM RESET datahike.fold_delay;
SELECT pg_reload_conf() AS reloaded \gset

-- How plans look, and workers.
SET datahike.history = on;
SET enable_seqscan = off; SET enable_bitmapscan = off;
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; plan text := '';
BEGIN FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
SELECT alike(plan_of('SELECT * FROM t WHERE id = 2'), 'Index Scan using t_pkey%', 'history is read by an index');
SELECT is((SELECT count(*) FROM t WHERE id IN (2, 6)), 4::bigint, 'which has all versions');
RESET enable_seqscan; RESET enable_bitmapscan;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET force_parallel_mode = on;
SELECT is((SELECT count(*) FROM t), 10::bigint, 'a parallel plan has every version once');
RESET datahike.history;
SET datahike.since = :insert_tx;
SELECT is((SELECT count(*) FROM t), 6::bigint, 'and every row since');
RESET datahike.since;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size; RESET force_parallel_mode;

-- Tables that changed.
CREATE TABLE later (id int);
INSERT INTO later VALUES (1);
SET datahike.since = :insert_tx;
SELECT is((SELECT count(*) FROM later), 1::bigint, 'a table made after the point is all new');
RESET datahike.since;
ALTER TABLE t ADD w int DEFAULT 5;
UPDATE t SET w = 6 WHERE id = 1;
SET datahike.history = on;
SELECT results_eq('SELECT id, w FROM t WHERE id = 1 ORDER BY w', $$VALUES (1, 5), (1, 6)$$, 'old versions have the default of a column added since');
ALTER TABLE t DROP w;
SELECT is((SELECT count(*) FROM t WHERE id = 1), 2::bigint, 'and lose a column dropped since');
RESET datahike.history;
ALTER TABLE t ALTER id TYPE bigint;
SET datahike.history = on;
SELECT is((SELECT count(*) FROM t WHERE id = 1::bigint), 3::bigint, 'and are cast where its type has changed');
SELECT is((SELECT max(id) FROM t), 9::bigint, 'in whatever way they are read');
RESET datahike.history;

-- Partitions.
CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
INSERT INTO p VALUES (1, 'one'), (101, 'other');
SELECT tx AS p_tx FROM datahike.log(max => 1) \gset
UPDATE p SET id = 102 WHERE id = 1;
SET datahike.history = on;
SELECT results_eq('SELECT tableoid::regclass::text, id FROM p ORDER BY id', $$VALUES ('p1', 1), ('p2', 101), ('p2', 102)$$, 'versions are where they were');
SELECT is((SELECT count(*) FROM (SELECT id, v FROM p GROUP BY id, v) x), 3::bigint, 'grouped');
SET datahike.since = :p_tx;
SELECT results_eq('SELECT id FROM p', 'VALUES (102)', 'and since');
RESET datahike.since;
RESET datahike.history;

-- CHECK constraints are those of now.
CREATE TABLE parent (n int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child VALUES (-1), (1);
SELECT tx AS child_tx FROM datahike.log(max => 1) \gset
DELETE FROM child WHERE n < 0;
ALTER TABLE child ADD CHECK (n > 0);
PREPARE negative AS SELECT count(*) FROM parent WHERE n < 0;
EXECUTE negative \g /dev/null
SET datahike.history = on;
SELECT is((SELECT count(*) FROM parent WHERE n < 0), 1::bigint, 'a version that a later constraint forbids');
SELECT results_eq('EXECUTE negative', 'VALUES (1::bigint)', 'is found by plans prepared before');
RESET datahike.history;
SET datahike.as_of = :child_tx;
SELECT results_eq('EXECUTE negative', 'VALUES (1::bigint)', 'also as of then');
RESET datahike.as_of;
SELECT results_eq('EXECUTE negative', 'VALUES (0::bigint)', 'and not now');
SET datahike.as_of = :child_tx;
ALTER TABLE parent ADD CONSTRAINT wanted CHECK (n <> 5) NOT VALID;
SELECT lives_ok('ALTER TABLE parent VALIDATE CONSTRAINT wanted', 'constraints can be validated in the past,');
RESET datahike.as_of;
INSERT INTO child VALUES (7);
SET datahike.as_of = :child_tx;
SELECT throws_ok('ALTER TABLE child ADD CHECK (n <> 7)', '23514', NULL, 'but the present must satisfy them too');
RESET datahike.as_of;

-- Deferred constraints are not checked against history.
CREATE TABLE referenced (id int PRIMARY KEY);
CREATE TABLE referencing (id int REFERENCES referenced DEFERRABLE INITIALLY DEFERRED);
INSERT INTO referenced VALUES (1);
DELETE FROM referenced;
BEGIN;
INSERT INTO referencing VALUES (1);
SET datahike.history = on;
SELECT throws_ok('SET CONSTRAINTS ALL IMMEDIATE', '0A000', NULL, 'a key that only an old version has');
ROLLBACK;
BEGIN;
DELETE FROM referenced;
INSERT INTO referenced VALUES (2);
INSERT INTO referencing VALUES (2);
COMMIT;
SELECT is((SELECT count(*) FROM referencing), 1::bigint, 'the present is what counts');

-- ANALYZE looks at the branch.
SET datahike.since = 'infinity';
ANALYZE t;
RESET datahike.since;
SELECT is((SELECT reltuples::int FROM pg_class WHERE oid = 't'::regclass), (SELECT count(*)::int FROM t), 'statistics are those of the branch');

-- Collected history.
CREATE TABLE hot (id int PRIMARY KEY, v int);
INSERT INTO hot VALUES (1, 1);
SELECT tx AS hot_tx FROM datahike.log(max => 1) \gset
SELECT datahike.set_keep_history('hot', 'none') AS kept \gset
UPDATE hot SET v = 2;
UPDATE hot SET v = 3;
DO $$
BEGIN
  FOR i IN 1..100 LOOP
    BEGIN
      PERFORM datahike.commit_id();
      PERFORM set_config('datahike.history', 'on', true);
      PERFORM count(*) FROM hot;
      PERFORM set_config('datahike.history', 'off', true);
    EXCEPTION WHEN snapshot_too_old THEN RETURN;
    END;
    COMMIT;
    PERFORM pg_sleep(0.1);
    UPDATE hot SET v = v + 1;
    COMMIT;
  END LOOP;
END $$;
SET datahike.history = on;
SELECT throws_ok('SELECT count(*) FROM hot', '72000', NULL, 'history that has been collected is refused');
SELECT is((SELECT count(*) > 0 FROM t), true, 'for that table alone');
RESET datahike.history;
SET datahike.since = :hot_tx;
SELECT is((SELECT count(*) FROM hot), 1::bigint, 'its live rows are there, whatever the point');
RESET datahike.since;
SELECT * FROM finish();
