-- Prepared statements, plans of functions and cursors while the session switches branches and commits.
SELECT plan(19);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE child (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE);
INSERT INTO t SELECT g, 'db' FROM generate_series(1, 1000) g;
SELECT datahike.commit_id() AS before \gset
SELECT datahike.create_branch('b') \g /dev/null

SET plan_cache_mode = force_generic_plan;
PREPARE look (int) AS SELECT v FROM t WHERE id = $1;
PREPARE change (int, text) AS UPDATE t SET v = $2 WHERE id = $1 RETURNING v;
PREPARE put (int) AS INSERT INTO t VALUES ($1, datahike.current_branch());
PREPARE counting AS SELECT count(*) FROM t;
CREATE FUNCTION looked(int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT v FROM t WHERE id = $1); END $$;
SELECT results_eq('EXECUTE look(1)', ARRAY['db'], 'prepared on one branch');
SELECT is(looked(1), 'db', 'and a function''s plan');
SET datahike.branch = 'b';
SELECT results_eq($$EXECUTE change(1, 'b')$$, ARRAY['b'], 'the plan changes the row of the other branch');
SELECT results_eq('EXECUTE look(1)', ARRAY['b'], 'and reads it');
SELECT is(looked(1), 'b', 'so does the function''s');
SELECT lives_ok('EXECUTE put(2000)', 'an insert goes there');
RESET datahike.branch;
SELECT results_eq('EXECUTE look(1)', ARRAY['db'], 'back, it reads what it read');
SELECT is(looked(1), 'db', 'as the function');
SELECT lives_ok('EXECUTE put(2000)', 'the same key is free here');
SELECT results_eq('EXECUTE look(2000)', ARRAY['db'], 'each branch has its own');

-- an index made on one branch serves the plan on all
CREATE INDEX t_v ON t (v);
PREPARE by_v (text) AS SELECT count(*) FROM t WHERE v = $1;
SELECT results_eq($$EXECUTE by_v('db')$$, ARRAY[1001::bigint], 'by index');
SET datahike.branch = 'b';
SELECT results_eq($$EXECUTE by_v('b')$$, ARRAY[2::bigint], 'by index on the other branch');
SET datahike.branch = 'db';

-- pinned views
SELECT set_config('datahike.commit_id', :'before', false) \g /dev/null
SELECT results_eq('EXECUTE counting', ARRAY[1000::bigint], 'the plan reads the commit');
SELECT throws_ok('EXECUTE put(3000)', '25006', NULL, 'and cannot write there');
RESET datahike.commit_id;
SELECT results_eq('EXECUTE counting', ARRAY[1001::bigint], 'and the branch again');

-- a cursor keeps the branch that it was opened on, also WITH HOLD and backwards
BEGIN;
DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT v FROM t WHERE id = 2000 OR id = 1 ORDER BY id DESC;
MOVE 1 FROM c;
SET LOCAL datahike.branch = 'b';
CREATE TEMP TABLE fetched (v text);
DO $$
DECLARE r record; c refcursor := 'c';
BEGIN
  FETCH c INTO r;
  INSERT INTO fetched VALUES (r.v);
END $$;
SELECT results_eq('TABLE fetched', ARRAY['db'], 'a cursor stays on its branch');
COMMIT;
SELECT results_eq('FETCH BACKWARD ALL FROM c', ARRAY['db'], 'also held, and backwards');
CLOSE c;

-- foreign keys' own plans
SET datahike.branch = 'b';
INSERT INTO child VALUES (1, 2000);
RESET datahike.branch;
INSERT INTO child VALUES (1, 2000);
DELETE FROM t WHERE id = 2000;
SELECT is((SELECT count(*) FROM child), 0::bigint, 'a cascade deletes on this branch');
SET datahike.branch = 'b';
SELECT is((SELECT count(*) FROM child), 1::bigint, 'and not on the other');
SELECT * FROM finish();
