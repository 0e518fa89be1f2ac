-- A session's memory stays within bounds, however much a Datalog query finds: its rows, groups, and relations of rules.
CREATE TABLE a (id int, k int) USING datahike;
INSERT INTO a SELECT i, i FROM generate_series(1, 400000) i;
-- Forty rings of a hundred: 400 000 pairs that are connected.
CREATE TABLE edge (src int, dst int) USING datahike;
CREATE TABLE plain_edge AS SELECT ring * 100 + i AS src, ring * 100 + (i + 1) % 100 AS dst FROM generate_series(0, 39) ring, generate_series(0, 99) i;
INSERT INTO edge SELECT * FROM plain_edge;
CREATE FUNCTION peak_kb() RETURNS bigint LANGUAGE sql AS $$ SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)')::bigint $$;
-- Evaluated before and after, so that what a query takes for the first time is not counted.
CREATE FUNCTION small() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM datahike.q('[:find ?i ?k :where [?e :a/id ?i] [(< ?i 20000)] [?e :a/k ?k] :order-by [?k]]') AS t(i int, k int) $$;
\c
SET jit = off;
SELECT plan(10);
SET work_mem = '64kB';
SELECT is(small(), 19999::bigint, 'a small answer');
SELECT peak_kb() AS before \gset
SELECT is((SELECT count(*) || ' ' || sum(i) FROM datahike.q('[:find ?i ?k :where [?e :a/id ?i] [?e :a/k ?k] :order-by [?k]]') AS t(i int, k int)), '400000 80000200000', 'rows, which would take 13 MB, in order');
SELECT is((SELECT count(*) || ' ' || sum(s) FROM datahike.q('[:find ?k (sum ?i) :where [?e :a/id ?i] [?e :a/k ?k]]') AS t(k int, s int)), '400000 80000200000', 'as many groups');
SELECT cmp_ok(peak_kb() - :before, '<', 4000::bigint, 'in 4 MB more than a small answer takes');

SET work_mem = '256kB';

-- Rules whose argument is handed on are computed for some of its values after the other.
\set left '[[(r ?x ?y) [?e :edge/src ?x] [?e :edge/dst ?y]] [(r ?x ?y) (r ?x ?z) [?e :edge/src ?z] [?e :edge/dst ?y]]]'
\set right '[[(r ?x ?y) [?e :edge/src ?x] [?e :edge/dst ?y]] [(r ?x ?y) [?e :edge/src ?x] [?e :edge/dst ?z] (r ?z ?y)]]'
\set both '[[(r ?x ?y) [?e :edge/src ?x] [?e :edge/dst ?y]] [(r ?x ?y) (r ?x ?z) (r ?z ?y)]]'
CREATE TEMP TABLE connected AS WITH RECURSIVE r(x, y) AS (SELECT src, dst FROM plain_edge UNION SELECT x, dst FROM r JOIN plain_edge ON y = src) SELECT x, y FROM r;
SELECT peak_kb() AS before \gset
SELECT is((SELECT count(*) || ' ' || sum(x) || ' ' || sum(y::bigint * x) FROM datahike.q('[:find ?x ?y :in $ % :where (r ?x ?y)]', :'left') AS t(x int, y int)),
  (SELECT count(*) || ' ' || sum(x) || ' ' || sum(y::bigint * x) FROM connected), 'what is connected');
SELECT is((SELECT count(*) || ' ' || sum(x) || ' ' || sum(y::bigint * x) FROM datahike.q('[:find ?x ?y :in $ % :where (r ?x ?y)]', :'right') AS t(x int, y int)),
  (SELECT count(*) || ' ' || sum(x) || ' ' || sum(y::bigint * x) FROM connected), 'what is connected, the other way');
SELECT is((SELECT count(*) || ' ' || sum(n) FROM datahike.q('[:find ?x (count ?y) :in $ % :where (r ?x ?y) (not [?e :edge/dst ?y] [?e :edge/src 5])]', :'left') AS t(x int, n int)),
  (SELECT count(DISTINCT x) || ' ' || count(*) FROM connected WHERE y <> 6), 'counted by group, without some');
SELECT cmp_ok(peak_kb() - :before, '<', 8000::bigint, 'in 8 MB more: they would take 20 MB');
SELECT ok(EXISTS (SELECT FROM datahike.explain_q('[:find ?x ?y :in $ % :where (r ?x ?y)]', :'left') s WHERE s ^@ 'by parts'), 'by parts');
SELECT throws_ok(format('SELECT datahike.q_json(%L, %L)', '[:find ?x ?y :in $ % :where (r ?x ?y)]', :'both'), '53200', NULL, 'rules that hand on nothing must fit');
SELECT * FROM finish();
