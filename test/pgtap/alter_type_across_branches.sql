-- ALTER TABLE that changes the type of columns converts every branch; commits keep what they held, cast when it is read.
-- Heap twins hold what each branch and commit should: the branches' are altered by the same commands.
SELECT plan(49);
CREATE TABLE t (id int PRIMARY KEY, n int, s varchar(20), at timestamp, v text UNIQUE);
INSERT INTO t SELECT g, g % 10, (g % 7)::text, '2020-01-01'::timestamp + g * interval '1 hour', 'v' || g FROM generate_series(1, 300) g;
CREATE INDEX t_n ON t (n);
CREATE INDEX t_s ON t (s, id);
CREATE TABLE o_loaded USING heap AS TABLE t;
SELECT datahike.commit_id() AS loaded \gset
SELECT datahike.create_branch('side') \g /dev/null
SELECT datahike.create_branch('gone') \g /dev/null
SELECT datahike.create_branch('empty') \g /dev/null
SET datahike.branch = 'side';
DELETE FROM t WHERE id <= 50;
UPDATE t SET s = '99', n = n + 100 WHERE id > 250;
INSERT INTO t SELECT g, NULL, NULL, NULL, 'side' || g FROM generate_series(1001, 1010) g;
CREATE TABLE h_side USING heap AS TABLE t;
CREATE TABLE o_side USING heap AS TABLE t;
SELECT datahike.commit_id() AS side_before \gset
SET datahike.branch = 'gone';
UPDATE t SET n = 7 WHERE id = 1;
SET datahike.branch = 'empty';
TRUNCATE t;
SET datahike.branch = 'db';
SELECT datahike.delete_branch('gone') \g /dev/null
DELETE FROM t WHERE id > 290;
UPDATE t SET n = n + 1 WHERE id <= 20;
CREATE TABLE h_db USING heap AS TABLE t;
CREATE TABLE o_db USING heap AS TABLE t;
SELECT datahike.commit_id() AS db_before \gset

-- what is expected of the view that is set: twin NAME, seq and index alike
CREATE FUNCTION same(twin text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
  RETURN NEXT results_eq('SELECT t::text FROM t ORDER BY 1', format('SELECT h::text FROM %I h ORDER BY 1', twin), what);
  PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
  RETURN NEXT results_eq('SELECT t::text FROM t WHERE id BETWEEN 1 AND 5000 ORDER BY 1', format('SELECT h::text FROM %I h ORDER BY 1', twin), what || ', by index');
  RETURN NEXT results_eq('SELECT count(*), sum(id) FROM t WHERE n IN (3, 4, 103)', format('SELECT count(*), sum(id) FROM %I WHERE n IN (3, 4, 103)', twin), what || ', by the altered column');
END $$;
CREATE FUNCTION everywhere(what text, loaded text, side_before text, db_before text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT same('h_db', what || ': db');
  PERFORM set_config('datahike.branch', 'side', false);
  RETURN QUERY SELECT same('h_side', what || ': side');
  PERFORM set_config('datahike.branch', 'empty', false);
  RETURN NEXT is_empty('TABLE t', what || ': an empty branch stays empty');
  PERFORM set_config('datahike.branch', 'db', false);
  PERFORM set_config('datahike.commit_id', loaded, false);
  RETURN QUERY SELECT same('o_loaded', what || ': the first commit');
  PERFORM set_config('datahike.commit_id', side_before, false);
  RETURN QUERY SELECT same('o_side', what || ': a commit of the other branch');
  PERFORM set_config('datahike.commit_id', db_before, false);
  RETURN QUERY SELECT same('o_db', what || ': the commit before');
  PERFORM set_config('datahike.commit_id', '', false);
END $$;

-- n becomes another number by an expression, s a number by an explicit cast, at a date by assignment
\set change 'ALTER n TYPE numeric(8,1) USING n * 10 + 0.5, ALTER s TYPE smallint USING s::smallint, ALTER at TYPE date'
ALTER TABLE t :change;
ALTER TABLE h_db :change;
ALTER TABLE h_side :change;
-- commits: cast as they are
\set casts 'ALTER n TYPE numeric(8,1), ALTER s TYPE smallint USING s::smallint, ALTER at TYPE date'
ALTER TABLE o_loaded :casts;
ALTER TABLE o_side :casts;
ALTER TABLE o_db :casts;
SELECT is((SELECT sum(n) FROM o_side), (SELECT sum(n / 10 - 0.05) FROM h_side), 'a commit has the values from before USING');
SELECT everywhere('altered', :'loaded', :'side_before', :'db_before');

-- every branch is written on as before
SET datahike.branch = 'side';
SELECT lives_ok('UPDATE t SET n = 1.5 WHERE id = 60', 'a row of another branch is updated');
UPDATE h_side SET n = 1.5 WHERE id = 60;
SELECT throws_ok($$INSERT INTO t (id, v) VALUES (70, 'new')$$, '23505', NULL, 'its primary key is enforced');
SELECT throws_ok($$INSERT INTO t (id, v) VALUES (5000, 'v60')$$, '23505', NULL, 'and its other key');
SELECT same('h_side', 'after writing');
RESET datahike.branch;

-- a plan that was made for one view is not used for another
PREPARE by_id (int) AS SELECT n::text FROM t WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
SELECT is((SELECT n::text FROM t WHERE id = 5), '60.5', 'now');
EXECUTE by_id (5) \g /dev/null
SET datahike.commit_id = :'loaded';
CREATE TEMP TABLE got AS EXECUTE by_id (5);
SELECT results_eq('TABLE got', $$VALUES ('5.0')$$, 'a cached plan reads an old commit');
RESET datahike.commit_id;
DROP TABLE got;
CREATE TEMP TABLE got AS EXECUTE by_id (5);
SELECT results_eq('TABLE got', $$VALUES ('60.5')$$, 'and the branch again');

-- a branch made from an old commit can be read, not written before it is converted
SELECT datahike.create_branch('old', :'loaded') \g /dev/null
SET datahike.branch = 'old';
SELECT same('o_loaded', 'a branch from before');
SELECT throws_ok('UPDATE t SET n = 1 WHERE id = 1', '0A000', NULL, 'its rows cannot be changed');
SELECT throws_ok($$INSERT INTO t (id, v) VALUES (5000, 'x')$$, '0A000', NULL, 'nor can rows be added');
SELECT lives_ok('DELETE FROM h_db WHERE false', 'other tables can be written');
RESET datahike.branch;
\set ON_ERROR_STOP off
VACUUM FULL t;
\set ON_ERROR_STOP on
SELECT set_config('datahike.branch', 'old', false) \g /dev/null
SELECT same('o_loaded', 'once VACUUM FULL has converted it');
SELECT lives_ok('UPDATE t SET n = 1 WHERE id = 1', 'its rows can be changed');
SELECT throws_ok($$INSERT INTO t (id, v) VALUES (2, 'x')$$, '23505', NULL, 'its keys are enforced');
SELECT set_config('datahike.branch', 'db', false) \g /dev/null
SELECT same('h_db', 'and the others are as they were');
SET enable_seqscan = off;
-- what cannot be converted
SELECT datahike.create_branch('older', :'loaded') \g /dev/null
SELECT throws_ok('ALTER TABLE t ADD CHECK (s <> 5), ADD COLUMN r float8 DEFAULT random()', '23514', NULL, 'a constraint that an older branch violates');
VACUUM FULL t;
SET datahike.branch = 'older';
INSERT INTO t (id, v, n, s) VALUES (7000, 'v7000', 5, 5);
RESET datahike.branch;
SELECT datahike.create_branch('negative') \g /dev/null
SET datahike.branch = 'negative';
UPDATE t SET n = -1, v = 'none' WHERE id = 7;
SELECT datahike.commit_id() AS negative \gset
RESET datahike.branch;
SELECT throws_ok($$ALTER TABLE t ALTER v TYPE int USING translate(v, 'vside', '')::int$$, '22P02', NULL, 'a value of another branch that cannot be cast');
SELECT throws_ok('ALTER TABLE t ADD CHECK (n >= 0), ADD COLUMN r float8 DEFAULT random()', '23514', NULL, 'a constraint that another branch violates');
SELECT same('h_db', 'nothing has changed');
SET datahike.branch = 'negative';
UPDATE t SET n = 1, v = 'v007' WHERE id = 7;
RESET datahike.branch;
SELECT lives_ok($$ALTER TABLE t ADD CHECK (n >= 0), ALTER v TYPE int USING translate(v, 'vside', '')::int$$, 'once no branch does');
SET datahike.commit_id = :'negative';
SELECT throws_matching('SELECT v FROM t WHERE id = 7', 'invalid input syntax for type integer: "none"', 'reading the commit that has it says so');
SELECT results_eq('SELECT n FROM t WHERE id = 7', 'VALUES (-1::numeric(8,1))', 'its other columns can be read');
RESET datahike.commit_id;
SELECT * FROM finish();
