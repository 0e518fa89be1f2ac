-- Scores within aggregates that are computed column by column are those of the functions, row by row, on the same table and on heap.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
CREATE TABLE t (id int, a float8, b int, c float4, n int2, g int) USING datahike;
INSERT INTO t SELECT i, sin(i), i % 17, CASE WHEN i % 11 <> 0 THEN i / 7.0 END, nullif(i % 3, 0), i % 5 FROM generate_series(1, 6000) i;
INSERT INTO t VALUES (0, 'NaN', 1, NULL, NULL, 1), (-1, NULL, NULL, NULL, NULL, 2), (-2, 'Infinity', NULL, '-Infinity', 3, 2);
DELETE FROM t WHERE id % 100 = 7;
CREATE TABLE h USING heap AS SELECT * FROM t;
ANALYZE t;
SELECT datahike.create_model('m', 'SELECT a, b, c, n FROM t', contamination => 0.02);
SELECT datahike.rotate_model('m', 'SELECT a, b, c, n FROM t');

CREATE FUNCTION is_vectorized(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    IF line LIKE '%Datahike Aggregate%' THEN RETURN true; END IF;
  END LOOP;
  RETURN false;
END $$;
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE format('SELECT coalesce(string_agg(r, E''\n'' ORDER BY r COLLATE "C"), ''none'') FROM (SELECT q::text AS r FROM (%s) q) x', query) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION same(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE ours text;
BEGIN
  RETURN NEXT ok(is_vectorized(query), query || ' is vectorized');
  ours := answer(query);
  RETURN NEXT is(ours, answer(regexp_replace(query, '\mt\M', 'h', 'g')), query);
  SET LOCAL datahike.threads = 1;
  RETURN NEXT is(ours, answer(query), '... with one thread');
  SET LOCAL datahike.threads = 0;
END $$;

SELECT same($$SELECT count(*) FROM t WHERE anomaly_score('m') > 0.55$$);
SELECT same($$SELECT max(anomaly_score('m')), min(anomaly_confidence('m')), count(anomaly_score('m')), round(avg(anomaly_score('m'))::numeric, 12) FROM t$$);
SELECT same($$SELECT anomaly_predict('m'), count(*), max(anomaly_proba('m')), min(anomaly_score_weighted('m', 0.5)) FROM t GROUP BY 1$$);
SELECT same($$SELECT g, max(anomaly_score('m', a, b, c, 1)), count(*) FROM t WHERE anomaly_predict('m') AND a > 0 GROUP BY g$$);
SELECT same($$SELECT count(*), max(anomaly_score('m', a + 1, b, c, n * 2)) FROM t WHERE NOT anomaly_predict('m') AND b < 9$$);
SELECT same($$SELECT count(*) FROM t WHERE anomaly_score('m', VARIADIC ARRAY[a, b, c, n]) BETWEEN 0.4 AND 0.5$$);
SELECT same($$SELECT g, count(*) FROM t GROUP BY g HAVING max(anomaly_score('m', a, b, c, n)) > 0.6$$);
PREPARE q(text, float8) AS SELECT count(*) FROM t WHERE anomaly_score($1, a, b, c, n) > $2;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE q(''m'', 0.55)', $$SELECT count(*) FROM h WHERE anomaly_score('m') > 0.55$$, 'a model given as a parameter');
SELECT results_eq('EXECUTE q(NULL, 0.55)', 'VALUES (0::int8)', 'no model: no score');
SELECT throws_ok('EXECUTE q(''no'', 0.55)', '42704', 'model not found: no', 'an unknown model');
SELECT throws_ok($$SELECT count(*) FROM t WHERE anomaly_score('m', a, b, c) > 0.5$$, '42883', NULL, 'too few features');
SELECT datahike.create_model('nc', 'SELECT a FROM t');
SELECT throws_ok($$SELECT count(*) FROM t WHERE anomaly_predict('nc')$$, '22023', NULL, 'a prediction without contamination');

-- Another commit, and rows of a transaction that is not over.
SELECT datahike.commit_id() AS first \gset
SELECT count(*) AS before FROM t WHERE anomaly_predict('m') \gset
BEGIN;
INSERT INTO t SELECT 100000 + i, 1000, 1000, 1000, 1000, 1 FROM generate_series(1, 50) i;
SELECT is((SELECT count(*) FROM t WHERE anomaly_predict('m')), :before + 50::int8, 'own rows are scored');
COMMIT;
SET datahike.commit_id = :'first';
SELECT is((SELECT count(*) FROM t WHERE anomaly_predict('m')), :before::int8, 'rows of an older commit');
RESET datahike.commit_id;
SELECT * FROM finish();
