-- extract() of timestamps as a key, in any time zone: the same answers with datahike.vectorized on and off.
SELECT * FROM no_plan();
SET work_mem = '256MB';
SET datahike.vectorized_min_rows = 0;
SET cpu_tuple_cost = 1000;  -- so that a few rows are worth it, too
SET jit = off;
CREATE TABLE t (id int8, ts timestamp, tz timestamptz, seconds float8, unix int8);
SELECT setseed(0.25) \g /dev/null
-- Around all changes of offsets, over 4000 years, and over all that there is.
INSERT INTO t SELECT i, tz AT TIME ZONE 'UTC', tz, extract(epoch FROM tz), extract(epoch FROM tz) FROM (
  SELECT i, CASE i % 4 WHEN 0 THEN '1880-01-01Z'::timestamptz + random() * 57000 * INTERVAL '1 day' WHEN 1 THEN '2000-01-01Z'::timestamptz + random() * 146000 * INTERVAL '1 day'
    WHEN 2 THEN '0001-01-01Z'::timestamptz + random() * 1460000 * INTERVAL '1 day' ELSE '4714-11-24 00:00:00+00 BC'::timestamptz + random() * 108000000 * INTERVAL '1 day' END AS tz
  FROM generate_series(1, 6000) i) x;
INSERT INTO t VALUES (-1, 'infinity', 'infinity', 'Infinity', NULL), (-2, '-infinity', '-infinity', '-Infinity', NULL), (-3, NULL, NULL, NULL, NULL), (-4, '1999-12-31 23:59:59.999999', '1999-12-31 23:59:59.999999Z', -0.000001, 0),
  (-5, '2000-02-29 12:00', '2000-02-29 12:00Z', 0.5, -1), (-6, '1900-03-01', '1900-03-01Z', 1e9, 1000000000), (-7, '4714-11-24 00:00:00 BC', '4714-11-24 00:00:00+00 BC', 1, 1), (-8, '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999Z', 1, 1);
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE result text; BEGIN
  EXECUTE format('SELECT coalesce(string_agg(r, E''\n'' ORDER BY r COLLATE "C"), ''none'') FROM (SELECT q::text AS r FROM (%s) q) x', query) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
CREATE FUNCTION vectorized(query text) RETURNS bool LANGUAGE plpgsql AS $$ DECLARE line text; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP IF line ~ 'Datahike Aggregate' THEN RETURN true; END IF; END LOOP; RETURN false; END $$;
CREATE FUNCTION same(query text, must bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE ours text; theirs text; BEGIN
  IF vectorized(query) <> must THEN RETURN NEXT fail(query || ' is ' || CASE WHEN must THEN 'not ' ELSE '' END || 'vectorized'); RETURN; END IF;
  ours := answer(query);
  SET LOCAL datahike.vectorized = off;
  theirs := answer(query);
  SET LOCAL datahike.vectorized = on;
  RETURN NEXT is(ours, theirs, current_setting('TimeZone') || ': ' || query); END $$;
CREATE TABLE queries (query text);
INSERT INTO queries SELECT format('SELECT extract(%s FROM %s)%s AS x, count(*) FROM t GROUP BY x', f, c, cast_to) FROM unnest(ARRAY['minute', 'hour', 'day', 'month', 'dow', 'isodow', 'year', 'second']) f, unnest(ARRAY['ts', 'tz']) c, unnest(ARRAY['', '::int']) cast_to
  WHERE CASE cast_to WHEN '' THEN f IN ('hour', 'day', 'year', 'second') ELSE f <> 'second' END;
INSERT INTO queries VALUES ('SELECT extract(year FROM tz)::int8 AS x, count(*), sum(id) FROM t WHERE id > 0 GROUP BY x'), ('SELECT date_part(''year'', ts) AS x, count(*) FROM t GROUP BY x'), ('SELECT extract(year FROM ts) AS y, extract(second FROM tz) AS x, count(*) FROM t WHERE id < 500 GROUP BY 1, 2'),
  ('SELECT count(*), min(id) FROM t WHERE extract(year FROM ts)::int = 2000 AND id > 0'), ('SELECT extract(year FROM ts)::int8 AS x, count(*) FROM t GROUP BY x');
INSERT INTO queries VALUES ('SELECT date_part(''hour'', tz) AS x, count(*) FROM t GROUP BY x'), ('SELECT extract(minute FROM to_timestamp(seconds))::int8 AS x, count(*), sum(id) FROM t GROUP BY x'),
  ('SELECT extract(hour FROM to_timestamp(unix))::int AS x, count(*) FROM t GROUP BY x ORDER BY 2 DESC, 1 LIMIT 5'), ('SELECT to_timestamp(seconds) AS x, count(*) FROM t GROUP BY x'),
  ('SELECT count(*), min(id) FROM t WHERE extract(day FROM tz)::int = 31'), ('SELECT sum(extract(hour FROM tz)::int * 2 + 1) FROM t WHERE id > 0');
CREATE FUNCTION in_zone(zone text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
  PERFORM set_config('TimeZone', zone, true);
  RETURN QUERY SELECT s FROM queries q, LATERAL same(q.query) s; END $$;
SELECT in_zone(zone) FROM unnest(ARRAY['UTC', 'Europe/Berlin', 'Asia/Kolkata', 'America/St_Johns', 'Australia/Lord_Howe', 'Pacific/Apia', 'Europe/Dublin', 'Africa/Casablanca', '+05:30', 'EST5EDT', '<ABC>-3:17']) zone;

-- Errors are PostgreSQL's.
CREATE TABLE odd (s float8);
INSERT INTO odd VALUES (1), ('NaN');
CREATE FUNCTION with_value(value text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
  TRUNCATE odd; EXECUTE format('INSERT INTO odd VALUES (%L), (5), (NULL)', value); RETURN QUERY SELECT same('SELECT extract(minute FROM to_timestamp(s))::int, count(*) FROM odd GROUP BY 1'); END $$;
SELECT with_value(v) FROM unnest(ARRAY['NaN', '1e30', '-1e30', 'Infinity', '-Infinity', '-210866803200', '-210866803201', '9224318016000', '9224318015999', '9224318015999.9999999', '1e-9', '0.9999995']) v;

-- A plan that is kept follows the time zone.
PREPARE p AS SELECT string_agg(x || ' ' || c, ',' ORDER BY x) FROM (SELECT extract(hour FROM tz)::int AS x, count(*) AS c FROM t GROUP BY 1) y;
SET plan_cache_mode = force_generic_plan;
CREATE FUNCTION kept() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE 'EXECUTE p' INTO r; RETURN r; END $$;
SELECT kept() \g /dev/null
SET TimeZone = 'Asia/Kathmandu';
SELECT is(kept(), (SELECT string_agg(x || ' ' || c, ',' ORDER BY x) FROM (SELECT extract(hour FROM tz)::int AS x, count(*) AS c FROM (SELECT * FROM t OFFSET 0) t GROUP BY 1) y), 'a kept plan in another time zone');

-- Dates compared with timestamps, to the ends of both.
CREATE TABLE days (d date, ts timestamp);
INSERT INTO days SELECT d, d + (i % 3 - 1) * INTERVAL '1 us' FROM (SELECT i, DATE '1999-12-20' + i % 30 AS d FROM generate_series(1, 3000) i) x;
INSERT INTO days VALUES ('infinity', 'infinity'), ('-infinity', '-infinity'), (NULL, NULL), ('4714-11-24 BC', '4714-11-24 00:00:00 BC'), ('294276-12-31', '294276-12-31 23:59:59.999999'), ('294277-01-01', NULL), ('5874897-12-31', NULL);
SELECT s FROM unnest(ARRAY['<', '<=', '=', '>=', '>', '<>']) op, unnest(ARRAY['2000-01-01', '1999-12-31 23:59:59.999999', '2000-01-01 00:00:00.000001', '4714-11-24 BC', '294276-12-31 23:59:59.999999', 'infinity', '-infinity']) at,
  LATERAL same(format('SELECT count(*), min(d), max(d) FROM days WHERE d %s %L::timestamp AND d >= %L::timestamp', op, at, '-infinity')) s;
SELECT s FROM unnest(ARRAY['<', '<=', '=', '>=', '>', '<>']) op, unnest(ARRAY['2000-01-01', '4714-11-24 BC', '294276-12-31', '294277-01-01', '5874897-12-31', 'infinity', '-infinity']) at,
  LATERAL same(format('SELECT count(*), min(ts), max(ts) FROM days WHERE %L::date %s ts', at, op)) s;
SELECT same('SELECT count(*) FROM days WHERE d <= DATE ''2000-01-03'' - INTERVAL ''90 hours''');
-- Also where a kept plan learns of the date only as it runs.
PREPARE before (date) AS SELECT count(*) FROM days WHERE ts < $1;
CREATE FUNCTION before(at date) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE format('EXECUTE before(%L)', at) INTO r; RETURN r; END $$;
SELECT is(before(at), (SELECT count(*)::text FROM (SELECT ts FROM days OFFSET 0) x WHERE ts < at), 'kept for ' || at) FROM unnest('{2000-01-01,294276-12-31,294277-01-01,5874897-12-31,infinity}'::date[]) at;

-- What is PostgreSQL's own to compute.
SELECT same(query, false) FROM (VALUES ('SELECT extract(second FROM ts)::int AS x, count(*) FROM t GROUP BY x'), ('SELECT date_part(''second'', ts) AS x, count(*) FROM t WHERE id > 0 GROUP BY x'), ('SELECT extract(decade FROM ts) AS x, count(*) FROM t GROUP BY x'),
  ('SELECT sum(extract(hour FROM ts)) FROM t'), ('SELECT extract(hour FROM ts) + 1 AS x, count(*) FROM t GROUP BY x'),
  ('SELECT count(*) FROM days WHERE d < TIMESTAMPTZ ''2000-01-01''')) q(query);
SELECT * FROM finish();
