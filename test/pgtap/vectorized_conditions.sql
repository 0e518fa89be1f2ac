-- OR, NOT, NOT IN in conditions, and FILTER of aggregates: what heap gives, and computed by column.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET enable_nestloop = off;
SET enable_sort = off;
CREATE TABLE t (id int8, k int4, f float8, name text, ok bool, d date, z int4);
CREATE TABLE h (LIKE t) USING heap;
CREATE TABLE s (k int4, label text) USING heap;
INSERT INTO h SELECT i, CASE WHEN i % 13 = 0 THEN NULL ELSE i % 50 END, CASE WHEN i % 50 = 0 THEN 'NaN' WHEN i % 51 = 0 THEN NULL WHEN i % 52 = 0 THEN '-0' ELSE i % 200 / 8.0 END,
    CASE WHEN i % 77 = 0 THEN NULL ELSE 'name ' || i % 30 END, CASE WHEN i % 7 = 0 THEN NULL ELSE i % 3 = 0 END, DATE '2020-01-01' + i % 300, i % 5 FROM generate_series(1, 12000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
INSERT INTO s SELECT i, CASE WHEN i % 9 = 0 THEN NULL ELSE 'label ' || i % 4 END FROM generate_series(0, 80) i;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h; ANALYZE s;
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE line text; plan text := ''; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP plan := plan || line || E'\n'; END LOOP; RETURN plan; END $$;
CREATE FUNCTION explain_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query; END $$;
CREATE FUNCTION rows_of(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN
  EXECUTE format('SELECT string_agg(q::text, '' '' ORDER BY q::text) FROM (%s) q', query) INTO r; RETURN r; EXCEPTION WHEN data_exception THEN RETURN SQLERRM; END $$;
CREATE FUNCTION same(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE one text; many text; heap text; BEGIN
  heap := rows_of(regexp_replace(query, '\mt\M', 'h', 'g'));
  SET LOCAL datahike.threads = 1; one := rows_of(query);
  SET LOCAL datahike.threads = 4; many := rows_of(query);
  IF one IS DISTINCT FROM many THEN RETURN NEXT is(many, one, query || ': threads'); RETURN; END IF;
  IF NOT (SELECT string_agg(l, '') FROM explain_of(query) l) ~ 'Datahike Aggregate' THEN RETURN NEXT fail(query || ' is not vectorized'); RETURN; END IF;
  RETURN NEXT is(one, heap, query);
END $$;
CREATE TABLE conditions (id serial, condition text);
INSERT INTO conditions (condition) VALUES
  ('k = 3 OR k = 5'), ('k < 3 OR f > 20'), ('k = 3 OR name = ''name 4'' OR ok'), ('NOT ok OR k IS NULL'), ('(k < 10 AND f < 5) OR (k > 40 AND name LIKE ''%1%'')'),
  ('NOT (k < 10 AND f < 5)'), ('NOT (k = 3 OR name = ''name 4'' OR ok)'), ('k NOT IN (1, 2, 3)'), ('k NOT IN (1, NULL, 3)'), ('k IN (1, NULL, 3) OR f = ''NaN'''), ('f NOT IN (0, 1.5, ''NaN'')'),
  ('f NOT IN (0) OR f IS NULL'), ('name NOT IN (''name 1'', ''name 2'')'), ('name NOT IN (''name 1'', NULL)'), ('name <> ALL (''{}'')'), ('k <> ALL (''{}'')'), ('k = ANY (''{}'') OR ok'),
  ('d BETWEEN ''2020-02-01'' AND ''2020-03-01'' OR d > ''2020-09-01'''), ('NOT (d BETWEEN ''2020-02-01'' AND ''2020-03-01'')'), ('name LIKE ''%1%'' OR name NOT LIKE ''%2%'''),
  ('z = 0 OR id / z > 4000'), ('NOT (z <> 0 AND id / z > 4000)'), ('id / z > 4000 OR z = 0'), ('id < 0 OR id > 1000000'), ('id > 0 OR k = 1'), ('(k = 1 OR (k = 2 AND (f < 3 OR f > 10)) OR NOT ok) AND (z = 1 OR z = 2)'),
  ('f <> 0 OR k = 1'), ('f >= ''NaN'' OR f < 0.5'), ('length(name) = 6 OR f IS NULL'), ('name IS NULL OR name = ''name 3''');
SELECT same('SELECT z, count(*), count(k), sum(f), min(d) FROM t WHERE ' || condition || ' GROUP BY z') FROM conditions ORDER BY id;
SELECT same('SELECT count(*), count(*) FILTER (WHERE ' || condition || '), max(id) FILTER (WHERE ' || condition || '), avg(k) FILTER (WHERE z = 3), count(DISTINCT name) FILTER (WHERE ' || condition || ') FROM t WHERE id > 100') FROM conditions ORDER BY id;
SELECT same('SELECT k, sum(z), sum(id) FILTER (WHERE ' || condition || '), max(f) FILTER (WHERE ' || condition || ' AND f < 100), sum(z) FILTER (WHERE ok) FROM t GROUP BY k') FROM conditions ORDER BY id;
SELECT same('SELECT s.label, count(*) FILTER (WHERE ' || regexp_replace(condition, '\mk\M', 't.k', 'g') || '), max(f) FILTER (WHERE label = ''label 1'' OR t.z > 2), count(*) FILTER (WHERE s.label LIKE ''%3%'' OR s.k < 3 OR s.k IS NULL) FROM t LEFT JOIN s ON s.k = t.k GROUP BY 1') FROM conditions ORDER BY id;
SELECT same(q) FROM unnest(ARRAY[
  'SELECT count(*) FILTER (WHERE true), count(*) FILTER (WHERE false), sum(k) FILTER (WHERE NULL), max(f) FILTER (WHERE k = 3) FROM t',
  'SELECT sum(1 / z) FILTER (WHERE z <> 0) FROM t', 'SELECT sum(1 / z) FILTER (WHERE z <> 0 OR id < 0), k FROM t GROUP BY k', 'SELECT sum(1 / z) FILTER (WHERE k = 3) FROM t']) q;
-- Zone maps exclude segments by all alternatives.
SELECT matches(plan_of('SELECT count(*) FROM t WHERE id < 10 OR id > 11990'), 'Scan Filter: \(\(t.id < 10\) OR \(t.id > 11990\)\)|Scan Filter: \(\(id < 10\) OR \(id > 11990\)\)', 'EXPLAIN');
SELECT matches(plan_of('SELECT count(*) FROM t WHERE id < 0 OR id > 20000'), 'Segments: ([0-9]+)\s+Segments Pruned: \1\s', 'pruned');
-- Parameters.
SET plan_cache_mode = force_generic_plan;
PREPARE p (int, int[], text) AS SELECT count(*), count(*) FILTER (WHERE z = $1 OR name = $3), sum(k) FROM t WHERE k = $1 OR k <> ALL ($2) OR name = $3;
PREPARE q (int, int[], text) AS SELECT count(*), count(*) FILTER (WHERE z = $1 OR name = $3), sum(k) FROM h WHERE k = $1 OR k <> ALL ($2) OR name = $3;
SELECT results_eq('EXECUTE p(' || v || ')', 'EXECUTE q(' || v || ')', v) FROM unnest(ARRAY['1, ARRAY[1, 2], ''name 3''', 'NULL, ARRAY[1, NULL], NULL', '2, ARRAY[]::int[], NULL', '2, NULL, ''name 5''']) v;
SELECT matches((SELECT string_agg(l, '') FROM explain_of('EXECUTE p(1, NULL, NULL)') l), 'Datahike Aggregate', 'by column');
RESET plan_cache_mode;
SELECT * FROM finish();
