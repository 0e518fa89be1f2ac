-- Reading the past: datahike.commit_id and datahike.as_of, and what is refused there.
SELECT plan(49);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE child (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE);
CREATE TABLE h (id int) USING heap;
CREATE TEMP TABLE mark (n int PRIMARY KEY, id uuid, tx bigint, at timestamptz);
CREATE FUNCTION note(n int) RETURNS void LANGUAGE sql AS
  $$INSERT INTO mark SELECT n, commit_id, tx, committed_at FROM datahike.log(max => 1)$$;
CREATE FUNCTION pin(n int) RETURNS text LANGUAGE sql AS
  $$SELECT set_config('datahike.commit_id', (SELECT id::text FROM mark m WHERE m.n = pin.n), false)$$;

INSERT INTO t SELECT g, 'first' FROM generate_series(1, 10) g;
SELECT note(1) \g /dev/null
UPDATE t SET v = 'second' WHERE id <= 5;
SELECT note(2) \g /dev/null
DELETE FROM t WHERE id = 10;
SELECT note(3) \g /dev/null
INSERT INTO t VALUES (11, 'fourth');
SELECT note(4) \g /dev/null
TRUNCATE t CASCADE;
SELECT note(5) \g /dev/null
INSERT INTO t VALUES (1, 'sixth');
SELECT note(6) \g /dev/null

SELECT pin(1) \g /dev/null
SELECT results_eq($$SELECT v, count(*) FROM t GROUP BY v$$, $$VALUES ('first', 10::bigint)$$, 'pinned to the first commit');
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE n = 1), 'commit_id() is the pinned one');
SELECT is(datahike.current_branch(), 'db', 'the branch setting stays');
SELECT pin(2) \g /dev/null
SELECT results_eq($$SELECT v, count(*) FROM t GROUP BY v ORDER BY v$$, $$VALUES ('first', 5::bigint), ('second', 5)$$, 'to the second');
SELECT pin(3) \g /dev/null
SELECT is((SELECT count(*) FROM t), 9::bigint, 'to the third');
SELECT pin(4) \g /dev/null
SELECT is((SELECT max(id) FROM t), 11, 'to the fourth');
SELECT pin(5) \g /dev/null
SELECT is((SELECT count(*) FROM t), 0::bigint, 'to the truncated one');
SELECT is((SELECT commit_id FROM datahike.log(max => 1)), (SELECT id FROM mark WHERE n = 5), 'the log starts at the pin');

-- refused under a pin
SELECT pin(4) \g /dev/null
SELECT throws_ok($$INSERT INTO t VALUES (99, 'x')$$, '25006', NULL, 'INSERT');
SELECT throws_ok($$UPDATE t SET v = 'x' WHERE id = 1$$, '25006', NULL, 'UPDATE');
SELECT throws_ok($$DELETE FROM t$$, '25006', NULL, 'DELETE');
SELECT throws_ok($$TRUNCATE t CASCADE$$, '25006', NULL, 'TRUNCATE');
SELECT throws_ok($$SELECT * FROM t FOR UPDATE$$, '25006', NULL, 'FOR UPDATE');
SELECT throws_ok($$MERGE INTO t USING (VALUES (1)) s(id) ON s.id = t.id WHEN MATCHED THEN DELETE$$, '25006', NULL, 'MERGE');
SELECT throws_ok($$WITH d AS (DELETE FROM t RETURNING *) SELECT count(*) FROM d$$, '25006', NULL, 'DELETE in a CTE');
SELECT throws_ok($$INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'x'$$, '25006', NULL, 'ON CONFLICT');
SELECT lives_ok($$INSERT INTO h VALUES (1)$$, 'a heap table can be written');
SELECT lives_ok($$CREATE TEMP TABLE scratch AS SELECT * FROM t$$, 'so can a temporary one');
SELECT is((SELECT count(*) FROM scratch), 10::bigint, 'filled from the past');
CREATE FUNCTION hint_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE h text;
BEGIN
  EXECUTE statement;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS h = PG_EXCEPTION_HINT;
  RETURN h;
END $$;
SELECT alike(hint_of($$DELETE FROM t$$), '%datahike.commit_id%', 'the hint names the setting');
RESET datahike.commit_id;
SELECT results_eq('SELECT id, v FROM t', $$VALUES (1, 'sixth')$$, 'RESET goes back to the head, where nothing happened');
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE n = 6), 'and no commit was made');
SELECT lives_ok($$INSERT INTO t VALUES (2, 'writes again')$$, 'writing works again');

-- wrong values
SELECT throws_ok($$SET datahike.commit_id = 'not a uuid'$$, '22P02', NULL, 'a malformed uuid');
SELECT throws_ok($$SET datahike.commit_id = '00000000-0000-4000-8000-000000000000'$$, '42704', NULL, 'an unknown commit');
SELECT throws_ok($$SET datahike.as_of = 'next tuesday or so'$$, '22P02', NULL, 'a malformed time');
SELECT lives_ok($$SET datahike.commit_id = ''$$, 'empty switches a pin off');

-- as_of
SELECT set_config('datahike.as_of', (SELECT at::text FROM mark WHERE n = 2), false) \g /dev/null
SELECT is((SELECT count(*) FROM t WHERE v = 'second'), 5::bigint, 'as_of a time includes the commit of that time');
SELECT is(datahike.commit_id(), (SELECT id FROM mark WHERE n = 2), 'commit_id() is that commit');
SELECT set_config('datahike.as_of', (SELECT (at - interval '1 microsecond')::text FROM mark WHERE n = 2), false) \g /dev/null
SELECT is((SELECT count(*) FROM t WHERE v = 'second'), 0::bigint, 'a microsecond before does not');
SELECT set_config('datahike.as_of', (SELECT tx::text FROM mark WHERE n = 4), false) \g /dev/null
SELECT is((SELECT max(id) FROM t), 11, 'as_of a tx includes it');
SELECT throws_ok($$DELETE FROM t$$, '25006', NULL, 'as_of is read-only too');
SELECT alike(hint_of($$DELETE FROM t$$), '%datahike.as_of%', 'and the hint names it');
SET datahike.as_of = 'infinity';
SELECT is((SELECT count(*) FROM t), 2::bigint, 'infinity is the newest');
SET datahike.as_of = '2200-01-01';
SELECT is((SELECT count(*) FROM t), 2::bigint, 'a date to come as well');
RESET datahike.as_of;

-- branch and pin together
SELECT datahike.create_branch('other', (SELECT id::text FROM mark WHERE n = 1)) \g /dev/null
SET datahike.branch = 'other';
DELETE FROM t WHERE id > 3;
CREATE TEMP TABLE other_mark AS SELECT commit_id AS id, committed_at AS at FROM datahike.log(max => 1);
INSERT INTO t VALUES (50, 'later on other');
SELECT set_config('datahike.as_of', (SELECT at::text FROM other_mark), false) \g /dev/null
SELECT results_eq('SELECT count(*), max(id) FROM t', $$VALUES (3::bigint, 3)$$, 'as_of is read on the branch that is set');
RESET datahike.as_of;
SELECT pin(6) \g /dev/null
SELECT results_eq('SELECT id, v FROM t', $$VALUES (1, 'sixth')$$, 'commit_id wins over the branch');
SET datahike.branch = 'db';
SELECT set_config('datahike.commit_id', (SELECT id::text FROM other_mark), false) \g /dev/null
SELECT is((SELECT count(*) FROM t), 3::bigint, 'whatever branch the commit is on');
RESET datahike.commit_id;

-- SET LOCAL, functions with SET, cursors
BEGIN;
SELECT set_config('datahike.commit_id', (SELECT id::text FROM mark WHERE n = 1), true) \g /dev/null
SELECT is((SELECT count(*) FROM t), 10::bigint, 'SET LOCAL pins');
COMMIT;
SELECT is((SELECT count(*) FROM t), 2::bigint, 'to the end of the transaction');
SELECT is(current_setting('datahike.commit_id'), '', 'and leaves no setting');
BEGIN;
SELECT set_config('datahike.commit_id', (SELECT id::text FROM mark WHERE n = 1), false) \g /dev/null
ROLLBACK;
SELECT is((SELECT count(*) FROM t), 2::bigint, 'ROLLBACK takes SET back');
DO $$
BEGIN
  EXECUTE format('CREATE FUNCTION count_then() RETURNS bigint LANGUAGE plpgsql SET datahike.commit_id = %L AS ''BEGIN RETURN (SELECT count(*) FROM t); END''',
    (SELECT id FROM mark WHERE n = 1));
END $$;
SELECT results_eq('SELECT count_then(), count(*) FROM t', $$VALUES (10::bigint, 2::bigint)$$, 'a function with SET reads its own view');
BEGIN;
DECLARE c CURSOR FOR SELECT count(*) FROM t;
DECLARE d CURSOR FOR SELECT id FROM t ORDER BY id;
SET LOCAL datahike.branch = 'other';
SELECT results_eq('c'::refcursor, $$VALUES (2::bigint)$$, 'a cursor keeps the view that it was opened with');
SELECT is((SELECT count(*) FROM t), 4::bigint, 'while the session has moved on');
SELECT results_eq('d'::refcursor, $$VALUES (1), (2)$$, 'and so does every other cursor');
COMMIT;

-- prepared statements
PREPARE how_many AS SELECT count(*) FROM t;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE how_many', $$VALUES (2::bigint)$$, 'a cached plan on one branch');
SET datahike.branch = 'other';
SELECT results_eq('EXECUTE how_many', $$VALUES (4::bigint)$$, 'on another');
SELECT pin(1) \g /dev/null
SELECT results_eq('EXECUTE how_many', $$VALUES (10::bigint)$$, 'and pinned');

SELECT * FROM finish();
