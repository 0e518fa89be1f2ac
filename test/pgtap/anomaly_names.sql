-- Calls of the short form carry the features' names: what is kept of a query finds them again in another model of the name, or is refused.
SELECT * FROM no_plan();
SET datahike.vectorized_min_rows = 0;
CREATE TABLE t (id int, a float8, b int, c float8) USING datahike;
INSERT INTO t SELECT i, sin(i) * 10, i % 17, nullif(i % 100, 0) * 1000.0 FROM generate_series(1, 1000) i;
INSERT INTO t VALUES (0, NULL, NULL, 3), (-1, NULL, NULL, NULL);
ANALYZE t;
SELECT datahike.create_model('m', 'SELECT a, b, c FROM t', contamination => 0.05);

-- One for each evaluator: row by row (behind LIMIT), the plan node Datahike Score, Datahike Aggregate; and many features, as an array.
CREATE VIEW by_row AS SELECT t.id, anomaly_score('m') AS s, anomaly_proba('m') AS p, anomaly_score_weighted('m', 0.5) AS w
  FROM t LIMIT 100000;
CREATE VIEW by_batch AS SELECT id, anomaly_score('m') AS s, anomaly_proba('m') AS p, anomaly_score_weighted('m', 0.5) AS w FROM t;
CREATE VIEW by_column AS SELECT max(anomaly_score('m')) AS s, min(anomaly_proba('m')) AS p, max(anomaly_score_weighted('m', 0.5)) AS w FROM t;
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; found text := '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP found := found || coalesce(substring(line FROM 'Datahike (?:Score|Aggregate)'), ''); END LOOP;
  RETURN found;
END $$;
SELECT is(plan_of('SELECT * FROM by_row'), '', 'what LIMIT may leave unread is scored row by row');
SELECT is(plan_of('SELECT * FROM by_batch'), 'Datahike Score', 'a scan in batches');
SELECT is(plan_of('SELECT * FROM by_column'), 'Datahike Aggregate', 'aggregates by column');
SELECT matches(pg_get_viewdef('by_batch'::regclass), $$anomaly_score_by_name\('m'::text, '\{a,b,c\}'::text\[\], t.a, t.b, t.c\)$$, 'the view''s definition has the names');

-- expected: the features in the order that the model has now, or the error
CREATE FUNCTION as_now(features text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEXT set_eq('SELECT * FROM by_row', format('SELECT id, anomaly_score(''m'', %1$s) AS s, anomaly_proba(''m'', %1$s) AS p, anomaly_score_weighted(''m'', 0.5, %1$s) AS w FROM t', features), what || ': row by row');
  RETURN NEXT set_eq('SELECT * FROM by_batch', 'SELECT * FROM by_row', '... in batches');
  RETURN NEXT set_eq('SELECT * FROM by_column', 'SELECT max(s) AS s, min(p) AS p, max(w) AS w FROM by_row', '... by column');
  SET LOCAL datahike.vectorized = off;
  RETURN NEXT set_eq('SELECT * FROM by_column', 'SELECT max(s) AS s, min(p) AS p, max(w) AS w FROM by_row', '... in aggregates of PostgreSQL''s');
  SET LOCAL datahike.vectorized = on;
END $$;
CREATE FUNCTION refused(feature text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE v text;
BEGIN
  FOREACH v IN ARRAY '{by_row,by_batch,by_column}'::text[] LOOP
    RETURN NEXT throws_ok('SELECT * FROM ' || v, '42703', format('model "m" has a feature "%s" that the call does not pass', feature), what || ': ' || v);
  END LOOP;
END $$;
SELECT as_now('a, b, c', 'as it was made');
CREATE TABLE first AS SELECT * FROM by_row;
SELECT datahike.create_model('m', 'SELECT c, b, a FROM t', contamination => 0.05, replace => true);
SELECT as_now('c, b, a', 'trained anew in another order');
SELECT is((SELECT count(*) FROM by_batch v JOIN first f USING (id) WHERE v.s = f.s), 0::int8, '... which gives other scores');
SELECT datahike.create_model('m', 'SELECT c, a FROM t', contamination => 0.05, replace => true);
SELECT as_now('c, a', 'trained on fewer features');
SELECT is((SELECT s FROM by_batch WHERE id = -1), NULL, '... no value, no score');
SELECT datahike.create_model('m', 'SELECT b FROM t', contamination => 0.05, replace => true);
SELECT as_now('b', 'trained on one feature');
SELECT is((SELECT count(*) FROM by_batch WHERE s IS NULL), 2::int8, '... rows without a value of it have no score');
SELECT datahike.create_model('m', 'SELECT a, b, c AS d FROM t', contamination => 0.05, replace => true);
SELECT refused('d', 'trained on another feature');
SELECT datahike.create_model('m', 'SELECT a, b, c, id FROM t', contamination => 0.05, replace => true);
SELECT refused('id', 'trained on one feature more');
CREATE OR REPLACE VIEW by_batch AS SELECT id, anomaly_score('m') AS s, anomaly_proba('m') AS p, anomaly_score_weighted('m', 0.5) AS w FROM t;
SELECT set_eq('SELECT id, s FROM by_batch', 'SELECT id, anomaly_score(''m'', a, b, c, id) FROM t', 'the view made anew');

-- The definition is what pg_dump writes: it makes the same view, whatever the model is by then.
SELECT datahike.create_model('m', 'SELECT a, b, c FROM t', contamination => 0.05, replace => true);
SELECT 'CREATE VIEW restored AS ' || pg_get_viewdef('by_row'::regclass) AS definition \gset
SELECT datahike.drop_model('m');
:definition;
SELECT throws_ok('SELECT * FROM restored', '42704', NULL, 'a definition is restored without the model');
SELECT datahike.create_model('m', 'SELECT c, b, a FROM t', contamination => 0.05);
SELECT set_eq('SELECT * FROM restored', 'SELECT * FROM by_row', '... and used with it');

-- Prepared plans of all kinds under another branch, commit and after a merge.
SELECT datahike.create_model('m', 'SELECT a, b, c FROM t', contamination => 0.05, replace => true);
SET plan_cache_mode = force_generic_plan;
PREPARE by_row AS SELECT t.id, anomaly_score('m') AS s FROM t LIMIT 100000;
PREPARE by_batch AS SELECT id, anomaly_score('m') AS s FROM t;
PREPARE by_column AS SELECT max(anomaly_score('m')) AS s FROM t;
CREATE FUNCTION executed(features text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN NEXT set_eq('EXECUTE by_row', format('SELECT id, anomaly_score(''m'', %s) FROM t', features), what || ': row by row');
  RETURN NEXT set_eq('EXECUTE by_batch', format('SELECT id, anomaly_score(''m'', %s) FROM t', features), '... in batches');
  RETURN NEXT set_eq('EXECUTE by_column', format('SELECT max(anomaly_score(''m'', %s)) FROM t', features), '... by column');
END $$;
SELECT executed('a, b, c', 'prepared');
SELECT datahike.create_branch('other');
SET datahike.branch = 'other';
SELECT datahike.create_model('m', 'SELECT c, b, a FROM t', contamination => 0.05, replace => true);
SELECT executed('c, b, a', 'on a branch of which the model has another order');
RESET datahike.branch;
SELECT executed('a, b, c', 'back on the default branch');
SET datahike.branch = 'other';
SELECT executed('c, b, a', 'on the branch again');
SELECT datahike.create_model('m', 'SELECT c, b, a, id FROM t', contamination => 0.05, replace => true);
SELECT executed('c, b, a, id', 'with a feature more');
RESET datahike.branch;
SELECT executed('a, b, c', 'not on the default branch');
SELECT is((SELECT status FROM datahike.merge('other')), 'fast-forward', 'a merge');
SELECT executed('c, b, a, id', 'a model that the merge has brought');

-- The functions that take names, by themselves.
SELECT datahike.create_model('m', 'SELECT a, b, c FROM t', contamination => 0.05, replace => true);
SELECT results_eq($$SELECT anomaly_score_by_name('m', '{c,b,a}', 3, 2, 1), anomaly_predict_by_name('m', '{c,b,a}', 3, 2, 1), anomaly_proba_by_name('m', '{c,b,a}', 3, 2, 1),
    anomaly_confidence_by_name('m', '{c,b,a}', 3, 2, 1), anomaly_score_weighted_by_name('m', 0.5, '{c,b,a}', 3, 2, 1)$$,
  $$SELECT anomaly_score('m', 1, 2, 3), anomaly_predict('m', 1, 2, 3), anomaly_proba('m', 1, 2, 3), anomaly_confidence('m', 1, 2, 3), anomaly_score_weighted('m', 0.5, 1, 2, 3)$$,
  'each measure by names');
SELECT results_eq($$SELECT anomaly_score_by_name('m', n, VARIADIC v) FROM (VALUES ('{c,b,a}'::text[], '{3,2,1}'::float8[]), ('{a,x,b,c}', '{1,9,2,3}'), ('{b,a,c}', NULL), (NULL, '{1}')) x(n, v)$$,
  $$SELECT unnest(array[anomaly_score('m', 1, 2, 3), anomaly_score('m', 1, 2, 3), NULL, NULL])$$, 'names and values that change from row to row');
SELECT throws_ok($$SELECT anomaly_score_by_name('m', '{a,b}', 1, 2)$$, '42703', NULL, 'a feature that is not passed');
SELECT throws_ok($$SELECT anomaly_score_by_name('m', '{a,b,c}', 1, 2)$$, '42883', 'a call of model "m" names 3 features, but passes 2 values', 'fewer values than names');
SELECT throws_ok($$SELECT anomaly_score_by_name('m', '{a,b,c}', VARIADIC array[1, 2])$$, '42883', NULL, '... in an array');
SELECT throws_ok($$SELECT anomaly_score_by_name('m', '{a,b,c}', a, b) FROM t$$, '42883', NULL, '... in batches');
SELECT throws_ok($$SELECT max(anomaly_score_by_name('m', n, 1, 2)) FROM (VALUES ('{a,b,c}'::text[])) x(n)$$, '42883', NULL, '... that are not known when it is planned');
SELECT throws_ok($$SELECT anomaly_score_by_name('m', '{a,b,c,a}', 1, 2, 3, 4)$$, '42701', 'feature "a" is named twice', 'a name that occurs twice');
SELECT throws_ok($$SELECT anomaly_score_by_name('m', '{a,b,NULL}', 1, 2, 3)$$, '22004', NULL, 'a name that is NULL');
SELECT throws_ok($$SELECT anomaly_score_by_name('m', '{a,b,c}', 1, 2, 'x'::text)$$, '42804', NULL, 'a value that is not numeric');

-- More features than a function has arguments.
SELECT datahike.create_model('wide', (SELECT 'SELECT ' || string_agg(format('sin(i * %s) AS f%s', f, f), ', ') || ' FROM generate_series(1, 300) i' FROM generate_series(1, 120) f));
SELECT format('CREATE TABLE w USING datahike AS SELECT %s FROM generate_series(1, 50) i', string_agg(format('cos(i * %s) AS f%s', f, f), ', ')) AS make,
  string_agg('f' || f, ', ' ORDER BY f DESC) AS reversed FROM generate_series(1, 120) f \gset
:make;
CREATE VIEW wide AS SELECT f1, anomaly_score('wide') AS s FROM w;
SELECT datahike.create_model('wide', 'SELECT ' || :'reversed' || ' FROM w', replace => true);
SELECT set_eq('SELECT * FROM wide', format('SELECT f1, anomaly_score(''wide'', VARIADIC array[%s]) FROM w', :'reversed'), '120 features in another order');
SELECT set_eq('SELECT max(s) FROM wide', format('SELECT max(anomaly_score(''wide'', VARIADIC array[%s])) FROM w', :'reversed'), '... in aggregates');
SELECT * FROM finish();
