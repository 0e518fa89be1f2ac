-- Scores in batches give what single calls give, or are left alone: grouping sets, conditions that are the same for all rows, outer joins, what is
-- not computed for every row; and where in the plan they are.
SELECT plan(126);
SET jit = off;
CREATE TABLE t (id int, gone int, a float8, b float8, z text);
ALTER TABLE t DROP COLUMN gone;
INSERT INTO t SELECT g, sin(g), g % 4, 'z' FROM generate_series(1, 400) g;
CREATE TABLE u (id int, k int);
INSERT INTO u SELECT g, g % 3 FROM generate_series(1, 400) g;
SELECT datahike.create_model('m', 'SELECT a, b FROM t');
CREATE INDEX ON t (id);
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

-- Where scores are computed: a call that an expression may skip is in no batch, and what PostgreSQL puts off until rows are sorted is scored there.
CREATE TABLE p (LIKE t) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (200) USING heap;
CREATE TABLE p2 (more int, LIKE t) USING datahike;
ALTER TABLE p2 DROP COLUMN more;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (200) TO (1000);
INSERT INTO p SELECT * FROM t;
ANALYZE p;
CREATE FUNCTION nodes(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  line text;
  result text;
BEGIN
  SET LOCAL datahike.vectorized = on;
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    CONTINUE WHEN result IS NOT NULL AND line NOT LIKE '%->%';
    result := concat_ws(', ', result, regexp_replace(line, '^ *-> *| on .*|Custom Scan |[()]', '', 'g'));
  END LOOP;
  RETURN result;
END $$;
CREATE TABLE shapes (number serial, what text, query text, nodes text);
SET datahike.vectorized_min_rows = 1000000;  -- aggregates are PostgreSQL's
INSERT INTO shapes (what, query, nodes) VALUES
  ('a branch of CASE', 'SELECT sum(CASE WHEN b = 1 THEN anomaly_score(''m'', a, b) END) FROM t', 'Aggregate, Seq Scan'),
  ('the first condition of CASE', 'SELECT max(CASE WHEN anomaly_score(''m'', a, b) > 0.5 THEN 1 WHEN anomaly_score(''m'', b, b) > 0.5 THEN 2 END) FROM t', 'Aggregate, Datahike Score, Seq Scan'),
  ('the second condition of CASE', 'SELECT max(CASE WHEN b = 1 THEN 1 WHEN anomaly_score(''m'', b, b) > 0.5 THEN 2 END) FROM t', 'Aggregate, Seq Scan'),
  ('CASE of a score', 'SELECT max(CASE anomaly_score(''m'', a, b) WHEN 0.5 THEN 1 ELSE 2 END) FROM t', 'Aggregate, Datahike Score, Seq Scan'),
  ('behind OR', 'SELECT count(*) FROM t WHERE b <> 1 OR anomaly_score(''m'', a, b) > 0.5', 'Aggregate, Seq Scan'),
  ('before OR', 'SELECT count(*) FROM t WHERE anomaly_score(''m'', a, b) > 0.5 OR b <> 1', 'Aggregate, Datahike Score, Seq Scan'),
  ('behind AND within OR', 'SELECT count(*) FROM t WHERE b = 2 AND z > ''a'' OR b = 1 AND anomaly_score(''m'', a, b) > 0.5', 'Aggregate, Seq Scan'),
  ('AND', 'SELECT count(*) FROM t WHERE b <> 1 AND anomaly_score(''m'', a, b) > 0.5', 'Aggregate, Datahike Score, Seq Scan'),
  ('AND in a select list', 'SELECT b = 1 AND anomaly_score(''m'', a, b) > 0.5 AS y, id FROM t', 'Seq Scan'),
  ('NOT', 'SELECT NOT anomaly_score(''m'', a, b) IS NULL AS y, id FROM t', 'Datahike Score, Seq Scan'),
  ('the first of COALESCE', 'SELECT id, coalesce(anomaly_score(''m'', a, b), 0) FROM t', 'Datahike Score, Seq Scan'),
  ('another of COALESCE', 'SELECT id, coalesce(nullif(b, 1), anomaly_score(''m'', a, b)) FROM t', 'Seq Scan'),
  ('NULLIF and GREATEST', 'SELECT id, nullif(b, anomaly_score(''m'', a, b)), greatest(0.5, anomaly_score(''m'', b, b)) FROM t', 'Datahike Score, Seq Scan'),
  ('the second of a comparison of rows', 'SELECT id, (b, anomaly_score(''m'', a, b)) < (1, 0.5) FROM t', 'Seq Scan'),
  ('a subscript', 'SELECT id, (array[b, 2])[1 + (anomaly_score(''m'', a, b) > 0.5)::int] FROM t', 'Seq Scan'),
  ('an aggregate with FILTER', 'SELECT min(anomaly_score(''m'', a, b)) FILTER (WHERE b = 1) FROM t', 'Aggregate, Seq Scan'),
  ('FILTER', 'SELECT count(*) FILTER (WHERE anomaly_score(''m'', a, b) > 0.5) FROM t', 'Aggregate, Datahike Score, Seq Scan'),
  ('what is certain elsewhere', 'SELECT sum(CASE WHEN b = 1 THEN anomaly_score(''m'', a, b) END), min(anomaly_score(''m'', a, b)) FROM t', 'Aggregate, Datahike Score, Seq Scan'),
  ('one condition after the other', 'SELECT id, anomaly_confidence(''m'', a, b) FROM t WHERE anomaly_score(''m'', a, b) > 0.45 AND anomaly_score(''m'', b, b) > 0.45', 'Datahike Score, Datahike Score, Datahike Score, Seq Scan'),
  ('the first sorted rows', 'SELECT id, anomaly_score(''m'', a, b) FROM t ORDER BY b, id LIMIT 10', 'Limit, Result, Sort, Seq Scan'),
  ('more of them', 'SELECT id, anomaly_score(''m'', a, b) FROM t ORDER BY b, id LIMIT 100 OFFSET 7', 'Datahike Score, Limit, Sort, Seq Scan'),
  ('the first by an index', 'SELECT id, anomaly_score(''m'', a, b) FROM t ORDER BY id LIMIT 100', 'Datahike Score, Limit, Index Scan using t_id_idx'),
  ('by it, with a condition', 'SELECT id, anomaly_score(''m'', a, b), anomaly_confidence(''m'', a, b) FROM t WHERE id > 10 AND anomaly_score(''m'', a, b) > 0.4 ORDER BY id LIMIT 19', 'Datahike Score, Limit, Datahike Score, Index Scan using t_id_idx'),
  ('of the first groups', 'SELECT id, count(*), anomaly_score(''m'', id, 1) FROM t GROUP BY id ORDER BY 2 DESC, id LIMIT 100', 'Datahike Score, Limit, Sort, HashAggregate, Seq Scan'),
  ('all sorted rows', 'SELECT id, anomaly_score(''m'', a, b) FROM t ORDER BY b, id', 'Sort, Datahike Score, Seq Scan'),
  ('the first by score', 'SELECT id, anomaly_score(''m'', a, b) FROM t ORDER BY 2, 1 LIMIT 10', 'Limit, Sort, Datahike Score, Seq Scan'),
  ('a join''s first rows', 'SELECT t.id, anomaly_score(''m'', a, k) FROM t JOIN u ON t.id = u.id + 1 ORDER BY z, t.id LIMIT 100', 'Datahike Score, Limit, Sort, Hash Join, Seq Scan, Hash, Seq Scan'),
  ('beside a window function', 'SELECT id, row_number() OVER (ORDER BY b, id), anomaly_score(''m'', a, b) FROM t', 'WindowAgg, Sort, Datahike Score, Seq Scan'),
  ('in a window function', 'SELECT id, lag(anomaly_score(''m'', a, b)) OVER (ORDER BY b, id) FROM t', 'WindowAgg, Sort, Seq Scan'),
  ('partitions', 'SELECT id, anomaly_score(''m'', a, b) FROM p WHERE anomaly_score(''m'', a, b) > 0.45', 'Append, Datahike Score, Seq Scan, Datahike Score, Seq Scan'),
  ('partitions below an aggregate', 'SELECT min(anomaly_score(''m'', a, b)), count(*) FROM p', 'Aggregate, Datahike Score, Append, Seq Scan, Seq Scan'),
  ('UNION ALL', 'SELECT id, anomaly_score(''m'', a, b) FROM (SELECT id, a, b FROM t UNION ALL SELECT id, k::float8, k / 2::float8 FROM u) x', 'Datahike Score, Append, Seq Scan, Seq Scan'),
  ('a condition on UNION ALL', 'SELECT count(*) FROM (SELECT a, b FROM t UNION ALL SELECT b, a FROM t) x WHERE anomaly_score(''m'', a, b) > 0.45', 'Aggregate, Append, Datahike Score, Seq Scan, Datahike Score, Seq Scan');
SELECT is(nodes(query), nodes, what || ': plan') FROM shapes ORDER BY number;
SELECT is(answer(query, true), answer(query, false), what || ': rows') FROM shapes ORDER BY number;
SELECT is((SELECT string_agg(what, ', ') FROM shapes WHERE answer(query, true) IS NULL), NULL, 'there are some');

-- A model that does not exist is an error once a row comes to it, and not before.
CREATE FUNCTION asked(query text) RETURNS text LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  result text;
BEGIN
  EXECUTE 'PREPARE q(text) AS ' || query;
  BEGIN
    EXECUTE 'EXECUTE q(''no'')' INTO result;
  EXCEPTION WHEN OTHERS THEN result := SQLSTATE;
  END;
  DEALLOCATE q;
  RETURN coalesce(result, 'NULL');
END $$;
CREATE TABLE guards (number serial, query text, result text);
INSERT INTO guards (query, result) VALUES
  ('SELECT sum(CASE WHEN b > 9 THEN anomaly_score($1, a, b) END) FROM t', 'NULL'),
  ('SELECT sum(CASE WHEN b > 2 THEN anomaly_score($1, a, b) END) FROM t', '42704'),
  ('SELECT count(*) FROM t WHERE b > 9 OR b > 8 AND anomaly_score($1, a, b) > 0.5', '0'),
  ('SELECT count(*) FROM t WHERE b < 9 OR anomaly_score($1, a, b) > 0.5', '400'),
  ('SELECT count(*) FROM t WHERE b < 3 OR anomaly_score($1, a, b) > 0.5', '42704'),
  ('SELECT count(*) FROM t WHERE b > 9 AND anomaly_score($1, a, b) > 0.5', '0'),
  ('SELECT count(*) FROM t WHERE anomaly_score($1, a, b) > 0.5', '42704'),
  ('SELECT sum(anomaly_score($1, a, b)) FILTER (WHERE b > 9) FROM t', 'NULL'),
  ('SELECT sum(anomaly_score($1, a, b)) FILTER (WHERE b > 2) FROM t', '42704'),
  ('SELECT count(*) FILTER (WHERE b > 9 AND anomaly_score($1, a, b) > 0.5) FROM t', '0'),
  ('SELECT max(coalesce(b, anomaly_score($1, a, b))) FROM t', '3'),
  ('SELECT max(anomaly_score($1, a)) FROM t WHERE b > 9', 'NULL'),
  ('SELECT count(*) FROM (SELECT id, anomaly_score($1, a, b) FROM t WHERE anomaly_score(''m'', a, b) > 2 OFFSET 0) x', '0'),
  ('SELECT max(anomaly_score($1, a, b)) FROM t WHERE anomaly_score(''m'', a, b) > 2', 'NULL'),
  ('SELECT count(*) FROM t WHERE anomaly_score(''m'', a, b) > 2 AND anomaly_score($1, a, b) > 0.5', '0');
SELECT is(asked(query), result, query) FROM guards ORDER BY number;
SET datahike.vectorized_min_rows = 0;  -- aggregates are those of the vector engine
SELECT is(asked(query), result, 'by column: ' || query) FROM guards ORDER BY number;
SET datahike.vectorized = off;
SELECT is(asked(query), result, 'call by call: ' || query) FROM guards ORDER BY number;

-- The first of rows that workers have sorted, and cursors.
RESET datahike.vectorized;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
CREATE TABLE h USING heap AS SELECT * FROM t;
ANALYZE h;
SELECT is(nodes('SELECT id, anomaly_score(''m'', a, b) FROM h ORDER BY b, id LIMIT 100'), 'Datahike Score, Limit, Gather Merge, Sort, Parallel Seq Scan', 'from workers: plan');
SELECT is(answer('SELECT id, anomaly_score(''m'', a, b) FROM h ORDER BY b, id LIMIT 100', true), answer('SELECT id, anomaly_score(''m'', a, b) FROM t ORDER BY b, id LIMIT 100', false), 'from workers: rows');
SELECT is(nodes('DECLARE c CURSOR FOR SELECT id, anomaly_score(''m'', a, b) FROM t ORDER BY b, id'), 'Datahike Score, Sort, Seq Scan', 'a cursor over sorted rows: plan');
CREATE FUNCTION fetched(query text, backward bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c refcursor;
  r record;
  result text := '';
BEGIN
  EXECUTE 'DECLARE x SCROLL CURSOR FOR ' || query;
  c := 'x';
  IF backward THEN MOVE FORWARD ALL FROM c; END IF;
  LOOP
    IF backward THEN FETCH PRIOR FROM c INTO r; ELSE FETCH NEXT FROM c INTO r; END IF;
    EXIT WHEN NOT FOUND;
    result := CASE WHEN backward THEN r::text || result ELSE result || r::text END;
  END LOOP;
  CLOSE c;
  RETURN result;
END $$;
CREATE TABLE sorted AS SELECT string_agg(x::text, '' ORDER BY y.b, y.id) AS rows
FROM (SELECT id, anomaly_score('m', a + 0, b), b FROM h) y(id, s, b), LATERAL (SELECT y.id, y.s) x;
SELECT is(fetched('SELECT id, anomaly_score(''m'', a, b) FROM t ORDER BY b, id', false), rows, 'forward') FROM sorted;
SELECT is(fetched('SELECT id, anomaly_score(''m'', a, b) FROM t ORDER BY b, id', true), rows, 'backward') FROM sorted;
SELECT ok(length(rows) > 4000, 'all of it') FROM sorted;
