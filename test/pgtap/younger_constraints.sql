-- Rows of the past need not satisfy what has been demanded since: keys, partition bounds, and the constraints that a fast-forward would bring
-- rows in despite of.
SELECT plan(37);
CREATE TABLE a (id int PRIMARY KEY);
INSERT INTO a SELECT generate_series(1, 3);
CREATE TABLE t (id int NOT NULL, v text);
INSERT INTO t VALUES (1, 'a'), (1, 'b'), (2, 'c');
CREATE TABLE p (k int, v text) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1, 2);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (3);
INSERT INTO p VALUES (1, 'one'), (2, 'two'), (3, 'three');
CREATE TABLE r (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (100);
CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (100) TO (200);
INSERT INTO r SELECT g, 'r' FROM generate_series(0, 199) g;
CREATE INDEX ON r (k);
SELECT datahike.commit_id() AS before \gset
SELECT datahike.tag('before', 'db') \g /dev/null
DELETE FROM t WHERE v = 'b';
ALTER TABLE t ADD PRIMARY KEY (id);
DELETE FROM p WHERE k = 2;
ALTER TABLE p DETACH PARTITION p1;
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);
DELETE FROM r;
ALTER TABLE r DETACH PARTITION r1;
ALTER TABLE r DETACH PARTITION r2;
ALTER TABLE r ATTACH PARTITION r1 FOR VALUES FROM (100) TO (200);
ALTER TABLE r ATTACH PARTITION r2 FOR VALUES FROM (0) TO (100);
ANALYZE a, t, p, r;

-- Each query under each way to look at the past. No join is left out or stopped, no column dropped, no partition passed over.
CREATE FUNCTION under_past(query text, expected text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
  PERFORM set_config('datahike.commit_id', (SELECT commit_id::text FROM datahike.commit_info('before')), true);
  EXECUTE replace(replace(replace(query, '{t}', 't'), '{p}', 'p'), '{r}', 'r') INTO found;
  PERFORM set_config('datahike.commit_id', '', true);
  RETURN NEXT is(found, expected, what || ', by commit_id');
  PERFORM set_config('datahike.as_of', (SELECT tx::text FROM datahike.commit_info('before')), true);
  EXECUTE replace(replace(replace(query, '{t}', 't'), '{p}', 'p'), '{r}', 'r') INTO found;
  PERFORM set_config('datahike.as_of', '', true);
  RETURN NEXT is(found, expected, what || ', by as_of');
  EXECUTE regexp_replace(query, '\{(.)\}', $r$datahike.at(NULL::\1, 'before')$r$, 'g') INTO found;
  RETURN NEXT is(found, expected, what || ', by at()');
END $$;
SELECT under_past('SELECT count(*)::text FROM a LEFT JOIN {t} x USING (id)', '4', 'a join that nothing is used of');
SELECT under_past('SELECT string_agg(v, '','' ORDER BY v) FROM a JOIN {t} x USING (id)', 'a,b,c', 'a join');
SELECT under_past('SELECT count(*)::text FROM (SELECT id, v FROM {t} x GROUP BY id, v) g', '3', 'GROUP BY with a key');
SELECT under_past('SELECT count(*)::text FROM (SELECT DISTINCT a.id, x.id AS other FROM a LEFT JOIN {t} x USING (id)) d', '3', 'DISTINCT over a join');
SET plan_cache_mode = force_generic_plan;
SELECT under_past('SELECT string_agg(v, '','') FROM {p} x WHERE k = 2', 'two', 'a row outside the bounds of today');
SELECT under_past('SELECT string_agg(v, '','') FROM {p} x WHERE k = (SELECT 2)', 'two', 'found at run time');
SET enable_sort = off;
SET enable_hashagg = off;
SELECT under_past('SELECT string_agg(k::text, '','') FROM (SELECT k FROM {r} x WHERE k % 60 = 50 ORDER BY k) o', '50,110,170', 'partitions in another order than that of their bounds');
RESET enable_sort;
RESET enable_hashagg;

-- Plans that are kept.
PREPARE joined AS SELECT count(*) FROM a LEFT JOIN t USING (id);
PREPARE pruned AS SELECT count(*) FROM p WHERE k = 2;
SELECT results_eq('EXECUTE joined', 'VALUES (3::bigint)', 'of the present, a plan leaves a join out');
SELECT results_eq('EXECUTE pruned', 'VALUES (0::bigint)', 'or a partition');
SET datahike.commit_id = :'before';
SELECT results_eq('EXECUTE joined', 'VALUES (4::bigint)', 'and is made anew for the past');
SELECT results_eq('EXECUTE pruned', 'VALUES (1::bigint)', 'in both cases');
RESET datahike.commit_id;
SELECT is((SELECT count(*) FROM (SELECT 1 FROM a LEFT JOIN t USING (id)) q), 3::bigint, 'back in the present');
RESET plan_cache_mode;

-- A fast-forward to a commit that is older than a constraint.
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY, n int, u int, f int);
INSERT INTO parent VALUES (1);
INSERT INTO c VALUES (1, 1, 1, 1);
SELECT datahike.create_branch('ahead') \g /dev/null
SET datahike.branch = 'ahead';
INSERT INTO c VALUES (2, -1, 2, 1);
SELECT datahike.commit_id() AS negative \gset
UPDATE c SET n = NULL WHERE id = 2;
SELECT datahike.commit_id() AS missing \gset
UPDATE c SET n = 2, u = 1 WHERE id = 2;
SELECT datahike.commit_id() AS twice \gset
UPDATE c SET u = 2, f = 7 WHERE id = 2;
SELECT datahike.commit_id() AS orphan \gset
UPDATE c SET f = 1 WHERE id = 2;
RESET datahike.branch;
ALTER TABLE c ALTER n SET NOT NULL;
SELECT is((SELECT status FROM datahike.merge(:'missing')), 'conflicts', 'a value that is missing now is not brought in by a fast-forward');
ALTER TABLE c ADD CHECK (n > 0), ADD UNIQUE (u), ADD FOREIGN KEY (f) REFERENCES parent;
SELECT is((SELECT status FROM datahike.merge(:'negative')), 'conflicts', 'nor one that a CHECK forbids');
SELECT is((SELECT status FROM datahike.merge(:'twice')), 'conflicts', 'nor a value that is there');
SELECT is((SELECT status FROM datahike.merge(:'orphan')), 'conflicts', 'nor a row without its parent');
SELECT results_eq('SELECT id FROM c', 'VALUES (1)', 'nothing is changed');
SELECT is((SELECT status || ' ' || inserted FROM datahike.merge('ahead')), 'fast-forward 1', 'what satisfies all of them is');
SELECT is(datahike.commit_id(), (SELECT commit_id FROM datahike.log('ahead', 1)), 'without a commit of its own');

-- Functions in SQL plan all their statements before the first is run.
CREATE TABLE k (k int, v text);
INSERT INTO k VALUES (1, 'x'), (1, 'y'), (2, 'z');
CREATE TABLE asks (x int);
INSERT INTO asks VALUES (1), (2);
SELECT max(tx) AS duplicates FROM datahike.log() \gset
DELETE FROM k WHERE v = 'y';
CREATE UNIQUE INDEX ON k (k);
CREATE FUNCTION then_count(setting text, value text) RETURNS bigint LANGUAGE sql AS
  $$SELECT set_config(setting, value, true); SELECT count(*) FROM asks a LEFT JOIN k ON a.x = k.k$$;
SELECT throws_ok(format('SELECT then_count(''datahike.as_of'', %L)', :'duplicates'), '0A000', NULL, 'a plan of the present is not run in the past');
SELECT throws_ok($$SELECT then_count('datahike.history', 'on')$$, '0A000', NULL, 'nor in history');
SELECT is(then_count('application_name', 'present'), 2::bigint, 'other settings do no harm');
SET datahike.as_of = :duplicates;
SELECT is(then_count('application_name', 'past'), 3::bigint, 'where the setting is there before, it is planned for the past');
RESET datahike.as_of;
SELECT * FROM finish();
