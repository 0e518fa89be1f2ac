-- Which rows two revisions do not share, against a heap table that knows every commit's rows.
SELECT plan(12);
CREATE TABLE t (id int, v text);
CREATE TABLE seen (n int, commit_id uuid, branch text, row_at tid) USING heap;
CREATE TABLE commits (n serial, commit_id uuid, branch text) USING heap;

-- One random transaction, then what is live after it.
CREATE PROCEDURE step(i int, branch text) LANGUAGE plpgsql AS $$
DECLARE
  c uuid;
  number int;
BEGIN
  PERFORM set_config('datahike.branch', branch, false);
  CASE
    WHEN i % 23 = 0 THEN TRUNCATE t; INSERT INTO t SELECT g, 'new' FROM generate_series(1, 10) g;
    WHEN i % 5 = 0 THEN DELETE FROM t WHERE random() < 0.3;
    WHEN i % 3 = 0 THEN UPDATE t SET v = v || i WHERE random() < 0.2;
    WHEN i % 7 = 0 THEN INSERT INTO t SELECT g, repeat('x', 20) FROM generate_series(1, 400) g;
    ELSE INSERT INTO t SELECT g, 'row' FROM generate_series(1, (random() * 20)::int + 1) g;
  END CASE;
  COMMIT;
  c := datahike.commit_id();
  INSERT INTO commits (commit_id, branch) VALUES (c, branch) RETURNING n INTO number;
  INSERT INTO seen SELECT number, c, branch, ctid FROM t;
  COMMIT;
END $$;
SELECT setseed(0.25);
DO $$ BEGIN FOR i IN 1..25 LOOP CALL step(i, 'db'); END LOOP; END $$;
SELECT datahike.create_branch('side') AS made \gset
DO $$ BEGIN FOR i IN 26..60 LOOP CALL step(i, CASE i % 2 WHEN 0 THEN 'db' ELSE 'side' END); END LOOP; END $$;
RESET datahike.branch;

SELECT is((SELECT count(*) FROM commits), 60::bigint, 'sixty commits on two branches');
SELECT cmp_ok((SELECT count(*) FROM seen), '>', 5000::bigint, 'with many rows');

CREATE FUNCTION expected(a uuid, b uuid) RETURNS SETOF tid LANGUAGE sql AS
  'SELECT row_at FROM seen WHERE commit_id = a EXCEPT SELECT row_at FROM seen WHERE commit_id = b';
CREATE FUNCTION wrong(a uuid, b uuid) RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM (
    (SELECT * FROM datahike.rows_only_in('t', a::text, b::text) EXCEPT ALL SELECT * FROM expected(a, b))
    UNION ALL
    (SELECT * FROM expected(a, b) EXCEPT ALL SELECT * FROM datahike.rows_only_in('t', a::text, b::text))) x
$$;
SELECT is((SELECT sum(wrong(a.commit_id, b.commit_id)) FROM commits a JOIN commits b ON b.n = a.n + 1), 0::numeric, 'neighbours, forwards');
SELECT is((SELECT sum(wrong(b.commit_id, a.commit_id)) FROM commits a JOIN commits b ON b.n = a.n + 1), 0::numeric, 'neighbours, backwards');
SELECT is((SELECT sum(wrong(a.commit_id, b.commit_id)) FROM commits a, commits b WHERE (a.n * 7 + b.n * 11) % 31 = 0), 0::numeric, 'any two, also across branches');
SELECT is((SELECT sum(wrong(commit_id, commit_id)) FROM commits), 0::numeric, 'none between a commit and itself');
SELECT is((SELECT count(*) FROM datahike.rows_only_in('t', 'db', (SELECT commit_id::text FROM datahike.log() ORDER BY tx LIMIT 1))), (SELECT count(*) FROM t), 'all that are live, against the first commit');

-- This transaction's own changes, and transactions that are not folded.
BEGIN;
SELECT datahike.commit_id() AS start \gset
SELECT is_empty($$SELECT * FROM datahike.rows_only_in('t', NULL, 'db')$$, 'nothing new yet');
CREATE TEMP TABLE before AS SELECT ctid AS row_at FROM t;
INSERT INTO t SELECT g, 'own' FROM generate_series(1, 10) g;
UPDATE t SET v = 'changed' WHERE id = 3;
DELETE FROM t WHERE v = 'own' AND id = 5;
SAVEPOINT s;
UPDATE t SET v = 'again' WHERE id = 4;
ROLLBACK TO s;
SELECT set_eq(format($$SELECT * FROM datahike.rows_only_in('t', NULL, %L)$$, :'start'), 'SELECT ctid AS c FROM t EXCEPT SELECT row_at FROM before', 'own changes are in the view');
TRUNCATE t;
INSERT INTO t VALUES (1, 'after');
SELECT set_eq(format($$SELECT * FROM datahike.rows_only_in('t', NULL, %L)$$, :'start'), 'SELECT ctid AS c FROM t', 'and a TRUNCATE');
COMMIT;

INSERT INTO t VALUES (2, 'two');
SELECT set_eq(format($$SELECT * FROM datahike.rows_only_in('t', NULL, %L)$$, :'start'), 'SELECT ctid AS c FROM t', 'transactions that may not be folded yet');
SELECT throws_ok($$SELECT * FROM datahike.rows_only_in('commits', 'db', 'db')$$, '42809', NULL, 'a heap table is refused');
SELECT * FROM finish();
