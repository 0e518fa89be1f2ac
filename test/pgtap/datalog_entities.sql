-- Rows found by their entity are those that a scan of the whole table finds, whatever happened to them on whatever branch.
SELECT plan(30);
SET jit = off;

CREATE TABLE t (id int PRIMARY KEY, v int, n text) USING datahike;
INSERT INTO t SELECT i, i, CASE WHEN i % 3 > 0 THEN 'n' || i END FROM generate_series(1, 400) i;
CREATE TABLE u (id int) USING datahike;
INSERT INTO u VALUES (1);
CREATE TABLE entity AS SELECT e, id FROM datahike.q('[:find ?e ?i :where [?e :t/id ?i]]') AS t(e bigint, id int);
INSERT INTO entity SELECT e, -1 FROM datahike.q('[:find ?e :where [?e :u/id]]') AS t(e bigint);
INSERT INTO entity VALUES (7, -2), ((1::int8 << 42) + 1, -3);

-- What entities have looked up one by one and in one scan; both as text.
CREATE FUNCTION looked_up(db datahike.db) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT string_agg(e || ' ' || found::text, ',' ORDER BY e)
  FROM entity, LATERAL (SELECT datahike.q_json('[:find ?v . :in $ ?e :where [?e :t/v ?v]]', $1, e) AS found) f
  WHERE found <> 'null' $$;
CREATE FUNCTION scanned(db datahike.db) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT string_agg(e || ' ' || v, ',' ORDER BY e) FROM datahike.q('[:find ?e ?v :in $ :where [?e :t/v ?v]]', $1) AS q(e bigint, v int)
  WHERE e IN (SELECT e FROM entity) $$;
CREATE FUNCTION pulled(db datahike.db) RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT count(*) FROM (SELECT e, datahike.pull('[:t/n :t/v]', e, $1) AS p FROM entity WHERE e % 7 = 0) x
  WHERE p IS DISTINCT FROM (SELECT jsonb_strip_nulls(jsonb_build_object(':t/n', n, ':t/v', v))
    FROM datahike.q('[:find ?e ?v ?n :in $ :where [?e :t/v ?v] [(get-else $ ?e :t/n "-") ?n]]', $1) AS q(e2 bigint, v int, m text),
      LATERAL (SELECT nullif(m, '-') AS n) y WHERE e2 = x.e) $$;

SELECT datahike.commit_id() AS c0 \gset
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'as inserted');
SELECT is(datahike.q_json('[:find ?v . :in $ ?e :where [?e :t/v ?v]]', datahike.db(), (SELECT e FROM entity WHERE id = 5)), '5', 'one of them');
SELECT is(datahike.pull('[:t/n]', (SELECT e FROM entity WHERE id = 3)), NULL, 'a NULL');
SELECT is(pulled(datahike.db()), 0::bigint, 'pulled');
UPDATE t SET v = v + 1000 WHERE id % 5 = 0;
UPDATE t SET v = v + 1000 WHERE id % 10 = 0;
DELETE FROM t WHERE id % 11 = 0;
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'updated and deleted');
SELECT is(pulled(datahike.db()), 0::bigint, 'pulled');
SELECT datahike.commit_id() AS c1 \gset
SELECT datahike.create_branch('b');
UPDATE t SET v = v + 1 WHERE id % 4 = 0;
SET datahike.branch = 'b';
UPDATE t SET v = v + 2 WHERE id % 6 = 0;
UPDATE t SET n = 'b' WHERE id % 8 = 0;
DELETE FROM t WHERE id % 13 = 0;
RESET datahike.branch;
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'with another branch');
SELECT is(looked_up(datahike.db('b')), scanned(datahike.db('b')), 'on it');
SELECT is(looked_up(datahike.db(:'c0')), scanned(datahike.db(:'c0')), 'of the first commit');
SELECT is(looked_up(datahike.db(:'c1')), scanned(datahike.db(:'c1')), 'of the second');
SELECT is((SELECT status FROM datahike.merge('b', 'theirs')), 'merged', 'a merge');
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'after it');
SELECT is(pulled(datahike.db()), 0::bigint, 'pulled');
SELECT is(looked_up(datahike.db('b')), scanned(datahike.db('b')), 'the branch after it');
BEGIN;
UPDATE t SET v = -v WHERE id < 50;
DELETE FROM t WHERE id BETWEEN 50 AND 60;
SAVEPOINT s;
UPDATE t SET v = 0 WHERE id < 20;
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'not committed');
ROLLBACK TO s;
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'after ROLLBACK TO');
SELECT is(pulled(datahike.db()), 0::bigint, 'pulled');
ROLLBACK;
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'after ROLLBACK');
UPDATE t SET v = v + 5;
SELECT is(datahike.force_branch('db', :'c1') IS NOT NULL, true, 'a reset');
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'after it');
UPDATE t SET v = v + 7 WHERE id % 2 = 0;
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'and an update');
SET datahike.commit_id = :'c0';
SELECT is(looked_up(datahike.db()), scanned(datahike.db()), 'pinned');
SELECT is(looked_up(datahike.db('b')), scanned(datahike.db('b')), 'another one while pinned');
RESET datahike.commit_id;
SET datahike.history = on;
SELECT is(datahike.q_json('[:find (count ?v) . :in $ ?e :where [?e :t/v ?v]]', datahike.db(), (SELECT e FROM entity WHERE id = 20)), '4', 'history has all versions');
RESET datahike.history;
SELECT is(datahike.q_json('[:find ?v . :in $ ?e :where [?e :t/v ?v]]', datahike.db(), (SELECT e FROM entity WHERE id = -1)), 'null', 'a row of another table');
SELECT is(datahike.q_json('[:find [?n ...] :in $ ?e :where [?e :t/id ?i] [?e :t/n ?n]]', datahike.db(), (SELECT e FROM entity WHERE id = 7)), '["n7"]', 'two columns');
SELECT is(datahike.q_json('[:find (count ?e) . :in $ [?e ...] :where [?e :t/v ?v] (not [?e :t/n])]', datahike.db(), (SELECT array_agg(e) FROM entity WHERE id BETWEEN 1 AND 9)), '3', 'several entities');

-- The first version of a row may be collected: its entity stays.
CREATE TABLE g (id int PRIMARY KEY, v int) USING datahike;
INSERT INTO g SELECT i, i FROM generate_series(1, 300) i;
UPDATE g SET v = v + 1000;
UPDATE g SET v = v + 1000 WHERE id = 7;
SELECT e AS g7 FROM datahike.q('[:find ?e . :where [?e :g/id 7]]') AS t(e bigint) \gset
SELECT ok(commits > 0, 'commits are collected') FROM datahike.gc(now(), '0');
SELECT is(datahike.q_json('[:find ?v . :in $ ?e :where [?e :g/v ?v]]', datahike.db(), :g7), '2007', 'by its entity');
SELECT is(datahike.q_json('[:find [?i ?v] :in $ ?e :where [?e :g/id ?i] [?e :g/v ?v]]', datahike.db(), :g7), '[7, 2007]', 'two columns of it');
SELECT * FROM finish();
