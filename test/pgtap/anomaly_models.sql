-- Isolation forests: models in branches, commits and transactions, who may use them, and what is refused.
SELECT * FROM no_plan();

CREATE TABLE t (id int PRIMARY KEY, a float8, b int, c numeric) USING datahike;
INSERT INTO t SELECT i, sin(i), i % 17, i / 7.0 FROM generate_series(1, 2000) i;
CREATE TABLE h USING heap AS SELECT * FROM t;

-- Making and describing.
SELECT is(datahike.create_model('m', 'SELECT a, b, c FROM t', contamination => 0.02), 'm', 'create_model() returns the name');
SELECT results_eq($$SELECT model_name, model_type, n_trees, sample_size, n_features, features, training_rows, owner = current_user FROM datahike.models$$,
  $$VALUES ('m', 'isolation forest', 100, 256, 3, '{a,b,c}'::text[], 2000::int8, true)$$, 'models lists it');
SELECT results_eq($$SELECT property, value FROM datahike.describe_model('m') WHERE property NOT IN ('threshold', 'min_score', 'max_score', 'trained_at')$$,
  $$VALUES ('model_name', 'm'), ('model_type', 'isolation forest'), ('n_trees', '100'), ('sample_size', '256'), ('n_features', '3'),
           ('features', 'a, b, c'), ('contamination', '0.02'), ('seed', '42'), ('training_rows', '2000'), ('rotations', '0')$$, 'describe_model() describes it');
SELECT is((SELECT count(*) FROM t WHERE anomaly_predict('m', a, b, c)), 40::int8, 'as many rows are anomalies as the contamination says');
SELECT is((SELECT count(*) FROM t WHERE anomaly_score('m', a, b, c) > (SELECT threshold FROM datahike.models)), 40::int8, '... which are those above the threshold');
SELECT is((SELECT array[min(p), max(p)] FROM (SELECT anomaly_proba('m', a, b, c) p FROM t) x), array[0, 1]::float8[], 'probabilities go from 0 to 1');
SELECT ok(bool_and(s > 0 AND s < 1 AND f > 0 AND f <= 1), 'scores and confidences are between 0 and 1')
  FROM (SELECT anomaly_score('m', a, b, c) s, anomaly_confidence('m', a, b, c) f FROM t) x;
SELECT is(anomaly_score_weighted('m', 0.5, 1, 2, 3), anomaly_score('m', 1, 2, 3), 'without rotations all trees weigh the same');

-- The same seed and rows give the same forest, from tables of any kind.
SELECT datahike.create_model('again', 'SELECT a, b, c FROM t', contamination => 0.02);
SELECT datahike.create_model('heap', 'SELECT a, b, c FROM h ORDER BY id', contamination => 0.02);
SELECT datahike.create_model('other', 'SELECT a, b, c FROM t', contamination => 0.02, seed => 43);
SELECT is((SELECT count(DISTINCT forest) FROM (SELECT forest FROM datahike_models.m UNION ALL SELECT forest FROM datahike_models.again
  UNION ALL SELECT forest FROM datahike_models.heap) x), 1::int8, 'the same seed and rows give the same forest');
SELECT isnt((SELECT forest FROM datahike_models.m), (SELECT forest FROM datahike_models.other), 'another seed another one');

-- Where a call may stand, over tables of all kinds.
CREATE VIEW scored AS SELECT id, anomaly_score('m') AS s FROM t;
CREATE MATERIALIZED VIEW kept AS SELECT id, anomaly_score('m') AS s FROM t;
CREATE FUNCTION long_scores() RETURNS TABLE (id int, s float8) LANGUAGE sql STABLE AS 'SELECT id, anomaly_score(''m'', a, b, c) FROM t';
CREATE FUNCTION compare(query text, what text) RETURNS text LANGUAGE sql AS $$
  SELECT set_eq(query, 'SELECT id, s FROM long_scores()', what) $$;
SELECT compare('SELECT id, anomaly_score(''m'') FROM t', 'short form in SELECT');
SELECT compare('SELECT id, anomaly_score(''m'') FROM h', '... over a heap table');
SELECT compare('SELECT x.id, anomaly_score(''m'') FROM t AS x', '... with an alias');
SELECT compare('SELECT id, anomaly_score(''m'') FROM (SELECT c, b, a, id FROM t) x', '... over a subquery');
SELECT compare('SELECT id, anomaly_score(''m'') FROM (SELECT id, a AS z, b, c FROM t) AS x(id, a)', '... with column aliases');
SELECT compare('WITH q AS (SELECT * FROM t) SELECT id, anomaly_score(''m'') FROM q', '... over a CTE');
SELECT compare('WITH q AS (SELECT id, anomaly_score(''m'') s FROM t) SELECT * FROM q', '... in a CTE');
SELECT compare('SELECT id, anomaly_score(''m'') FROM (SELECT id, a FROM t) x JOIN (SELECT id, b, c FROM t) y USING (id)', '... over a join');
SELECT compare('SELECT id, anomaly_score(''m'') FROM (SELECT id, a FROM t) x LEFT JOIN (SELECT id AS i, b, c FROM h) y ON id = i', '... over an outer join');
SELECT compare('SELECT x.id, s FROM t x, LATERAL (SELECT anomaly_score(''m'')) y(s)', '... from the query around');
SELECT compare('SELECT id, (SELECT anomaly_score(''m'')) FROM t', '... in a scalar subquery');
SELECT compare('SELECT id, s FROM scored', '... in a view');
SELECT compare('SELECT id, s FROM kept', '... in a materialised view');
INSERT INTO t VALUES (0, 7, 7, 7);
REFRESH MATERIALIZED VIEW kept;
SELECT compare('SELECT id, s FROM kept', '... that is refreshed');
DELETE FROM t WHERE id = 0;
SELECT compare('SELECT id, anomaly_score(''m'', VARIADIC array[a, b, c]::float8[]) FROM t', 'features as an array');
SELECT compare('SELECT column1, anomaly_score(''m'', column2, column3, column4) FROM (VALUES ' ||
  (SELECT string_agg(format('(%s, %s::float8, %s, %s::numeric)', id, a, b, c), ', ') FROM t) || ') v', 'VALUES');
SELECT is((SELECT count(*) FROM t x JOIN t y ON x.id = y.id AND anomaly_score('m', x.a, x.b, y.c) > 0.55),
  (SELECT count(*) FROM long_scores() WHERE s > 0.55), 'in the condition of a join');
SELECT results_eq($$SELECT anomaly_predict('m'), count(*) FROM t GROUP BY 1 ORDER BY 1$$, $$VALUES (false, 1960::int8), (true, 40::int8)$$, 'short form in GROUP BY');
SELECT results_eq($$SELECT b FROM t GROUP BY b HAVING max(anomaly_score('m')) > 0.55 ORDER BY 1$$,
  $$SELECT b FROM t JOIN long_scores() USING (id) GROUP BY b HAVING max(s) > 0.55 ORDER BY 1$$, '... in an aggregate in HAVING');
SELECT results_eq($$SELECT id FROM t ORDER BY anomaly_score('m') DESC, id LIMIT 5$$, $$SELECT id FROM long_scores() ORDER BY s DESC, id LIMIT 5$$, '... in ORDER BY');
SELECT results_eq($$SELECT anomaly_score('m') = anomaly_score('m', b, a, c), anomaly_score('m', 1, 2, 3) = anomaly_score('m', 3, 2, 1) FROM t WHERE id = 1$$,
  $$VALUES (false, false)$$, 'calls with other arguments are independent');
PREPARE p(int) AS SELECT anomaly_score('m') FROM t WHERE id = $1;
SELECT results_eq('EXECUTE p(5)', 'SELECT s FROM long_scores() WHERE id = 5', 'a prepared statement');
PREPARE by_name(text) AS SELECT anomaly_score($1, a, b, c) FROM t WHERE id = 5;
SELECT results_eq('EXECUTE by_name(''m'')', 'SELECT s FROM long_scores() WHERE id = 5', 'the model as a parameter');
SELECT results_eq('EXECUTE by_name(''other'')', 'SELECT anomaly_score(''other'') FROM t WHERE id = 5', '... another one');
ALTER TABLE t ADD s float8;
UPDATE t SET s = anomaly_score('m') WHERE id <= 10;
SELECT set_eq('SELECT id, s FROM t WHERE id <= 10', 'SELECT id, s FROM long_scores() WHERE id <= 10', 'in UPDATE SET');
CREATE FUNCTION set_score() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.s := anomaly_score('m', NEW.a, NEW.b, NEW.c); RETURN NEW; END $$;
CREATE TRIGGER score BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION set_score();
SELECT results_eq($$INSERT INTO t (id, a, b, c) VALUES (9999, 50, 1, 1) RETURNING s = anomaly_score('m')$$, 'VALUES (true)', 'in a trigger, and RETURNING');
DELETE FROM t WHERE id = 9999;
SELECT throws_ok('CREATE TABLE g (a float8, s float8 GENERATED ALWAYS AS (anomaly_score(''m'', a, a, a)) STORED)', '42P17', NULL, 'no generated column: models may change');
SELECT lives_ok('DECLARE cur CURSOR WITH HOLD FOR SELECT id, anomaly_score(''m'') FROM t', 'a cursor');
SELECT is(count(*), 2001::int8 - 1, 'COPY and EXPLAIN know the short form, too')
  FROM (SELECT query_to_xml('SELECT id, anomaly_score(''m'') AS s FROM t', true, false, '') x) d, xmltable('/table/row' PASSING x COLUMNS s float8) r WHERE r.s > 0;

-- What is refused, and by which code.
SELECT throws_ok('SELECT anomaly_score(''m'', 1, 2)', '42883', 'model "m" has 3 features, but 2 were given', 'too few features');
SELECT throws_ok('SELECT anomaly_score(''m'', 1, 2, 3, 4) FROM t WHERE false', '42883', 'model "m" has 3 features, but 4 were given', 'too many, also where no row is scored');
SELECT throws_ok('SELECT anomaly_score(''m'', VARIADIC array[1.0, 2])', '42883', NULL, 'likewise in an array');
SELECT throws_ok('SELECT anomaly_score(''no'', 1) FROM t WHERE false', '42704', 'model not found: no', 'an unknown model');
SELECT throws_ok('SELECT anomaly_score(''no'') FROM t', '42704', 'model not found: no', '... in the short form');
SELECT throws_ok('SELECT anomaly_score(''m'', 1, 2, ''x''::text)', '42804', 'feature 3 is of type text, which is not numeric', 'a feature that is not numeric');
SELECT throws_ok('SELECT anomaly_score(''m'') FROM (SELECT a, b, c::text FROM t) x', '42804', NULL, '... in the short form');
SELECT throws_ok('SELECT anomaly_score(''m'') FROM (SELECT a, b FROM t) x', '42703', 'column "c" does not exist', 'a feature that is no column');
SELECT throws_ok('SELECT anomaly_score(''m'')', '42703', NULL, 'no FROM clause');
SELECT throws_ok('SELECT x.s FROM t, (SELECT anomaly_score(''m'')) x(s)', '42703', NULL, 'FROM of the query around is not seen without LATERAL');
SELECT throws_ok('SELECT anomaly_score(''m'') FROM t x JOIN t y USING (id)', '42702', 'column reference "a" is ambiguous', 'a feature that is two columns');
SELECT throws_ok('SELECT b, anomaly_score(''m'') FROM t GROUP BY b', '42803', NULL, 'a feature that is not grouped by');
SELECT throws_ok('SELECT anomaly_score(b::text) FROM t', '0A000', NULL, 'the short form with a model that is not named');
SELECT throws_ok('SELECT anomaly_predict(''nc'', 1)', '42704', NULL, 'no model');
SELECT datahike.create_model('nc', 'SELECT a FROM t');
SELECT throws_ok('SELECT anomaly_predict(''nc'', 1)', '22023', NULL, 'predictions need a contamination');
SELECT is(anomaly_proba('nc', 1), anomaly_score('nc', 1), 'probabilities without contamination are scores');
SELECT throws_ok('SELECT anomaly_score_weighted(''m'', 0, 1, 2, 3)', '22023', NULL, 'a decay of 0');
SELECT throws_ok('SELECT anomaly_score_weighted(''m'', 1.5, 1, 2, 3)', '22023', NULL, 'a decay above 1');
SELECT throws_ok('SELECT datahike.create_model(''m'', ''SELECT a FROM t'')', '42710', 'model already exists: m', 'a model that exists');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''SELEC 1'')', '42601', NULL, 'no SQL');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''SELECT no FROM t'')', '42703', NULL, 'the query''s own error');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''SELECT 1/0 FROM t'')', '22012', NULL, '... also while it runs');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''SELECT 1; SELECT 2'')', '42601', NULL, 'two queries');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''DELETE FROM t RETURNING id'')', '42601', NULL, 'a query that changes something');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''WITH d AS (DELETE FROM t RETURNING id) SELECT id FROM d'')', '42601', NULL, '... in WITH');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''SELECT a FROM t WHERE false'')', '22023', 'the training query returned no rows', 'no rows');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''SELECT id::text FROM t'')', '42804', NULL, 'a column that is not numeric');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''SELECT a, a FROM t'')', '42701', NULL, 'two features of one name');
SELECT throws_ok(format('SELECT datahike.create_model(''x'', ''SELECT a FROM t'', %s)', o), '22023', NULL, o)
  FROM unnest('{contamination => 0,contamination => 0.51,contamination => ''NaN'',n_trees => 0,sample_size => 0,n_trees => 10001,sample_size => 65537}'::text[]) o;
SELECT throws_ok('SELECT datahike.create_model('''', ''SELECT a FROM t'')', '42602', NULL, 'no name');
SELECT throws_ok('SELECT datahike.rotate_model(''m'', ''SELECT a, b FROM t'')', '42883', NULL, 'rotation with fewer features');
SELECT throws_ok('SELECT datahike.rotate_model(''m'', ''SELECT b, a, c FROM t'')', '42703', NULL, '... with others');
SELECT throws_ok('SELECT datahike.rotate_model(''m'', ''SELECT a, b, c FROM t'', 101)', '22023', NULL, '... of more trees than there are');
SELECT throws_ok('SELECT datahike.drop_model(''no'')', '42704', NULL, 'drop_model() of none');
SELECT is(datahike.drop_model('no', true), false, '... if it exists');
SELECT is((SELECT count(*) FROM t), 2000::int8, 'nothing has changed the table');

-- Values of all kinds give finite scores.
CREATE TABLE odd (x float8, y int8) USING datahike;
INSERT INTO odd SELECT nullif(i % 7, 0), 9007199254740993 + i FROM generate_series(1, 300) i;
INSERT INTO odd VALUES ('NaN', 1), ('Infinity', 2), ('-Infinity', NULL), (NULL, 9223372036854775807), (1e308, -9223372036854775808), (NULL, NULL);
SELECT datahike.create_model('odd', 'SELECT x, y FROM odd', contamination => 0.02);
SELECT is((SELECT array_agg(DISTINCT (anomaly_score('odd') > 0 AND anomaly_score('odd') < 1)) FROM odd), array[true, NULL], 'all scores are finite; that of a row without any value is NULL');
SELECT is((SELECT count(*) FROM odd WHERE anomaly_score('odd') IS NULL), 1::int8, '... for the row without any value alone');
SELECT datahike.create_model('one', 'SELECT 1 AS a');
SELECT datahike.create_model('two', 'VALUES (1), (2)');
SELECT datahike.create_model('same', 'SELECT 5 AS a FROM generate_series(1, 1000)');
SELECT results_eq($$SELECT DISTINCT s FROM unnest(array[anomaly_score('one', 1), anomaly_score('one', 7), anomaly_score('two', 1), anomaly_score('same', 5), anomaly_score('same', 7), anomaly_score_weighted('same', 0.5, 5)]) s$$,
  $$VALUES (0.5::float8)$$, 'one row, two rows, rows that are all the same');
SELECT results_eq($$SELECT DISTINCT anomaly_confidence('same', x) FROM generate_series(1, 50) x$$, $$VALUES (1::float8)$$, '... of which the trees agree');
SELECT datahike.create_model('wide', (SELECT 'SELECT ' || string_agg(format('sin(i * %s) AS f%s', f, f), ', ') || ' FROM generate_series(1, 300) i' FROM generate_series(1, 200) f));
SELECT is((SELECT n_features FROM datahike.models WHERE model_name = 'wide'), 200, '200 features');
CREATE FUNCTION wide_query(call text) RETURNS text LANGUAGE sql AS $$
  SELECT 'SELECT ' || call || ' FROM (SELECT ' || string_agg(format('sin(i * %s) AS f%s', f, f), ', ') || ' FROM generate_series(1, 20) i) x' FROM generate_series(1, 200) f $$;
SELECT results_eq(wide_query('anomaly_score(''wide'')'), wide_query('anomaly_score(''wide'', VARIADIC array[' || (SELECT string_agg('f' || f, ',') FROM generate_series(1, 200) f) || '])'), '... scored');

-- Transactions, branches, commits.
BEGIN;
SELECT datahike.create_model('gone', 'SELECT a FROM t');
SELECT is(anomaly_score('gone', 1) > 0, true, 'a model is there in its transaction');
SAVEPOINT s;
SELECT datahike.drop_model('gone');
SELECT throws_ok('SELECT anomaly_score(''gone'', 1)', '42704', NULL, 'dropped');
ROLLBACK TO s;
SELECT is(anomaly_score('gone', 1) > 0, true, '... and back');
ROLLBACK;
SELECT throws_ok('SELECT anomaly_score(''gone'', 1)', '42704', NULL, 'ROLLBACK undoes create_model()');
BEGIN;
SELECT anomaly_score('m', 1, 2, 3) AS before \gset
SELECT datahike.create_model('m', 'SELECT a, b, c FROM t WHERE id < 100', replace => true);
SELECT isnt(anomaly_score('m', 1, 2, 3), :before::float8, 'a replaced model');
ROLLBACK;
SELECT is(anomaly_score('m', 1, 2, 3), :before::float8, '... and the old one again');
SELECT datahike.commit_id() AS first \gset
SELECT datahike.create_branch('dev');
SET datahike.branch = 'dev';
SELECT datahike.create_model('m', 'SELECT b AS x FROM t', replace => true, n_trees => 10);
SELECT datahike.create_model('of_dev', 'SELECT b FROM t');
SELECT is((SELECT features FROM datahike.models WHERE model_name = 'm'), '{x}', 'a branch has its own model');
SELECT throws_ok('EXECUTE p(5)', '42703', 'column "x" does not exist', 'a prepared statement looks for the features that the model has now');
RESET datahike.branch;
SELECT is((SELECT features FROM datahike.models WHERE model_name = 'm'), '{a,b,c}', '... the default branch the old one');
SELECT is((SELECT count(*) FROM datahike.models WHERE model_name = 'of_dev'), 0::int8, '... and none that another branch has made');
SELECT results_eq('EXECUTE p(5)', 'SELECT s FROM long_scores() WHERE id = 5', 'the prepared statement again');
SELECT datahike.create_model('m', 'SELECT c, b, a FROM t', replace => true, n_trees => 5);
SELECT results_eq('EXECUTE p(5)', 'SELECT anomaly_score(''m'', c, b, a) FROM t WHERE id = 5', 'after a replacement, too, by names');
SELECT datahike.drop_model('m');
SELECT throws_ok('SELECT anomaly_score(''m'', 1, 2, 3)', '42704', NULL, 'dropped');
SET datahike.commit_id = :'first';
SELECT is(anomaly_score('m', 1, 2, 3), :before::float8, 'an older commit still has it');
SELECT throws_ok('SELECT datahike.create_model(''x'', ''SELECT a FROM t'')', '25006', NULL, 'no model is made under a pinned view');
SELECT throws_ok('SELECT datahike.drop_model(''m'')', '25006', NULL, '... or dropped');
RESET datahike.commit_id;
SELECT is((SELECT m.forest IS NOT NULL FROM datahike.at(NULL::datahike_models.m, :'first') m), true, 'at() reads models');
SELECT is(datahike.create_model('m', 'SELECT a, b, c FROM t', contamination => 0.02), 'm', 'made again');
SELECT is((SELECT count(*) FROM datahike.verify() WHERE status <> 'ok'), 0::int8, 'verify() finds nothing wrong');
SELECT is((SELECT status FROM datahike.merge('dev')), 'conflicts', 'a merge notices that both branches have changed a model');
SELECT datahike.create_branch('fine');
SET datahike.branch = 'fine';
SELECT datahike.create_model('merged', 'SELECT b FROM t');
RESET datahike.branch;
SELECT is((SELECT status FROM datahike.merge('fine')), 'fast-forward', 'a merge');
SELECT is(anomaly_score('merged', 5) > 0, true, '... brings a model along');

-- Within a function, after a statement of its own.
CREATE FUNCTION train_and_score() RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE s float8;
BEGIN
  PERFORM datahike.create_model('inner', 'SELECT a FROM t', n_trees => 10);
  EXECUTE 'SELECT max(anomaly_score(''inner'')) FROM t' INTO s;
  PERFORM anomaly_score('inner', 1);
  PERFORM datahike.drop_model('inner');
  RETURN s;
END $$;
SELECT is(train_and_score() > 0.5, true, 'a function makes a model and uses it');

-- Rotation.
SELECT anomaly_score('m', 1, 2, 3) AS before \gset
SELECT is(datahike.rotate_model('m', 'SELECT a * 100 AS a, b, c FROM t', 30, 'rotated'), 'rotated', 'rotation into a new model');
SELECT is(anomaly_score('m', 1, 2, 3), :before::float8, '... leaves the old one alone');
SELECT isnt(anomaly_score('rotated', 1, 2, 3), :before::float8, '... and is another');
SELECT isnt(anomaly_score_weighted('rotated', 0.1, 1, 2, 3), anomaly_score('rotated', 1, 2, 3), 'newer trees weigh more');
SELECT is(anomaly_score_weighted('rotated', 1, 1, 2, 3), anomaly_score('rotated', 1, 2, 3), '... unless the decay is 1');
SELECT datahike.rotate_model('m', 'SELECT a, b, c FROM t');
SELECT is((SELECT rotations FROM datahike.models WHERE model_name = 'm'), 1, 'rotation in place');

-- Who may use a model.
CREATE ROLE anomaly_user;
GRANT SELECT (id, a, b) ON t TO anomaly_user;
SET ROLE anomaly_user;
SELECT throws_ok('SELECT anomaly_score(''m'', 1, 2, 3)', '42501', 'permission denied for model "m"', 'a model of someone else');
SELECT throws_ok('SELECT anomaly_score(''m'') FROM t', '42501', NULL, '... in the short form');
SELECT throws_ok('SELECT * FROM datahike.describe_model(''m'')', '42501', NULL, '... described');
SELECT is((SELECT count(*) FROM datahike.models), 0::int8, '... is not listed');
RESET ROLE;
GRANT SELECT ON datahike_models.m TO anomaly_user;
SET ROLE anomaly_user;
SELECT is(anomaly_score('m', 1, 2, 3) > 0, true, 'once granted, it can be used');
SELECT throws_ok('SELECT anomaly_score(''m'') FROM t', '42501', 'permission denied for table t', 'the short form reads no column without its privilege');
SELECT throws_ok('SELECT datahike.create_model(''m'', ''SELECT a FROM t'', replace => true)', '42501', NULL, 'but not replaced');
SELECT throws_ok('SELECT datahike.rotate_model(''m'', ''SELECT a, b, 1 AS c FROM t'')', '42501', NULL, 'nor rotated');
SELECT throws_ok('SELECT datahike.drop_model(''m'')', '42501', NULL, 'nor dropped');
SELECT throws_ok('SELECT datahike.create_model(''mine'', ''SELECT c FROM t'')', '42501', NULL, 'a model is trained with one''s own privileges');
SELECT is(datahike.create_model('mine', 'SELECT a, b FROM t'), 'mine', 'a model of one''s own');
RESET ROLE;
REVOKE SELECT ON datahike_models.m FROM anomaly_user;
SET ROLE anomaly_user;
SELECT throws_ok('SELECT anomaly_score(''m'', 1, 2, 3)', '42501', NULL, 'REVOKE takes it away');
RESET ROLE;
DROP TABLE datahike_models.mine;
REVOKE ALL ON t FROM anomaly_user;
DROP ROLE anomaly_user;
CREATE TABLE datahike_models.fake (name text PRIMARY KEY, trained_at timestamptz, forest bytea) USING datahike;
INSERT INTO datahike_models.fake VALUES ('fake', now(), '\x4448494601000000000000');
SELECT throws_ok('SELECT anomaly_score(''fake'', 1)', 'XX001', NULL, 'bytes that are no forest');
CREATE TABLE datahike_models.none (a int);
SELECT throws_ok('SELECT anomaly_score(''none'', 1)', '42809', NULL, 'a table that is no model');
SELECT is((SELECT array_agg(model_name || ' ' || model_type ORDER BY model_name) FROM datahike.models WHERE model_name IN ('fake', 'none', 'm')),
  '{fake damaged,m isolation forest}', 'neither hides the other models');
DROP TABLE datahike_models.fake, datahike_models.none;

SELECT is((SELECT count(*) FROM datahike.detect_anomalies('SELECT a, b FROM t', 0.05) WHERE is_anomaly), 100::int8, 'detect_anomalies()');
SELECT is((SELECT count(*) FROM datahike.models WHERE model_name NOT IN ('m', 'again', 'heap', 'other', 'nc', 'odd', 'one', 'two', 'same', 'wide', 'merged', 'rotated')), 0::int8, '... keeps no model');
SELECT * FROM finish();
