-- Scores in batches give what single calls give, or are left alone: grouping sets, conditions that are the same for all rows, outer joins.
SELECT plan(8);
SET jit = off;
CREATE TABLE t (id int, gone int, a float8, b float8, z text);
ALTER TABLE t DROP COLUMN gone;
INSERT INTO t SELECT g, sin(g), g % 4, 'z' FROM generate_series(1, 400) g;
CREATE TABLE u (id int, k int);
INSERT INTO u SELECT g, g % 3 FROM generate_series(1, 400) g;
SELECT datahike.create_model('m', 'SELECT a, b FROM t');
ANALYZE t; ANALYZE u;
CREATE VIEW v AS SELECT id, anomaly_score('m') AS s FROM t;

CREATE FUNCTION answer(query text, batches bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  PERFORM set_config('datahike.vectorized', CASE WHEN batches THEN 'on' ELSE 'off' END, true);
  EXECUTE format('SELECT string_agg(x::text, '' '' ORDER BY x::text) FROM (%s) x', query) INTO result;
  RETURN result;
END $$;
CREATE TABLE queries (number serial, what text, query text);
INSERT INTO queries (what, query) VALUES
  ('grouping sets', 'SELECT b, anomaly_score(''m'', 1, b) AS s, round(avg(anomaly_score(''m'', 1, b))::numeric, 9) FROM t GROUP BY GROUPING SETS ((b), ())'),
  ('ROLLUP', 'SELECT b, anomaly_score(''m'', b, b) AS s, round(max(anomaly_score(''m'', b, b))::numeric, 9) FROM t GROUP BY ROLLUP (b)'),
  ('a condition of no row', 'SELECT count(z) FROM t WHERE anomaly_score(''m'', a, b) > 0.5 AND now() > ''2000-01-01'''),
  ('with ctid', 'SELECT count(ctid) FROM t WHERE anomaly_score(''m'', a, b) > 0.5 AND current_user <> ''nobody at all'''),
  ('a view below an outer join', 'SELECT count(*), round(sum(q.s)::numeric, 6) FROM u LEFT JOIN v q ON q.id = u.id + 100'),
  ('aggregated in groups', 'SELECT u.k, round(avg(q.s)::numeric, 9) FROM u LEFT JOIN (SELECT id, coalesce(anomaly_score(''m'', a, b), 0) AS s FROM t) q ON q.id = u.id + 100 GROUP BY u.k');
SELECT is(answer(query, true), answer(query, false), what) FROM queries ORDER BY number;
SELECT lives_ok($$UPDATE t SET z = 'y' WHERE anomaly_score('m', a, b) > 0.5 AND now() > '2000-01-01'$$, 'UPDATE with a condition of no row');
SELECT is((SELECT count(*) FROM t WHERE (z = 'y') <> (anomaly_score('m', a, b) > 0.5)), 0::bigint, 'changes those rows alone');
