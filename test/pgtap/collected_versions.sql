-- versions() where commits between those that are kept have been collected: the oldest kept commit without a row is named as the one that
-- removed it. What a session remembers of commits does not outlive them.
SELECT plan(11);
CREATE TABLE t (id int PRIMARY KEY, v int);
CREATE TABLE u (id int);
BEGIN;
INSERT INTO t VALUES (1, 0), (2, 0), (3, 0);
INSERT INTO u VALUES (1);
COMMIT;
SELECT datahike.tag('made', 'db') \g /dev/null
UPDATE t SET v = 1 WHERE id = 1;
DELETE FROM t WHERE id = 2;
TRUNCATE u;
SELECT tx AS truncated FROM datahike.log(max => 1) \gset
INSERT INTO u VALUES (2);
SELECT tx AS between FROM datahike.log(max => 1) \gset
SELECT datahike.tag('between', 'db') \g /dev/null
UPDATE t SET v = 2 WHERE id = 1;
TRUNCATE u;
SELECT datahike.tag('later', 'db') \g /dev/null
SELECT tx AS later FROM datahike.log(max => 1) \gset
-- a branch that has merged one of which little is kept
SELECT datahike.create_branch('side') \g /dev/null
SET datahike.branch = 'side';
DELETE FROM t WHERE id = 3;
INSERT INTO t VALUES (4, 0);
RESET datahike.branch;
INSERT INTO t VALUES (5, 0);
SELECT status FROM datahike.merge('side') \g /dev/null
SELECT tx AS merged FROM datahike.log(max => 1) \gset
INSERT INTO t VALUES (6, 0);
INSERT INTO t VALUES (7, 0);
SELECT tx AS newest FROM datahike.log(max => 1) \gset

CREATE FUNCTION removals(OUT id int, OUT v int, OUT removed int8) RETURNS SETOF record LANGUAGE sql AS
  $$SELECT (r."row").id, (r."row").v, r.tx_removed FROM datahike.versions(NULL::t) r WHERE r.tx_added IS NOT NULL ORDER BY 1, 2$$;
SELECT is(count(*), 10::bigint, 'all versions of rows') FROM removals();
SELECT is((SELECT tx_removed FROM datahike.versions(NULL::u) r WHERE (r."row").id = 1), :truncated::int8, 'a truncated row');
SELECT ok(commits > 5, 'older commits go') FROM datahike.gc(now(), '0');
SELECT results_eq('SELECT * FROM removals() WHERE id IN (1, 2)', format('VALUES (1, 0, %s::int8), (2, 0, %s)', :between, :between),
  'rows that commits have removed which are gone: the next one that is kept');
SELECT is((SELECT removed FROM removals() WHERE id = 3), :newest::int8, 'one that a merge has removed');
SELECT results_eq('SELECT (r."row").id, r.tx_removed FROM datahike.versions(NULL::u) r WHERE r.tx_added IS NOT NULL ORDER BY 1',
  format('VALUES (1, %s::int8), (2, %s)', :between, :later), 'the first TRUNCATE has gone, the second is there');
SELECT is((SELECT count(*) FROM datahike.versions(NULL::t) r WHERE r.tx_added IS NULL AND r.tx_removed IS NOT NULL), 0::bigint, 'no other version is listed');
SELECT is((SELECT count(*) FROM datahike.versions(NULL::t)), 4 + (SELECT count(*) FROM t), 'live rows are');
SELECT is((SELECT array_agg(DISTINCT tx) FROM datahike.blame(NULL::t) WHERE tx IS NOT NULL), ARRAY[:newest::int8], 'blame knows what is kept');
SELECT is(datahike.is_ancestor('made', 'db') AND datahike.is_ancestor('between', 'later'), true, 'the graph goes on over the gaps');
SELECT is(count(*), 0::bigint, 'the store verifies') FROM datahike.verify(true) WHERE status <> 'ok';
SELECT * FROM finish();
