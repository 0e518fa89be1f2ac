-- Commands that write a table anew lose no branch and no commit: each either keeps them all or is refused with 0A000.
SELECT plan(20);
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 500) g;
SELECT datahike.commit_id() AS loaded \gset
SELECT datahike.create_branch('side') \g /dev/null
SET datahike.branch = 'side';
DELETE FROM t WHERE id <= 100;
UPDATE t SET v = 'side' WHERE id > 490;
RESET datahike.branch;
DELETE FROM t WHERE id > 450;

-- holds(WHAT): every branch and the old commit have their rows, sequentially and by index
CREATE FUNCTION counts() RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; more text;
BEGIN
  PERFORM set_config('enable_seqscan', 'on', true);
  EXECUTE 'SELECT count(*) || '' '' || count(*) FILTER (WHERE v = ''side'') || '' '' || sum(id) FROM t' INTO result;
  PERFORM set_config('enable_seqscan', 'off', true);
  EXECUTE 'SELECT count(*) || '' '' || sum(id) FROM t WHERE id BETWEEN 1 AND 100000' INTO more;
  RETURN result || ' / ' || more;
END $$;
CREATE FUNCTION holds(what text, loaded text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('datahike.branch', 'db', false);
  RETURN NEXT is(counts(), '450 0 101475 / 450 101475', what || ': db');
  PERFORM set_config('datahike.branch', 'side', false);
  RETURN NEXT is(counts(), '400 10 120200 / 400 120200', what || ': the other branch');
  PERFORM set_config('datahike.commit_id', loaded, false);
  RETURN NEXT is(counts(), '500 0 125250 / 500 125250', what || ': the commit before');
  PERFORM set_config('datahike.commit_id', '', false);
  PERFORM set_config('datahike.branch', 'db', false);
END $$;
CREATE FUNCTION works_or_is_refused(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command;
  RETURN ok(true, command || ' works');
EXCEPTION WHEN feature_not_supported THEN
  RETURN ok(true, command || ' is refused');
END $$;

SELECT holds('before', :'loaded');
\set ON_ERROR_STOP off
VACUUM FULL t;
\set ON_ERROR_STOP on
SELECT holds('VACUUM FULL', :'loaded');
SELECT works_or_is_refused('CLUSTER t USING t_pkey');
SELECT holds('CLUSTER', :'loaded');
SELECT works_or_is_refused('ALTER TABLE t ADD COLUMN r float8 DEFAULT random()');
SELECT holds('a volatile default', :'loaded');
SELECT holds('again', :'loaded');
REINDEX TABLE t;
SELECT holds('REINDEX', :'loaded');

SELECT * FROM finish();
