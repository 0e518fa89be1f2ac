-- blame() and versions() against a log of changes that triggers and copies on heap keep.
SELECT plan(18);
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE rev (n serial, id text, tx bigint, at timestamptz, author text) USING heap;
CREATE TABLE h (n int, tid tid, x t) USING heap;
CREATE PROCEDURE step(i int) LANGUAGE plpgsql AS $$
DECLARE c int;
BEGIN
  PERFORM set_config('datahike.author', 'author' || i % 3, false);
  INSERT INTO t SELECT i * 10 + g, 'v' FROM generate_series(0, 3) g;
  UPDATE t SET v = v || i WHERE random() < 0.2;
  DELETE FROM t WHERE random() < 0.1;
  COMMIT;
  INSERT INTO rev (id, tx, at, author) SELECT commit_id::text, tx, committed_at, author FROM datahike.log(max => 1) RETURNING n INTO c;
  INSERT INTO h SELECT c, ctid, t FROM t;
  COMMIT;
END $$;
SELECT setseed(0.7);
DO $$ BEGIN FOR i IN 1..12 LOOP CALL step(i); END LOOP; END $$;
-- Row versions are told apart by their ctids: the first copy that has one is of the commit that made it.
CREATE FUNCTION want_blame(upto int) RETURNS TABLE ("row" t, commit_id uuid, tx bigint, committed_at timestamptz, author text) LANGUAGE sql AS $$
  SELECT x, r.id::uuid, r.tx, r.at, r.author FROM h JOIN rev r ON r.n = (SELECT min(n) FROM h f WHERE f.tid = h.tid) WHERE h.n = upto $$;
CREATE FUNCTION want_versions(upto int) RETURNS TABLE ("row" t, tx_added bigint, added_at timestamptz, tx_removed bigint, removed_at timestamptz) LANGUAGE sql AS $$
  SELECT x, a.tx, a.at, r.tx, r.at FROM (SELECT DISTINCT ON (tid) tid, x, min(n) OVER w AS first, max(n) OVER w AS last FROM h WHERE n <= upto WINDOW w AS (PARTITION BY tid)) v
    JOIN rev a ON a.n = v.first LEFT JOIN rev r ON r.n = v.last + 1 AND v.last < upto $$;

SELECT results_eq('SELECT * FROM datahike.blame(NULL::t) ORDER BY ("row").id', 'SELECT * FROM want_blame(12) ORDER BY ("row").id', 'blame of the present');
SELECT results_eq(format('SELECT * FROM datahike.blame(NULL::t, %L) ORDER BY ("row").id', id), format('SELECT * FROM want_blame(%s) ORDER BY ("row").id', n), 'blame at revision ' || n) FROM rev WHERE n IN (1, 5, 9);
SELECT results_eq('SELECT * FROM datahike.versions(NULL::t) ORDER BY ("row").id, tx_added', 'SELECT * FROM want_versions(12) ORDER BY ("row").id, tx_added', 'all versions');
SELECT results_eq(format('SELECT * FROM datahike.versions(NULL::t, %L) ORDER BY ("row").id, tx_added', id), format('SELECT * FROM want_versions(%s) ORDER BY ("row").id, tx_added', n), 'versions up to revision ' || n) FROM rev WHERE n IN (1, 5, 9);
SELECT results_eq($$SELECT b.* FROM (VALUES ('db~3')) r(r), LATERAL datahike.blame(NULL::t, r) b ORDER BY (b."row").id$$, $$SELECT * FROM datahike.blame(NULL::t, 'db~3') ORDER BY ("row").id$$, 'blame by the function');
SELECT results_eq($$SELECT v.* FROM (VALUES ('db~3')) r(r), LATERAL datahike.versions(NULL::t, r) v ORDER BY (v."row").id, tx_added$$, $$SELECT * FROM datahike.versions(NULL::t, 'db~3') ORDER BY ("row").id, tx_added$$, 'versions by the function');
SELECT results_eq('SELECT author, count(*) FROM datahike.blame(NULL::t) GROUP BY author ORDER BY author', 'SELECT author, count(*) FROM want_blame(12) GROUP BY author ORDER BY author', 'grouped');
SELECT results_eq('SELECT ("row").id, count(*) FROM datahike.versions(NULL::t) GROUP BY 1 ORDER BY 1', 'SELECT ("row").id, count(*) FROM want_versions(12) GROUP BY 1 ORDER BY 1', 'keys are not unique among versions');
SELECT results_eq('SELECT count(*) FROM (SELECT ("row").id, ("row").v FROM datahike.versions(NULL::t) GROUP BY 1, 2) x', 'SELECT count(*) FROM (SELECT DISTINCT ("row").id, ("row").v FROM want_versions(12)) x', '... nor is a column dropped from GROUP BY');
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP RETURN NEXT trim(line); END LOOP;
END $$;
SET enable_seqscan = off;
SELECT ok('Index Cond: (id = 10)' IN (SELECT plan_of('SELECT * FROM datahike.versions(NULL::t) WHERE ("row").id = 10')), 'a condition on the key reaches the index');
SELECT results_eq('SELECT * FROM datahike.versions(NULL::t) WHERE ("row").id = 10 ORDER BY tx_added', 'SELECT * FROM want_versions(12) WHERE ("row").id = 10 ORDER BY tx_added', '... which has every version');
RESET enable_seqscan;
SELECT throws_ok('SELECT * FROM datahike.blame(NULL::rev)', '42809', NULL, 'a heap table');
CREATE TABLE p (id int, region int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
INSERT INTO p VALUES (1, 1);
CREATE ROLE blame_reader;
GRANT SELECT ON p TO blame_reader;
SET ROLE blame_reader;
SELECT is((SELECT count(commit_id) FROM datahike.blame(NULL::p)), 1::bigint, 'the right to the partitioned table is enough');
SELECT throws_ok('SELECT * FROM datahike.versions(NULL::t)', '42501', NULL, 'without a right to the table');
RESET ROLE;
DROP OWNED BY blame_reader;
DROP ROLE blame_reader;
SELECT * FROM finish();
