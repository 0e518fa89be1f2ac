-- What functions see, and whose they run as, while rows are written anew or read as another type; and rows that
-- another access method gives back.
SELECT plan(24);
-- a session that has rowids left from before the table was a heap table
CREATE TABLE back (id int PRIMARY KEY, n int);
INSERT INTO back SELECT g, g FROM generate_series(1, 10) g;
ALTER TABLE back SET ACCESS METHOD heap;
ALTER TABLE back SET ACCESS METHOD datahike;
SELECT throws_ok('INSERT INTO back VALUES (5, 5)', '23505', NULL, 'the index has the rows that came back');
SELECT lives_ok('UPDATE back SET n = n + 1 WHERE id = 5', 'which can be changed');
SELECT results_eq('SELECT count(*)::int, sum(n)::int FROM back', 'VALUES (10, 56)', 'none is missing');

-- a default that reads the table sees it as it was, own rows included
CREATE TABLE t (id int PRIMARY KEY, a int);
INSERT INTO t SELECT g, g FROM generate_series(1, 5) g;
SELECT datahike.create_branch('side') \g /dev/null
CREATE FUNCTION rows() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM t); END';
CREATE FUNCTION total() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END;
  RETURN (SELECT sum(a) FROM t WHERE id > 0);
END $$;
CREATE FUNCTION adds() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO t (id, n) VALUES (100, 1); RETURN 1; END';
CREATE FUNCTION locks() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM FROM t FOR UPDATE; RETURN 1; END';
BEGIN;
INSERT INTO t VALUES (6, 6);
DELETE FROM t WHERE id = 1;
ALTER TABLE t ADD COLUMN n int DEFAULT rows(), ADD COLUMN s int DEFAULT total();
SELECT results_eq('SELECT * FROM t ORDER BY id', 'SELECT g, g, 5, 20 FROM generate_series(2, 6) g', 'a default reads all rows');
SET LOCAL datahike.branch = 'side';
SELECT results_eq('SELECT id, a, n FROM t ORDER BY id', 'SELECT g, g, 5 FROM generate_series(1, 5) g', 'on the other branch it has its value too');
ROLLBACK;
SELECT throws_ok('ALTER TABLE t ADD COLUMN n int DEFAULT adds()', '0A000', 'cannot change table "t" while it is being rewritten', 'a default that adds rows');
SELECT throws_ok('ALTER TABLE t ADD COLUMN n int DEFAULT locks()', '0A000', 'cannot change table "t" while it is being rewritten', 'or locks them');
SELECT throws_ok('ALTER TABLE t ALTER a TYPE text USING a + rows()', '0A000', 'cannot read a table while the types of its columns change', 'a type that depends on what is changed');
-- a failed rewrite is forgotten
BEGIN;
INSERT INTO t VALUES (7, 7);
SELECT throws_ok('ALTER TABLE t ADD COLUMN n int DEFAULT 1 / (id * 0 + rows() - 6)', '0A000', NULL, 'not a default: it names a column');
SELECT throws_ok('ALTER TABLE t ADD COLUMN n int DEFAULT 1 / (rows() - 6)', '22012', NULL, 'a rewrite fails');
SELECT results_eq('SELECT count(*)::int FROM t', 'VALUES (6)', 'the rows are there');
SELECT lives_ok('INSERT INTO t VALUES (8, 8)', 'and can be added');
SELECT lives_ok('ALTER TABLE t ADD COLUMN n int DEFAULT rows()', 'the next one succeeds');
SELECT results_eq('SELECT count(*)::int, min(n), max(n) FROM t', 'VALUES (7, 7, 7)', 'on all rows');
ROLLBACK;

-- casts of old values run as the table's owner
CREATE ROLE tap_caster;
GRANT CREATE ON SCHEMA public TO tap_caster;
SET ROLE tap_caster;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE moods (id int, m mood);
INSERT INTO moods SELECT g, 'ok' FROM generate_series(1, 3000) g;
CREATE FUNCTION who(mood) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  BEGIN PERFORM set_config('search_path', 'nowhere', false); EXCEPTION WHEN division_by_zero THEN NULL; END;
  RETURN format('%s %s', $1, current_user);
END $$;
CREATE CAST (mood AS text) WITH FUNCTION who(mood) AS ASSIGNMENT;
RESET ROLE;
SELECT datahike.commit_id() AS before \gset
SET ROLE tap_caster;
ALTER TABLE moods ALTER m TYPE text USING 'converted';
RESET ROLE;
SET search_path = public;
SET datahike.commit_id = :'before';
SELECT results_eq('SELECT DISTINCT m FROM moods', $$VALUES ('ok tap_caster')$$, 'as the owner, whoever reads');
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT min(m) AS m FROM moods \gset
SELECT is(:'m'::text, 'ok tap_caster', 'and not in parallel, which the function may not bear');
SELECT is(current_setting('search_path'), 'public', 'and they leave no setting');
SELECT is(current_user::text, session_user::text, 'nor another user');
RESET datahike.commit_id;
DROP OWNED BY tap_caster CASCADE;
DROP ROLE tap_caster;

-- constraints that other branches are checked for
CREATE TYPE pair AS (x int, y int);
CREATE TABLE pairs (id int, p pair);
INSERT INTO pairs VALUES (1, ROW(NULL, NULL));
CREATE TABLE parts (id int, k int) PARTITION BY LIST (k);
CREATE TABLE others PARTITION OF parts DEFAULT;
SELECT datahike.create_branch('second') \g /dev/null
SELECT lives_ok('ALTER TABLE pairs ALTER p SET NOT NULL', 'a row of nulls is not null');
SELECT lives_ok('ALTER TABLE pairs ADD CHECK (pairs IS DISTINCT FROM NULL)', 'a constraint on whole rows');
SET datahike.branch = 'second';
INSERT INTO parts VALUES (1, 1), (2, 2);
SET datahike.branch = 'db';
SELECT throws_ok('CREATE TABLE two PARTITION OF parts FOR VALUES IN (2)', '23514', 'partition constraint of relation "others" is violated by some row',
  'another branch''s default partition has rows of a new one');
SELECT lives_ok('CREATE TABLE three PARTITION OF parts FOR VALUES IN (3)', 'or has none');
SET datahike.branch = 'second';
SELECT results_eq('SELECT id FROM parts WHERE k = 2', 'VALUES (2)', 'which are found');
SET datahike.branch = 'db';
DELETE FROM parts;
SELECT results_eq('SELECT count(*)::int FROM parts', 'VALUES (0)', 'where they are');
SELECT * FROM finish();
