-- CLUSTER lays the rows of every branch in the index's order; commits keep theirs, and rows their identity.
SELECT plan(17);
CREATE TABLE t (id int PRIMARY KEY, k int, v text);
INSERT INTO t SELECT g, (g * 37) % 1000, repeat('v', g % 50) FROM generate_series(1, 999) g;
CREATE INDEX t_k ON t (k DESC);
SELECT datahike.commit_id() AS before \gset
SELECT datahike.create_branch('b') \g /dev/null
SET datahike.branch = 'b';
UPDATE t SET k = k + 5000 WHERE id <= 100;
DELETE FROM t WHERE id > 900;
CREATE TABLE h_b USING heap AS TABLE t;
SET datahike.branch = 'db';
CREATE TABLE h_db USING heap AS TABLE t;
-- how many rows come after one with a smaller key
CREATE FUNCTION disorder(by text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
  PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
  EXECUTE format('SELECT count(*) FROM (SELECT %1$s < lag(%1$s) OVER () AS below FROM (SELECT * FROM t) x) y WHERE below', by) INTO n;
  RETURN n;
END $$;
SELECT isnt(disorder('-k'), 0::bigint, 'rows lie as they were written');
CLUSTER t USING t_k;
SELECT is(disorder('-k'), 0::bigint, 'then in the order of the index');
SELECT results_eq('SELECT * FROM t ORDER BY id', 'SELECT * FROM h_db ORDER BY id', 'the same rows');
SET datahike.branch = 'b';
SELECT is(disorder('-k'), 0::bigint, 'on the other branch as well');
SELECT results_eq('SELECT * FROM t ORDER BY id', 'SELECT * FROM h_b ORDER BY id', 'its rows');
SET datahike.branch = 'db';
SELECT set_config('datahike.commit_id', :'before', false) \g /dev/null
SELECT is(disorder('id'), 0::bigint, 'the commit has its order');
SELECT is((SELECT count(*) FROM t), 999::bigint, 'and rows');
RESET datahike.commit_id;
SET enable_seqscan = off;
SELECT results_eq('SELECT id, k FROM t WHERE k BETWEEN 10 AND 20 ORDER BY id', 'SELECT id, k FROM h_db WHERE k BETWEEN 10 AND 20 ORDER BY id', 'indexes find them');
SELECT throws_ok('INSERT INTO t VALUES (7)', '23505', NULL, 'and keys hold');
RESET enable_seqscan;
-- in a transaction, with its changes, and rolled back
BEGIN;
INSERT INTO t VALUES (2001, 500, 'new');
UPDATE t SET k = -1 WHERE id = 10;
SAVEPOINT s;
CLUSTER t USING t_pkey;
SELECT is(disorder('id'), 0::bigint, 'own changes are laid in order');
SELECT is((SELECT count(*) FROM t), 1000::bigint, 'all of them');
ROLLBACK TO s;
SELECT is((SELECT count(*) FROM t), 1000::bigint, 'and are back after ROLLBACK TO');
CLUSTER t;
SELECT is(disorder('-k'), 0::bigint, 'by the index of before');
COMMIT;
SELECT is(disorder('-k'), 0::bigint, 'committed');
-- after the columns have changed
ALTER TABLE t DROP COLUMN v, ADD COLUMN w text DEFAULT 'w', ALTER k TYPE numeric;
CLUSTER t USING t_pkey;
SELECT is(disorder('id'), 0::bigint, 'with columns added and dropped');
SELECT is((SELECT count(*) FROM t WHERE w = 'w' AND k IS NOT NULL), 1000::bigint, 'which every row has');
SET datahike.branch = 'b';
SELECT is(disorder('id'), 0::bigint, 'on both');
SELECT * FROM finish();
