-- What the reference says of models, clause by clause, where no other file does: defaults, errors before any work, the definitions, rotation, other
-- statements that score, values at the edges.
SELECT * FROM no_plan();
SET jit = off;
CREATE TABLE t (id int PRIMARY KEY, a float8, b int, c numeric) USING datahike;
INSERT INTO t SELECT i, sin(i), i % 17, i / 7.0 FROM generate_series(1, 1000) i;
SELECT datahike.create_model('m', 'SELECT a, b, c FROM t', contamination => 0.02);

-- Defaults.
SELECT datahike.create_model('said', 'SELECT a, b, c FROM t', 100, 256, 42, NULL, false);
SELECT datahike.create_model('unsaid', 'SELECT a, b, c FROM t');
SELECT is((SELECT forest FROM datahike_models.said), (SELECT forest FROM datahike_models.unsaid), 'defaults: 100 trees, 256 rows, seed 42, no contamination');
SELECT results_eq($$SELECT property, value FROM datahike.describe_model('unsaid') WHERE property IN ('contamination', 'threshold') ORDER BY 1$$,
  $$VALUES ('contamination', NULL), ('threshold', NULL)$$, 'described without a contamination');
SELECT lives_ok($$SELECT datahike.create_model('half', 'SELECT a, b, c FROM t', contamination => 0.5)$$, 'a contamination of one half');
SELECT is((SELECT count(*) FROM t WHERE anomaly_predict('half')), 500::int8, '... flags one half');

-- Definitions, computed from the scores of the training rows, which are all of the table.
SELECT ok(abs((SELECT value::float8 FROM datahike.describe_model('m') WHERE property = 'threshold') -
  (SELECT percentile_cont(0.98) WITHIN GROUP (ORDER BY anomaly_score('m')) FROM t)) < 1e-12, 'the threshold is the (1 - contamination)-quantile of the training scores');
SELECT is_empty($$WITH r AS (SELECT min(anomaly_score('m')) AS low, max(anomaly_score('m')) AS high FROM t)
  SELECT id FROM t, r WHERE abs(anomaly_proba('m', a, b, c) - (anomaly_score('m', a, b, c) - low) / (high - low)) > 1e-9$$, 'probability: where the score lies between the least and the greatest');
SELECT datahike.create_model('axes', 'SELECT i * (j = 0)::int AS x, i * (j = 1)::int AS y FROM generate_series(-100, 100) i, generate_series(0, 1) j', contamination => 0.1);
SELECT results_eq($$SELECT anomaly_score('axes', 100, 100) > value::float8, anomaly_proba('axes', 100, 100) FROM datahike.describe_model('axes') WHERE property = 'max_score'$$,
  $$VALUES (true, 1::float8)$$, '... no more than 1');
SELECT is_empty($$SELECT id FROM t WHERE anomaly_predict('m') <> (anomaly_score('m') > (SELECT threshold FROM datahike.models WHERE model_name = 'm'))$$, 'predicted: scores above the threshold');
-- Two values and a tree of two rows: every tree has one split and two leaves of one row, so the path is 1 = c(2), the score 1/2, and no path differs.
SELECT datahike.create_model('pair', 'SELECT * FROM (VALUES (0.0), (1.0)) v(x)', n_trees => 7);
SELECT is(array[anomaly_score('pair', 0), anomaly_score('pair', 1), anomaly_score('pair', 100)], array[0.5, 0.5, 0.5]::float8[], 'c(2) = 1: a path of 1 scores 2^-1');
SELECT is(anomaly_confidence('pair', 0), 1::float8, 'paths that are all the same: confidence 1');
-- One tree of eight equal rows and another one: the root splits the odd one off, whose path is 1; the others are a leaf of eight at depth 1.
SELECT datahike.create_model('odd one', 'SELECT CASE WHEN i = 9 THEN 100 ELSE 0 END AS x FROM generate_series(1, 9) i', n_trees => 3);
CREATE FUNCTION c(n float8) RETURNS float8 LANGUAGE sql AS 'SELECT 2 * (ln(n - 1) + 0.5772156649) - 2 * (n - 1) / n';
SELECT ok(abs(anomaly_score('odd one', 100) - power(2, -1 / c(9))) < 1e-12, 'a row alone after one split: 2^(-1/c(9))');
SELECT ok(abs(anomaly_score('odd one', 0) - power(2, -(1 + c(8)) / c(9))) < 1e-12, 'a leaf of eight rows adds c(8)');
SELECT is(anomaly_score('odd one', NULL::int), NULL, 'NULL alone: no score');
SELECT is(anomaly_score('odd one', 'NaN'::float8), anomaly_score('odd one', 0), 'NaN goes the way of the larger branch');
SELECT is(anomaly_score('odd one', 'Infinity'::float8), anomaly_score('odd one', 100), 'infinity is greater than any split');
SELECT is(anomaly_score('odd one', '-Infinity'::numeric), anomaly_score('odd one', 0), '... minus infinity less, as a numeric, too');
SELECT is(anomaly_score('m', NULL, 3, NULL) BETWEEN 0.01 AND 0.99, true, 'some NULLs: a finite score');

-- Values at the edges.
SELECT datahike.create_model('constant', 'SELECT a, 5 AS k, b FROM t');
SELECT is_empty($$SELECT id FROM t WHERE anomaly_score('constant', a, 5, b) <> anomaly_score('constant', a, id, b)$$, 'a feature that is constant never splits');
SELECT datahike.create_model('large', $$SELECT 9007199254740992 + i AS x FROM generate_series(0, 3) i$$);
SELECT is(anomaly_score('large', 9007199254740993), anomaly_score('large', 9007199254740992), 'integers beyond 2^53 are rounded as double precision is');
SELECT is(anomaly_score('large', 9007199254740993::numeric), anomaly_score('large', 9007199254740993::float8), '... of whatever type');
SELECT datahike.create_model('twice', 'SELECT a, b, c FROM t UNION ALL SELECT a, b, c FROM t', sample_size => 2000);
SELECT ok(bool_and(anomaly_score('twice') BETWEEN 0.01 AND 0.99), 'duplicates, and fewer rows than two samples') FROM t;
SELECT datahike.create_model('small', 'SELECT 1::int2 AS s, 2::int8 AS l, 3::float4 AS r, 4::numeric AS n');
SELECT is(anomaly_score('small', 1::int2, 2::int8, 3::float4, 4::numeric), 0.5::float8, 'every numeric type; one row');
SELECT throws_ok(format('SELECT anomaly_score(''pair'', %s)', v), '42804', NULL, v || ' is not numeric') FROM unnest('{true,now(),''1''::money,''1 day''::interval}'::text[]) v;

-- Errors come before any work: a query that has taken no step of the sequence has not been run.
CREATE SEQUENCE steps;
CREATE FUNCTION steps() RETURNS int8 LANGUAGE sql AS $$SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM steps$$;
CREATE FUNCTION idle(call text, code char(5), what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEXT throws_ok(call, code, NULL, what);
  RETURN NEXT is(steps(), 0::int8, '... before any work');
END $$;
SELECT idle($$SELECT datahike.create_model('m', 'SELECT nextval(''steps'') AS a FROM t')$$, '42710', 'create_model() of one that exists');
SELECT idle($$SELECT datahike.create_model('x', 'SELECT nextval(''steps'') AS a FROM t', contamination => 0.6)$$, '22023', 'a contamination above one half');
SELECT idle($$SELECT datahike.create_model('x', 'SELECT nextval(''steps'') AS a, id::text FROM t')$$, '42804', 'a column that is not numeric');
SELECT idle($$SELECT datahike.create_model('x', 'SELECT nextval(''steps'') AS a, id AS a FROM t')$$, '42701', 'two columns of one name');
SELECT idle($$SELECT datahike.create_model('x', 'SELECT nextval(''steps'') AS a INTO y FROM t')$$, '42601', 'SELECT INTO');
SELECT idle($$SELECT datahike.create_model('x', 'SELECT nextval(''steps'') AS a, no FROM t')$$, '42703', 'the query''s own error');
SELECT idle($$SELECT datahike.create_model('x', 'SELECT FROM t WHERE nextval(''steps'') > 0')$$, '22023', 'no columns');
SELECT idle($$SELECT datahike.rotate_model('m', 'SELECT nextval(''steps'') AS a, b FROM t')$$, '42883', 'rotation with fewer features');
SELECT idle($$SELECT datahike.rotate_model('m', 'SELECT nextval(''steps'') AS a, c, b FROM t')$$, '42703', '... with others');
SELECT idle($$SELECT datahike.rotate_model('m', 'SELECT nextval(''steps'') AS a, b, c FROM t', 0)$$, '22023', '... of no tree');
SELECT idle($$SELECT datahike.rotate_model('m', 'SELECT nextval(''steps'') AS a, b, c FROM t', 5, 'said')$$, '42710', '... into one that exists');
SELECT idle($$SELECT datahike.rotate_model('no', 'SELECT nextval(''steps'') AS a FROM t')$$, '42704', '... of an unknown model');
SELECT idle($$SELECT * FROM datahike.detect_anomalies('SELECT nextval(''steps'') AS a FROM t', 0.7)$$, '22023', 'detect_anomalies() with such a contamination');
SELECT idle($$SELECT anomaly_score('no', nextval('steps')) FROM t$$, '42704', 'a score of an unknown model');
SELECT idle($$SELECT nextval('steps'), anomaly_score('m', a, b) FROM t$$, '42883', '... with the wrong number of features');
SELECT idle($$SELECT nextval('steps'), anomaly_predict('said', a, b, c) FROM t$$, '22023', 'a prediction without a contamination');
SELECT idle($$SELECT nextval('steps'), anomaly_score('m', a, b, id::text) FROM t$$, '42804', 'a feature that is not numeric');
SELECT idle($$SELECT nextval('steps'), anomaly_score('m') FROM (SELECT a, b FROM t) x$$, '42703', 'a feature that is no column');
SELECT idle($$SELECT nextval('steps'), anomaly_score_weighted('m', 0, a, b, c) FROM t$$, '22023', 'a decay of 0');

-- Rotation is deterministic, and continues from where it was.
SELECT datahike.rotate_model('m', 'SELECT a, b, c FROM t WHERE id <= 400', new_name => 'r1');
SELECT datahike.rotate_model('m', 'SELECT a, b, c FROM t WHERE id <= 400', 10, 'r2');
SELECT is((SELECT forest FROM datahike_models.r1), (SELECT forest FROM datahike_models.r2), 'the same rotation gives the same forest; by default a tenth of the trees');
SELECT datahike.rotate_model('r1', 'SELECT a, b, c FROM t WHERE id <= 400');
SELECT isnt((SELECT forest FROM datahike_models.r1), (SELECT forest FROM datahike_models.r2), '... a second one grows others');
SELECT datahike.rotate_model('m', 'SELECT a, b, c FROM t WHERE id <= 400', 100, 'all');
SELECT is((SELECT n_trees FROM datahike.models WHERE model_name = 'all'), 100, 'all trees replaced');
SELECT is(anomaly_score_weighted('all', 0.5, 1, 2, 3), anomaly_score('all', 1, 2, 3), '... are of one age');

-- The same forest and scores with any number of threads and workers.
CREATE FUNCTION digest(model text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text;
BEGIN
  EXECUTE format('SELECT md5(forest) || (SELECT md5(string_agg(float8send(anomaly_score(%L, a, b, c))::text, '','' ORDER BY id)) FROM t) FROM datahike_models.%I', model, model) INTO d;
  RETURN d;
END $$;
SET datahike.threads = 1;
SET max_parallel_workers_per_gather = 0;
SELECT datahike.create_model('serial', 'SELECT a, b, c FROM t WHERE id % 3 > 0');
SELECT digest('serial') AS serial \gset
SET datahike.threads = 4;
SET max_parallel_workers_per_gather = 4;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT datahike.create_model('parallel', 'SELECT a, b, c FROM t WHERE id % 3 > 0');
SELECT is(digest('parallel'), :'serial', 'forest and scores, to the bit');
SELECT is(digest('serial'), :'serial', '... scored with more threads');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- Other statements that score.
CREATE FUNCTION long_scores() RETURNS TABLE (id int, s float8) LANGUAGE sql STABLE AS 'SELECT id, anomaly_score(''m'', a, b, c) FROM t';
SELECT set_eq($$SELECT anomaly_score('m') FROM (VALUES (1.0::float8, 2, 3.0), (0, 5, 9)) v(a, b, c)$$, $$SELECT unnest(array[anomaly_score('m', 1, 2, 3), anomaly_score('m', 0, 5, 9)])$$, 'the short form over VALUES');
SELECT set_eq($$WITH RECURSIVE r(a, b, c, n) AS (SELECT 0::float8, 1, 2.0, 1 UNION ALL SELECT a + 1, b, c, n + 1 FROM r WHERE n < 5) SELECT n, anomaly_score('m') FROM r$$,
  $$SELECT n, anomaly_score('m', n - 1, 1, 2) FROM generate_series(1, 5) n$$, '... over a recursive CTE');
SELECT set_eq($$SELECT id, first_value(anomaly_score('m')) OVER (PARTITION BY id) FROM t$$, 'SELECT * FROM long_scores()', '... in a window function');
SELECT results_eq($$SELECT DISTINCT ON (b) b, id FROM t ORDER BY b, anomaly_score('m') DESC, id$$, $$SELECT DISTINCT ON (b) b, id FROM t JOIN long_scores() USING (id) ORDER BY b, s DESC, id$$, '... in ORDER BY of DISTINCT ON');
SELECT set_eq($$SELECT id FROM t WHERE anomaly_score('m') = ANY (SELECT max(anomaly_score('m')) FROM t)$$, 'SELECT id FROM long_scores() WHERE s = (SELECT max(s) FROM long_scores())', '... in a subquery of WHERE');
SELECT set_eq($$SELECT id, anomaly_score('m') FROM t WHERE id < 5 UNION SELECT id, anomaly_score('m') FROM t WHERE id BETWEEN 3 AND 9$$, 'SELECT * FROM long_scores() WHERE id < 10', '... in UNION');
SELECT results_eq($$SELECT b, max(anomaly_score('m')) FILTER (WHERE anomaly_predict('m')) FROM t GROUP BY b HAVING bool_or(anomaly_predict('m')) ORDER BY 1$$,
  $$SELECT b, max(s) FROM t JOIN long_scores() USING (id) WHERE s > (SELECT threshold FROM datahike.models WHERE model_name = 'm') GROUP BY b ORDER BY 1$$, '... in FILTER and HAVING');
CREATE TABLE made AS SELECT id, anomaly_score('m') AS s FROM t;
SELECT set_eq('SELECT * FROM made', 'SELECT * FROM long_scores()', 'CREATE TABLE AS');
DELETE FROM made;
INSERT INTO made SELECT id, anomaly_score('m') FROM t;
SELECT set_eq('SELECT * FROM made', 'SELECT * FROM long_scores()', 'INSERT ... SELECT');
SELECT lives_ok($$COPY (SELECT id, anomaly_score('m') FROM t) TO '/dev/null'$$, 'COPY of a query');
CREATE FUNCTION scored_rows() RETURNS SETOF float8 LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN FOR r IN SELECT id, anomaly_score('m') AS s FROM t LOOP RETURN NEXT r.s; END LOOP; END $$;
SELECT set_eq('SELECT * FROM scored_rows()', 'SELECT s FROM long_scores()', 'a loop of PL/pgSQL');
CREATE TABLE part (id int, a float8, b int, c numeric) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (500);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (500) TO (2000) USING heap;
INSERT INTO part SELECT * FROM t;
SELECT set_eq($$SELECT id, anomaly_score('m') FROM part$$, 'SELECT * FROM long_scores()', 'a partitioned table');
SELECT results_eq($$SELECT anomaly_score(NULL, 1, 2, 3), anomaly_score_weighted('m', NULL, 1, 2, 3)$$, 'VALUES (NULL::float8, NULL::float8)', 'no model or decay: no score');

-- Transactions and other views.
BEGIN;
SELECT datahike.rotate_model('m', 'SELECT a * 10 AS a, b, c FROM t', 60);
SAVEPOINT s;
INSERT INTO made VALUES (-1, 0);
SELECT isnt(anomaly_score('m', 1, 2, 3), (SELECT anomaly_score('said', 1, 2, 3)), 'rotated in this transaction');
SELECT datahike.drop_model('m');
ROLLBACK TO s;
SELECT is((SELECT rotations FROM datahike.models WHERE model_name = 'm'), 1, '... a savepoint keeps that');
ROLLBACK;
SELECT is(anomaly_score('m', 1, 2, 3), anomaly_score('said', 1, 2, 3), 'ROLLBACK undoes a rotation');
BEGIN;
SELECT datahike.create_model('later', 'SELECT a FROM t');
PREPARE TRANSACTION 'p';
SELECT throws_ok('SELECT anomaly_score(''later'', 1)', '42704', NULL, 'a model of a transaction that is prepared');
COMMIT PREPARED 'p';
SELECT is(anomaly_score('later', 1) > 0, true, '... is there when it is committed');
SELECT commit_id AS made FROM datahike.log() ORDER BY tx DESC LIMIT 1 \gset
SELECT tx AS tx FROM datahike.log() ORDER BY tx DESC LIMIT 1 \gset
SELECT datahike.drop_model('later');
SET datahike.as_of = :'tx';
SELECT is(anomaly_score('later', 1) > 0, true, 'as of a transaction');
RESET datahike.as_of;
SET datahike.commit_id = :'made';
SELECT is(anomaly_score('later', 1) > 0, true, '... at its commit');
RESET datahike.commit_id;
SET datahike.history = on;
SELECT throws_ok('SELECT anomaly_score(''r1'', 1, 2, 3)', '55000', NULL, 'history has several versions of a model that was rotated');
RESET datahike.history;
SELECT throws_ok('SELECT anomaly_score(''later'', 1)', '42704', NULL, 'and it is gone again');
SELECT * FROM finish();
