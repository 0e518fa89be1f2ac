-- CREATE INDEX does not evaluate expressions that may raise errors for rows that are live on no branch: those are left out. Views that see
-- them all the same (old commits, branches made from one) use no such index, and write no row that it could not keep unique.
SELECT plan(68);
CREATE TABLE t (id int PRIMARY KEY, a int, b int);
INSERT INTO t SELECT g, g % 50, g % 10 FROM generate_series(1, 2000) g;
SELECT datahike.commit_id() AS loaded \gset
CREATE TABLE h_loaded USING heap AS TABLE t;
SELECT throws_ok('CREATE INDEX ON t ((a / b))', '22012', NULL, 'live rows are evaluated');
SELECT datahike.create_branch('side') \g /dev/null
DELETE FROM t WHERE b = 0;
SELECT throws_ok('CREATE INDEX ON t ((a / b))', '22012', NULL, 'those of other branches as well');
SET datahike.branch = 'side';
UPDATE t SET b = 1 WHERE b = 0;
CREATE TABLE h_side USING heap AS TABLE t;
SET datahike.branch = 'db';
CREATE TABLE h_db USING heap AS TABLE t;
SELECT datahike.commit_id() AS before_index \gset
CREATE INDEX t_quotient ON t ((a / b));
CREATE INDEX t_part ON t (a) WHERE 100 / b > 20;
CREATE INDEX t_harmless ON t (a) WHERE b < 5;
SELECT results_eq('SELECT index::regclass::text FROM datahike.index_omissions ORDER BY 1', $$VALUES ('t_part'), ('t_quotient')$$,
  'rows are left out where an error might be raised');

CREATE FUNCTION scans(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line ~ 'Index|Seq Scan' THEN RETURN coalesce(substring(line FROM 't_\w+'), 'seq'); END IF;
  END LOOP;
END $$;
-- what is expected of the view that is set: the rows of a heap twin, and whether the indexes serve
CREATE FUNCTION same(twin text, served bool, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('enable_seqscan', 'off', true);
  RETURN NEXT is(scans('SELECT id FROM t WHERE a / b = 3') = 't_quotient', served, what || ': the expression index is used or not');
  RETURN NEXT is(scans('SELECT id FROM t WHERE a = 3 AND 100 / b > 20') = 't_part', served AND to_regclass('t_part') IS NOT NULL, what || ': so is the partial one');
  RETURN NEXT is(scans('SELECT id FROM t WHERE id = 3'), 't_pkey', what || ': the others serve every view');
  RETURN NEXT results_eq('SELECT id FROM t WHERE b > 0 AND a / nullif(b, 0) = 3 ORDER BY 1',
    format('SELECT id FROM %I WHERE b > 0 AND a / nullif(b, 0) = 3 ORDER BY 1', twin), what || ': the rows');
  PERFORM set_config('enable_seqscan', 'on', true);
END $$;
CREATE FUNCTION fits(twin text, what text) RETURNS text LANGUAGE sql AS $$
  SELECT results_eq('SELECT id FROM t WHERE a / b = 3 ORDER BY 1', format('SELECT id FROM %I WHERE a / b = 3 ORDER BY 1', twin), what) $$;
SELECT same('h_db', true, 'db');
SELECT fits('h_db', 'db, by index');
SET datahike.branch = 'side';
SELECT same('h_side', true, 'side');
SELECT fits('h_side', 'side, by index');
SET datahike.branch = 'db';
SET datahike.commit_id = :'loaded';
SELECT same('h_loaded', false, 'the first commit');
SELECT throws_ok('SELECT id FROM t WHERE a / b = 3', '22012', NULL, 'a query raises its own errors');
SELECT is(scans('SELECT id FROM t WHERE a = 3 AND b < 5'), 't_harmless', 'a harmless partial index has all rows');
SET datahike.commit_id = :'before_index';
SELECT same('h_db', true, 'a commit before the index without such rows');
RESET datahike.commit_id;

-- at() asks for the view that it names
SET enable_seqscan = off;
SELECT is(scans(format('SELECT id FROM datahike.at(NULL::t, %L) WHERE a / nullif(b, 0) = 3 AND a = 3 AND b < 5', :'loaded')), 't_harmless',
  'at() uses an index that has all rows of the commit');
SELECT results_eq(format('SELECT id FROM datahike.at(NULL::t, %L) WHERE b < 5 AND a = 3 AND 100 / nullif(b, 0) > 20 ORDER BY 1', :'loaded'),
  'SELECT id FROM h_loaded WHERE b < 5 AND a = 3 AND 100 / nullif(b, 0) > 20 ORDER BY 1', 'and reads the same rows');
SELECT is(scans(format('SELECT id FROM datahike.at(NULL::t, %L) WHERE a / b = 3', :'loaded')), 'seq', 'but none that lacks some');
SELECT is(scans('SELECT id FROM datahike.at(NULL::t, ''db'') WHERE a / b = 3'), 't_quotient', 'which serves another revision');
SELECT results_eq('SELECT id FROM datahike.at(NULL::t, ''db'') WHERE a / b = 3 ORDER BY 1', 'SELECT id FROM h_db WHERE a / b = 3 ORDER BY 1', 'rightly');
SET plan_cache_mode = force_generic_plan;
PREPARE w(text) AS SELECT count(*) FROM datahike.at(NULL::t, $1) WHERE a = 3 AND 100 / nullif(b, 0) > 20;
SELECT results_eq(format('EXECUTE w(%L)', :'loaded'), 'SELECT count(*) FROM h_loaded WHERE a = 3 AND 100 / nullif(b, 0) > 20', 'a generic plan at the commit');
SELECT results_eq('EXECUTE w(''db'')', 'SELECT count(*) FROM h_db WHERE a = 3 AND 100 / nullif(b, 0) > 20', 'and at the branch');
RESET plan_cache_mode;
RESET enable_seqscan;

-- a prepared plan follows the view
SET plan_cache_mode = force_generic_plan;
PREPARE q AS SELECT count(*) FROM t WHERE a / nullif(b, 0) = 3 AND a = 3;
EXECUTE q \g /dev/null
SET datahike.commit_id = :'loaded';
SELECT results_eq('EXECUTE q', 'SELECT count(*) FROM h_loaded WHERE a / nullif(b, 0) = 3 AND a = 3', 'a prepared plan is made again for an old commit');
RESET datahike.commit_id;

-- a branch from an old commit
CREATE UNIQUE INDEX t_unique ON t ((id + 0 / b));
SELECT datahike.create_branch('old', :'loaded') \g /dev/null
SET datahike.branch = 'old';
SELECT same('h_loaded', false, 'a branch made from it');
SELECT throws_ok('INSERT INTO t VALUES (9001, 3, 1)', '0A000', NULL, 'where uniqueness could not be checked nothing is inserted');
SELECT throws_ok('UPDATE t SET b = 1 WHERE id = 1', '0A000', NULL, 'or updated');
SELECT throws_ok('INSERT INTO t VALUES (10001, 3, 1) ON CONFLICT ((id + 0 / b)) DO NOTHING', '0A000', NULL, 'or looked at for conflicts');
SELECT throws_ok('REINDEX INDEX t_unique', '22012', NULL, 'the branch''s rows are evaluated now');
DROP INDEX t_unique;
SELECT is_empty('SELECT FROM datahike.index_omissions WHERE index NOT IN (SELECT indexrelid FROM pg_index)', 'DROP INDEX forgets what was left out');
INSERT INTO t VALUES (9001, 3, 1);
INSERT INTO h_loaded VALUES (9001, 3, 1);
SELECT same('h_loaded', false, 'without that index rows can be added');
BEGIN;
DELETE FROM t WHERE b = 0;
DELETE FROM h_loaded WHERE b = 0;
SELECT same('h_loaded', true, 'own deletions count');
COMMIT;
SELECT same('h_loaded', true, 'the branch has none of the rows any more');
SELECT fits('h_loaded', 'which is read by index');

-- REINDEX, and whatever else builds the index, begins anew
SET datahike.branch = 'db';
DROP INDEX t_part;
ALTER TABLE t ALTER a TYPE int;
SELECT results_eq('SELECT index::regclass::text FROM datahike.index_omissions', $$VALUES ('t_quotient')$$, 'ALTER TABLE');
SELECT datahike.create_branch('again', :'loaded') \g /dev/null
SET datahike.branch = 'again';
UPDATE t SET b = 1 WHERE b = 0;
SET datahike.branch = 'db';
REINDEX INDEX t_quotient;
SET datahike.branch = 'again';
CREATE TABLE h_again USING heap AS TABLE t;
SELECT same('h_again', true, 'a branch of its own rows');
SELECT fits('h_again', 'by index');
SET datahike.branch = 'db';
REINDEX TABLE CONCURRENTLY t;
SELECT same('h_db', true, 'after REINDEX CONCURRENTLY');
SELECT fits('h_db', 'by index');
SELECT isnt_empty('TABLE datahike.index_omissions', 'which leaves rows out as well');
CREATE INDEX t_gone ON t ((a / b));
SELECT ok(exists(SELECT FROM datahike.index_omissions WHERE index = 't_gone'::regclass), 'an index that lacks rows');
DROP INDEX CONCURRENTLY t_gone;
SELECT is_empty('SELECT FROM datahike.index_omissions WHERE index NOT IN (SELECT indexrelid FROM pg_index)', 'DROP INDEX CONCURRENTLY forgets them');
TRUNCATE t;
INSERT INTO t SELECT g, g % 50, 1 + g % 9 FROM generate_series(1, 100) g;
REINDEX TABLE t;
DROP TABLE t;
SELECT is_empty('TABLE datahike.index_omissions', 'DROP TABLE forgets them');
SELECT * FROM finish();
