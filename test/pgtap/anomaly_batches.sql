-- Scores of many rows at once, in select lists, conditions and orders over tables of any kind, are those of the functions row by row.
SELECT * FROM no_plan();
\set rows 3000
\ir include/scored_tables.inc
CREATE FUNCTION same(query text, batched bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE ours text; q text;
BEGIN
  FOREACH q IN ARRAY array[query, regexp_replace(query, '\mt\M', 'h', 'g')] LOOP
    SET LOCAL datahike.vectorized = on;
    RETURN NEXT is(is_batched(q), batched, q || CASE WHEN batched THEN ' is batched' ELSE ' is not batched' END);
    ours := answer(q);
    SET LOCAL datahike.vectorized = off;
    RETURN NEXT is(is_batched(q), false, '... not with the setting off');
    RETURN NEXT is(ours, answer(q), q);
    SET LOCAL datahike.vectorized = on;
  END LOOP;
END $$;

SELECT same($$SELECT id, anomaly_score('m') FROM t$$);
SELECT same($$SELECT *, anomaly_score('m'), anomaly_predict('m'), anomaly_proba('m'), anomaly_confidence('m'), anomaly_score_weighted('m', 0.5) FROM t$$);
SELECT same($$SELECT name FROM t WHERE anomaly_score('m') > 0.55$$);
SELECT same($$SELECT name FROM t WHERE anomaly_predict('m') AND g = 1 AND name LIKE '%1%'$$);
SELECT same($$SELECT id, round(anomaly_score('m')::numeric, 3) FROM t WHERE NOT anomaly_predict('m') ORDER BY anomaly_score('m') DESC, id LIMIT 50$$);
SELECT same($$SELECT id, CASE WHEN g = 1 THEN anomaly_score('m', a, b, c, 1) ELSE anomaly_score('m', d, b, c, a) END FROM t$$, false);
SELECT same($$SELECT id, CASE WHEN anomaly_score('m', a, b, c, 1) > 0.5 THEN anomaly_score('m', a, b, c, 1) ELSE anomaly_score('m', d, b, c, a) END FROM t$$);
SELECT same($$SELECT id, anomaly_score('m') FROM t ORDER BY g, id LIMIT 5$$, false);
SELECT same($$SELECT id, anomaly_score('m'), anomaly_proba('m') FROM t ORDER BY g, id LIMIT 100 OFFSET 70$$);
SELECT same($$SELECT id, anomaly_proba('m'), anomaly_score('m') FROM t WHERE anomaly_score('m') > 0.45 AND (g = 1 OR anomaly_score('m', a, b, c, 1) > 0.4) AND anomaly_score('m', d, d, c, a) > 0.4 AND name <> 'row 1' ORDER BY anomaly_score('m') DESC, id LIMIT 40$$);
SELECT same($$SELECT DISTINCT anomaly_predict('m'), g FROM t ORDER BY 1, 2$$);
SELECT same($$SELECT anomaly_predict('m'), array_agg(id ORDER BY id) FROM t GROUP BY 1 ORDER BY 1$$);
SELECT same($$SELECT id, anomaly_score('m') FROM t WHERE b = 3 ORDER BY id$$);
SELECT same($$SELECT id, ctid IS NULL, tableoid::regclass IS NULL, x, anomaly_score('m') FROM t AS x WHERE anomaly_score('m') > 0.5 ORDER BY id$$);
SELECT same($$SELECT id, anomaly_score('m') FROM t LIMIT 20$$, false);
SELECT same($$SELECT id, anomaly_score('m', a + 1, b, c, d) FROM t$$, false);
SELECT same($$SELECT id, anomaly_score('m') FROM t FOR UPDATE$$, false);
SELECT same($$SELECT id, anomaly_score(NULL, a, b, c, d) FROM t$$, true);
SELECT same($$SELECT s.id, s.x, (SELECT count(*) FROM (SELECT anomaly_score('m', a, b, s.x, d) AS y FROM t WHERE b = s.id) z WHERE y > 0.5) FROM (VALUES (1, 2.0), (2, 9.0), (3, 1.0)) s(id, x)$$);
SELECT same($$SELECT i, anomaly_score('m', i, i % 3, i, 1) FROM generate_series(1, 500) i, (SELECT 1 FROM t LIMIT 1) x$$, false);

-- Within aggregates that are PostgreSQL's: below them.
CREATE TABLE u USING datahike AS SELECT i AS id, i % 7 AS k, i / 2.0 AS z FROM generate_series(1, 3000) i;
ANALYZE u;
SELECT same($$SELECT count(*) FILTER (WHERE anomaly_predict('m')), max(anomaly_score('m')), string_agg(name, ',' ORDER BY anomaly_score('m') DESC, id) FROM t$$);
SELECT same($$SELECT g, percentile_cont(0.5) WITHIN GROUP (ORDER BY anomaly_score('m')), array_agg(DISTINCT round(anomaly_proba('m')::numeric, 2)) FROM t GROUP BY g ORDER BY g$$);
SELECT same($$SELECT anomaly_predict('m') AS p, array_agg(anomaly_confidence('m') ORDER BY id) FROM t WHERE b < 9 GROUP BY 1 HAVING max(anomaly_score('m', a, b, c, 1)) > 0.1 ORDER BY 1$$);
SELECT same($$SELECT g, b, array_agg(anomaly_score('m') ORDER BY id) FROM t GROUP BY GROUPING SETS ((g), (b), ()) ORDER BY g, b$$, false);
SELECT same($$SELECT a, b, c, d, anomaly_score('m'), array_agg(id ORDER BY id) FROM t GROUP BY a, b, c, d ORDER BY 6$$, false);
SELECT same($$SELECT x.id, x.s, array_agg(y.id ORDER BY y.id) FROM (SELECT id, g, anomaly_score('m') AS s FROM t WHERE id < 30) x JOIN u y ON y.k = x.g GROUP BY 1, 2 ORDER BY 1$$);

-- Above joins, and in the conditions of their tables.
SELECT same($$SELECT t.id, u.id, anomaly_score('m') FROM t JOIN u ON t.id = u.id ORDER BY t.id$$);
SELECT same($$SELECT t.id, u.id, anomaly_score('m', t.a, t.b, u.z, t.d), anomaly_predict('m') FROM t JOIN u ON t.g = u.k AND t.id < 60 ORDER BY anomaly_score('m', t.a, t.b, u.z, t.d), t.id, u.id LIMIT 100$$);
SELECT same($$SELECT t.id, u.id, anomaly_score('m', a, b, z, d) FROM t FULL JOIN u ON t.id = u.id * 2 WHERE anomaly_score('m', a, b, z, d) > 0.45 OR z < 10 ORDER BY t.id, u.id$$);
SELECT same($$SELECT t.id, k FROM t LEFT JOIN u ON t.id = u.id WHERE anomaly_score('m') > 0.5 ORDER BY t.id$$);
SELECT same($$SELECT k, max(anomaly_score('m')), array_agg(t.id ORDER BY anomaly_score('m', t.a, t.b, u.z, 1), t.id) FROM t JOIN u USING (id) GROUP BY k ORDER BY k$$);
SELECT same($$SELECT k, count(*) FILTER (WHERE anomaly_predict('m')) OVER (PARTITION BY k ORDER BY t.id), anomaly_score('m') FROM t JOIN u USING (id) ORDER BY t.id$$);
SELECT same($$SELECT k, count(*) FILTER (WHERE anomaly_predict('m')) OVER (PARTITION BY k ORDER BY t.id) FROM t JOIN u USING (id) ORDER BY t.id$$, false);
SELECT same($$SELECT id, row_number() OVER w, anomaly_score('m'), sum(b) OVER (ORDER BY id), anomaly_score('m') - lag(anomaly_score('m')) OVER w FROM t WINDOW w AS (PARTITION BY g ORDER BY anomaly_score('m'), id) ORDER BY id$$);
SELECT same($$SELECT g, b, rank() OVER (ORDER BY max(anomaly_score('m')), g, b), anomaly_score('m', g, b, 1, 1) FROM t GROUP BY g, b ORDER BY g, b$$);
SELECT same($$SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY g ORDER BY id) AS n, anomaly_score('m') FROM t) x WHERE n < 5 ORDER BY id$$, false);
SELECT same($$SELECT * FROM (SELECT id, row_number() OVER (ORDER BY id) AS n, anomaly_score('m') FROM t) x WHERE n < 5 ORDER BY id$$, false);
SELECT same($$SELECT DISTINCT anomaly_predict('m'), k FROM t JOIN u USING (id) ORDER BY 1, 2$$);
SELECT same($$SELECT id, s FROM (SELECT t.id, anomaly_score('m') AS s FROM t JOIN u USING (id)) x WHERE s > 0.5 ORDER BY id$$);
SELECT same($$SELECT t.id, anomaly_score('m') FROM t JOIN u USING (id) LIMIT 3$$, false);
SELECT same($$SELECT t.id, anomaly_score('m') FROM t JOIN u USING (id) ORDER BY t.id FOR UPDATE OF t$$, false);
SELECT same($$SELECT t.id, v.s FROM t, LATERAL (SELECT max(anomaly_score('m', t.a, u.k, u.z, t.d)) AS s FROM u WHERE u.id < t.g * 40) v WHERE t.id < 60 ORDER BY t.id$$);
SELECT same($$SELECT t.id, (SELECT array_agg(anomaly_score('m', t.a, u.k, w.z, 1) ORDER BY u.id) FROM u JOIN u w USING (id) WHERE w.id < 30 + t.g) FROM t WHERE t.id < 20 ORDER BY t.id$$);
SELECT same($$WITH c AS MATERIALIZED (SELECT * FROM t) SELECT c.id, anomaly_score('m') FROM c, (VALUES (1), (2)) v(x) WHERE x = c.g ORDER BY 1$$);
SELECT same($$SELECT id, anomaly_score('m') FROM t UNION ALL SELECT t.id, anomaly_score('m') FROM t JOIN u USING (id) ORDER BY 1, 2$$);
SELECT ok(is_batched($$SELECT i, anomaly_score('m', i, i, i, 1) FROM generate_series(1, 500) i$$), 'a function is scored in batches');
SELECT is(answer($$SELECT i, anomaly_score('m', i, i, i, 1) FROM generate_series(1, 500) i$$), answer($$SELECT i, anomaly_score('m', i + 0, i, i, 1) FROM generate_series(1, 500) i$$), '... as row by row');
SELECT ok(is_batched($$SELECT anomaly_score('m') FROM (SELECT a, b, c, d FROM t ORDER BY id OFFSET 10) x WHERE anomaly_score('m') > 0.5$$), 'a subquery is, too');
SELECT is(answer($$SELECT anomaly_score('m') FROM (SELECT a, b, c, d FROM t ORDER BY id OFFSET 10) x WHERE anomaly_score('m') > 0.5$$),
  answer($$SELECT anomaly_score('m', a + 0, b, c, d) FROM (SELECT a, b, c, d FROM t ORDER BY id OFFSET 10) x WHERE anomaly_score('m', a + 0, b, c, d) > 0.5$$), '... as row by row');
PREPARE q(text, float8) AS SELECT id FROM t WHERE anomaly_score($1, a, b, c, d) > $2 ORDER BY id;
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE q(''m'', 0.55)', $$SELECT id FROM h WHERE anomaly_score('m', a + 0, b, c, d) > 0.55 ORDER BY id$$, 'a model given as a parameter');
SELECT is_empty('EXECUTE q(NULL, 0.5)', 'no model: no score');
SELECT throws_ok('EXECUTE q(''no'', 0.55)', '42704', 'model not found: no', 'an unknown model');
DEALLOCATE q;
RESET plan_cache_mode;

-- A cursor keeps its rows and its model while both change.
BEGIN;
DECLARE c CURSOR FOR SELECT id, anomaly_score('m') AS s FROM t ORDER BY id;
CREATE TEMP TABLE before AS SELECT id, anomaly_score('m') AS s FROM h;
FETCH 5 FROM c \g /dev/null
SELECT datahike.create_model('m', 'SELECT a, b, c, d FROM t WHERE id < 50', replace => true) \g /dev/null
DELETE FROM t WHERE id > 100;
CREATE FUNCTION rest() RETURNS TABLE (id int, s float8) LANGUAGE plpgsql AS $$
DECLARE c refcursor := 'c'; r record;
BEGIN LOOP FETCH c INTO r; EXIT WHEN NOT FOUND; id := r.id; s := r.s; RETURN NEXT; END LOOP; END $$;
SELECT set_eq('SELECT * FROM rest()', 'SELECT * FROM before WHERE id > (SELECT max(id) FROM (SELECT id FROM before ORDER BY id LIMIT 5) x)', 'a cursor keeps rows and model');
COMMIT;
SELECT * FROM finish();
