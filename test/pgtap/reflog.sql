-- reflog() where the commits that it names have been collected.
SELECT plan(9);
CREATE TABLE t (id int PRIMARY KEY, v int);
INSERT INTO t SELECT g, g FROM generate_series(1, 10) g;
CREATE TEMP TABLE mark (name text, id uuid, tx bigint) USING heap;
CREATE FUNCTION mark(text) RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO mark SELECT $1, commit_id, tx FROM datahike.commit_info() $$;
CREATE FUNCTION name(uuid) RETURNS text LANGUAGE sql AS $$ SELECT name FROM mark WHERE id = $1 $$;
SELECT mark('base') \g /dev/null

SELECT datahike.create_branch('x') \g /dev/null
SET datahike.branch = 'x';
UPDATE t SET v = 7;
SELECT mark('seven') \g /dev/null
UPDATE t SET v = 8;
SELECT mark('eight') \g /dev/null
UPDATE t SET v = 9;
SELECT mark('nine') \g /dev/null
RESET datahike.branch;
SELECT datahike.force_branch('x', 'x~2') \g /dev/null
SELECT datahike.gc(NULL, '0s') \g /dev/null
SELECT throws_ok(format('SELECT datahike.commit_info(%L)', id), '72000', NULL, 'what a reset left is collected') FROM mark WHERE name = 'nine';
SELECT results_eq($$SELECT operation, name(old), name(new), tx = (SELECT tx FROM mark WHERE id = new) FROM datahike.reflog('x')$$,
  $$VALUES ('reset', 'nine', 'seven', true), ('commit', NULL, 'nine', true), ('commit', 'base', 'seven', true), ('create', NULL, 'base', true)$$,
  'the reflog lists the moves, the last collected commit by its id');
SELECT is((SELECT count(*) FROM datahike.reflog('x') WHERE at IS NULL), 0::bigint, 'with their times');

-- collected by their age, on a line that goes on
SET datahike.branch = 'x';
UPDATE t SET v = 10;
UPDATE t SET v = 11;
UPDATE t SET v = 12;
SELECT mark('twelve') \g /dev/null
RESET datahike.branch;
SELECT datahike.gc(clock_timestamp(), '0s') \g /dev/null
SELECT is((SELECT operation || coalesce(name(old), '') || name(new) FROM datahike.reflog('x') LIMIT 1), 'committwelve', 'the newest move');
SELECT is((SELECT count(*) FROM datahike.reflog('x') WHERE operation = 'reset'), 1::bigint, 'and the reset are listed');
SELECT is((SELECT name(new) FROM datahike.reflog('x') OFFSET (SELECT count(*) - 1 FROM datahike.reflog('x'))), 'base', 'down to the creation');
SELECT is((SELECT count(*) FROM datahike.reflog('x') WHERE operation = 'create'), 1::bigint, 'which is one, though its commit is older than what is kept');
SELECT is((SELECT operation FROM datahike.reflog('db') OFFSET (SELECT count(*) - 1 FROM datahike.reflog('db'))), 'create', 'the default branch''s too');
SELECT is((SELECT count(*) FROM datahike.reflog('x', 2)), 2::bigint, 'as many as are asked for');
SELECT * FROM finish();
