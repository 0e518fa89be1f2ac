-- Aggregates, joins and first rows of foreign tables of another store, by column: for each query its answer with datahike.vectorized
-- on and off, and that of the local table of which the store is a backup.
SELECT * FROM no_plan();
SET work_mem = '256MB';  -- what needs more is PostgreSQL's
SET datahike.vectorized_min_rows = 0;
SET cpu_tuple_cost = 1000;  -- so that a few rows are worth it, too
SET jit = off;
SET extra_float_digits = -5;  -- PostgreSQL may sort before it adds

CREATE FUNCTION vectorized(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    IF line LIKE '%(Datahike %' THEN RETURN true; END IF;
  END LOOP;
  RETURN false;
END $$;
-- The rows of a query as text; sorted, unless they have an order. An error's SQLSTATE and message.
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; ordered text := CASE WHEN query LIKE '%ORDER BY%LIMIT%' THEN 'ORDER BY n' ELSE 'ORDER BY r COLLATE "C"' END;
BEGIN
  EXECUTE format('SELECT coalesce(string_agg(r, E''\n'' %s), ''none'') FROM (SELECT q::text AS r, row_number() OVER () AS n FROM (%s) q) x', ordered, query) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
-- Of tables in schema `here`, with the same names in public. must: whether the engine has to have it; NULL: it may.
CREATE FUNCTION same(query text, here text DEFAULT 'far', must bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE ours text; rows text; oracle text; foreign_query text := regexp_replace(query, '\m(t|u)\M(?!\.)', here || '.\1', 'g');
BEGIN
  SET LOCAL datahike.vectorized = on;
  IF must IS NOT NULL AND vectorized(foreign_query) IS DISTINCT FROM must THEN
    RETURN NEXT fail(foreign_query || CASE WHEN must THEN ' is not vectorized' ELSE ' is vectorized' END);
    RETURN;
  END IF;
  ours := answer(foreign_query);
  SET LOCAL datahike.vectorized = off;
  rows := answer(foreign_query);
  oracle := answer(query);
  SET LOCAL datahike.vectorized = on;
  IF ours IS DISTINCT FROM rows THEN RETURN NEXT is(ours, rows, foreign_query);
  ELSE RETURN NEXT is(ours, oracle, foreign_query);
  END IF;
END $$;

-- Rows of several transactions, some changed and removed since, columns added, dropped and of another type than before.
CREATE TABLE t (gone int, id int8, a int4, s int2, b int8, f float8, g float4, d date, ts timestamp, ok bool, name text, v varchar(20), c char(4), n numeric(10, 2), w int4);
SELECT setseed(0.5) \g /dev/null
INSERT INTO t SELECT i, i, CASE WHEN i % 11 = 0 THEN NULL ELSE (random() * 100)::int - 50 END, (random() * 10)::int,
    CASE WHEN i % 7 = 0 THEN NULL ELSE (random() * 9e18)::int8 - 4500000000000000000 END, random() * 1000 - 500, random() * 10,
    DATE '2020-01-01' + (random() * 1000)::int, TIMESTAMP '2020-01-01' + i * INTERVAL '1 minute', CASE WHEN i % 3 = 0 THEN NULL ELSE i % 2 = 0 END,
    CASE WHEN i % 13 = 0 THEN NULL ELSE 'näme ' || (random() * 50)::int END, 'v' || i % 5, 'c' || i % 3, (random() * 1000)::numeric(10, 2), i % 100
  FROM generate_series(1, 2000) i;
ALTER TABLE t DROP COLUMN gone;
INSERT INTO t (id, a, name, n, f) SELECT i, i % 50, 'late ' || i, CASE WHEN i % 10 = 0 THEN 'NaN'::numeric ELSE i END, CASE i % 5 WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN 'Infinity' ELSE i END FROM generate_series(2001, 2300) i;
DELETE FROM t WHERE id % 17 = 0;
UPDATE t SET a = a + 1, name = 'changed' WHERE id % 19 = 0;
ALTER TABLE t ADD COLUMN late text DEFAULT 'früh', ADD COLUMN late_n int;
INSERT INTO t (id, a, late, late_n, v) SELECT i, i % 30, 'x' || i % 3, i, NULL FROM generate_series(2301, 2600) i;
CREATE TABLE u (a int4, what text);
INSERT INTO u SELECT i, 'what ' || i % 7 FROM generate_series(-20, 20) i;
INSERT INTO u VALUES (1, 'again'), (NULL, 'nothing');
CREATE TABLE empty_then (a int, b text);
INSERT INTO empty_then VALUES (1, 'x');
DELETE FROM empty_then;
SELECT datahike.commit_id() \g /dev/null
SELECT current_setting('data_directory') || '/copy_for_foreign_aggregates' AS copy \gset
SELECT datahike.backup(:'copy') \g /dev/null
SELECT format('CREATE SERVER far FOREIGN DATA WRAPPER datahike OPTIONS (store %L)', :'copy') \gexec
CREATE SCHEMA far;
IMPORT FOREIGN SCHEMA public FROM SERVER far INTO far;

-- The plan says what is read.
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query; END $$;
SELECT results_eq($$SELECT regexp_replace(plan('SELECT a, count(*) FROM far.t WHERE b > 0 GROUP BY a'), 'store .*, ', 'store ')$$,
  ARRAY['Custom Scan (Datahike Aggregate) on t', '  Group Key: a', '  View: store branch db', '  Relation: public.t', '  Scan Filter: (b > 0)'], 'EXPLAIN');
SELECT results_eq($$SELECT regexp_replace(plan('SELECT id, name FROM far.t ORDER BY id DESC LIMIT 3'), 'store .*, ', 'store ')$$,
  ARRAY['Limit', '  ->  Custom Scan (Datahike First Rows) on t', '        Order By: id DESC', '        First Rows: 3', '        View: store branch db', '        Relation: public.t'], 'EXPLAIN of first rows');
SELECT results_eq($$SELECT regexp_replace(plan('SELECT id, row_number() OVER (ORDER BY id) FROM far.t WHERE a > 3'), 'store .*, ', 'store ') LIMIT 5$$,
  ARRAY['Custom Scan (Datahike Window) on t', '  Order By: id', '  View: store branch db', '  Relation: public.t', '  Scan Filter: (a > 3)'], 'EXPLAIN of a window');

CREATE TABLE queries (id serial, query text, must bool DEFAULT true);
INSERT INTO queries (query) VALUES
  ('SELECT count(*) FROM t'),
  ('SELECT count(*), count(a), count(name), count(n), count(ok) FROM t'),
  ('SELECT sum(a), sum(s), sum(b), avg(a), avg(s), avg(b) FROM t'),
  ('SELECT sum(f), avg(f), min(f), max(f), avg(g), min(g), max(g) FROM t WHERE id <= 2000'),
  ('SELECT sum(f), avg(f), min(f), max(f) FROM t'),
  ('SELECT min(a), max(a), min(b), max(b), min(s), max(s), min(d), max(d), min(ts), max(ts) FROM t'),
  ('SELECT min(name), max(v), min(late), max(late_n), count(late) FROM t'),
  ('SELECT stddev(f), variance(g), corr(f, g), regr_slope(g, a) FROM t WHERE id < 2000'),
  ('SELECT sum(a * 2 + s), sum(b / 3), max(a - s), sum(length(name)) FROM t'),
  ('SELECT sum(n), avg(n), min(n), max(n), sum(n * 2) FROM t'),
  ('SELECT count(DISTINCT a), count(DISTINCT name), sum(DISTINCT s), count(DISTINCT late) FROM t'),
  ('SELECT a, count(*), sum(b), avg(f), min(d) FROM t GROUP BY a'),
  ('SELECT name, count(*), sum(a) FROM t GROUP BY name'),
  ('SELECT late, count(*), sum(late_n), max(v) FROM t GROUP BY late'),
  ('SELECT v, c, ok, count(*) FROM t GROUP BY 1, 2, 3'),
  ('SELECT extract(hour FROM ts), count(*) FROM t GROUP BY 1'),
  ('SELECT a, count(*) FROM t WHERE b > 0 AND name LIKE ''%me 1%'' GROUP BY a'),
  ('SELECT count(*), sum(a) FROM t WHERE late = ''früh'' AND id BETWEEN 100 AND 900'),
  ('SELECT count(*), sum(a) FROM t WHERE late = ''x1'''),
  ('SELECT count(*) FROM t WHERE late_n IS NULL'),
  ('SELECT count(*) FROM t WHERE a IN (1, 2, 3) OR name IS NULL'),
  ('SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 20 AND sum(s) > 5'),
  ('SELECT a, count(*) FILTER (WHERE ok), sum(n) FILTER (WHERE f > 0) FROM t GROUP BY a'),
  ('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f), percentile_disc(0.1) WITHIN GROUP (ORDER BY a) FROM t WHERE id <= 2000'),
  ('SELECT late, count(*) AS k FROM t GROUP BY late ORDER BY k DESC LIMIT 1'),
  ('SELECT w, count(*) FROM t WHERE w < 40 GROUP BY w'),
  ('SELECT count(*) FROM t WHERE id > 5000'),
  ('SELECT max(1 / (a - a)) FROM t'),
  ('SELECT sum(a * 2000000000) FROM t'),
  ('SELECT what, count(*), sum(n) FROM t JOIN u USING (a) GROUP BY what'),
  ('SELECT count(*), count(what) FROM t LEFT JOIN u USING (a)'),
  ('SELECT count(*), sum(f) FROM t WHERE EXISTS (SELECT FROM u WHERE u.a = t.a) AND id <= 2000'),
  ('SELECT count(*) FROM t WHERE NOT EXISTS (SELECT FROM u WHERE u.a = t.a)'),
  ('SELECT * FROM t ORDER BY id LIMIT 5'),
  ('SELECT id, name, late, n, c FROM t WHERE a > 0 ORDER BY n DESC, id LIMIT 20'),
  ('SELECT id, late FROM t ORDER BY id DESC OFFSET 3 LIMIT 7'),
  ('SELECT * FROM (SELECT a, id, late, row_number() OVER (PARTITION BY a ORDER BY id DESC) AS k FROM t) x WHERE k <= 2'),
  ('SELECT id, sum(a) OVER (PARTITION BY w ORDER BY id), lag(name, 2, ''none'') OVER (PARTITION BY w ORDER BY id), late, n FROM t WHERE a > 0'),
  ('SELECT id, rank() OVER (ORDER BY late DESC, a NULLS FIRST), count(late) OVER (ORDER BY late DESC, a NULLS FIRST), c FROM t'),
  ('SELECT DISTINCT v, late FROM t');
SELECT same(query) FROM queries WHERE query !~ 'EXISTS|DISTINCT v' ORDER BY id;
SELECT same(query, must => NULL) FROM queries WHERE query ~ 'EXISTS|DISTINCT v' ORDER BY id;
-- Windows.
SELECT same(query) FROM (VALUES
  ('SELECT id, row_number() OVER (PARTITION BY s ORDER BY id), sum(a) OVER (PARTITION BY s ORDER BY id), late FROM t'),
  ('SELECT id, lag(n) OVER w, name, rank() OVER w, c FROM t WHERE a > 0 WINDOW w AS (PARTITION BY ok ORDER BY d, id)'),
  ('SELECT id, count(late_n) OVER (PARTITION BY late), max(n) OVER (PARTITION BY late) FROM t')) q(query);
SET work_mem = '64kB';
SELECT same('SELECT id, name, sum(a) OVER (ORDER BY id) FROM t WHERE abs(id) > 0', must => NULL);
RESET work_mem;
SET work_mem = '256MB';

SELECT is(answer('SELECT count(*), max(b), count(DISTINCT a) FROM far.empty_then'), '(0,,0)', 'a table without rows');

-- A foreign table may declare other columns than the table there has: what it reads is cast.
CREATE SCHEMA odd;
CREATE FOREIGN TABLE odd.t (n numeric, name text COLLATE "C", id int4, w text, c text, a int8, f float4, late varchar(6), ok text, d timestamp, s int4)
  SERVER far OPTIONS (relation 't');
CREATE VIEW odd.v AS SELECT n::numeric, name COLLATE "C" AS name, id::int4, w::text, c::text, a::int8, f::float4, late::varchar(6), ok::text, d::timestamp, s::int4 FROM t;
CREATE FUNCTION same_odd(query text, must bool DEFAULT true) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE ours text;
BEGIN
  IF must AND NOT vectorized(format(query, 'odd.t')) THEN RETURN NEXT fail(query || ' is not vectorized'); RETURN; END IF;
  ours := answer(format(query, 'odd.t'));
  SET LOCAL datahike.vectorized = off;
  IF ours IS DISTINCT FROM answer(format(query, 'odd.t')) THEN RETURN NEXT is(ours, answer(format(query, 'odd.t')), query);
  ELSE RETURN NEXT is(ours, answer(format(query, 'odd.v')), query);
  END IF;
  SET LOCAL datahike.vectorized = on;
END $$;
SELECT same_odd('SELECT count(*), count(w), min(name), max(name), sum(id), sum(a), count(DISTINCT c) FROM %s');
SELECT same_odd('SELECT w, ok, sum(f), min(d), max(s) FROM %s WHERE id < 2000 GROUP BY 1, 2');
SELECT same_odd('SELECT late, count(*), max(id) FROM %s WHERE a > 3 AND name > ''m'' GROUP BY late', false);
SELECT same_odd('SELECT c, count(*) FROM %s GROUP BY c');
SELECT same_odd('SELECT sum(n) FROM %s', false);
SELECT same_odd('SELECT id, w, sum(a) OVER (PARTITION BY c ORDER BY id), lag(late) OVER (PARTITION BY c ORDER BY id) FROM %s');
SELECT same_odd('SELECT id, n, w, d, late FROM %s WHERE s > 2 ORDER BY id LIMIT 9');
SELECT same_odd('SELECT id, w, late, sum(s) OVER (PARTITION BY w ORDER BY id), first_value(c) OVER (PARTITION BY w ORDER BY id) FROM %s WHERE s > 2');
-- What a cast refuses is refused, but not of rows that a condition has left out.
CREATE FOREIGN TABLE odd.narrow (id int8, a int4, b int4) SERVER far OPTIONS (relation 't');
SELECT is(answer('SELECT max(b) FROM odd.narrow'), '22003 integer out of range', 'a value that does not fit');
SELECT is(answer('SELECT count(b), sum(b) FROM odd.narrow WHERE id > 2000'), '(0,)', 'in rows that are not asked for');
CREATE FOREIGN TABLE odd.other (id int8, nowhere int) SERVER far OPTIONS (relation 't');
SELECT is(answer('SELECT sum(nowhere) FROM odd.other'), '42703 table public.t has no column "nowhere" there', 'a column that is not there');
SELECT is(answer('SELECT sum(id) FROM odd.other'), answer('SELECT sum(id) FROM t'), 'and is not asked for');

-- Parameters, rescans, and several in one query.
PREPARE p (int, text) AS SELECT count(*), sum(n) FROM far.t WHERE a > $1 AND late = $2;
CREATE FUNCTION executed(a int, b text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE format('EXECUTE p (%s, %L)', a, b) INTO r; RETURN r; END $$;
SET plan_cache_mode = force_generic_plan;
SELECT is(executed(10, 'früh'), (SELECT count(*)::text FROM t WHERE a > 10 AND late = 'früh'), 'a parameter');
SELECT is(executed(-30, 'x2'), (SELECT count(*)::text FROM t WHERE a > -30 AND late = 'x2'), 'another value');
RESET plan_cache_mode;
SELECT results_eq('SELECT x, (SELECT sum(n) FROM far.t WHERE t.a = x) FROM generate_series(-3, 3) x', 'SELECT x, (SELECT sum(n) FROM t WHERE t.a = x) FROM generate_series(-3, 3) x', 'a correlated subquery');
SELECT results_eq('SELECT x, l.* FROM generate_series(1, 4) x, LATERAL (SELECT count(*), max(id) FROM far.t WHERE w > x * 20) l', 'SELECT x, l.* FROM generate_series(1, 4) x, LATERAL (SELECT count(*), max(id) FROM t WHERE w > x * 20) l', 'LATERAL');
SELECT results_eq('SELECT (SELECT count(*) FROM far.t), count(*) FROM far.u', 'SELECT (SELECT count(*) FROM t), count(*) FROM u', 'two in one query');

-- Plans follow the definitions.
PREPARE q AS SELECT max(name) COLLATE "default" FROM far.t WHERE id < 100;
CREATE FUNCTION executed() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE 'EXECUTE q' INTO r; RETURN r; END $$;
SELECT is(executed(), (SELECT max(name) FROM t WHERE id < 100), 'prepared');
ALTER FOREIGN TABLE far.t ALTER COLUMN name TYPE text COLLATE "C";
SELECT is(executed(), (SELECT max(name COLLATE "C") FROM t WHERE id < 100), 'after ALTER FOREIGN TABLE');
SELECT tx AS first_tx FROM datahike.log() ORDER BY tx LIMIT 1 OFFSET 1 \gset
PREPARE r AS SELECT count(*) FROM far.u;
CREATE FUNCTION executed_r() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE 'EXECUTE r' INTO r; RETURN r; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT is(executed_r(), '43', 'prepared');
SELECT format('ALTER SERVER far OPTIONS (ADD as_of %L)', :'first_tx') \gexec
SELECT is(executed_r(), '42P01', 'after ALTER SERVER: the table is not there yet');
ALTER SERVER far OPTIONS (DROP as_of);
SELECT is(executed_r(), '43', 'and again');

-- Privileges are those of the foreign table, of the view's owner within a view.
CREATE ROLE agg_reader;
GRANT USAGE ON SCHEMA far TO agg_reader;
GRANT SELECT (a) ON far.t TO agg_reader;
CREATE VIEW far.shown AS SELECT count(name) AS n FROM far.t;
GRANT SELECT ON far.shown TO agg_reader;
SELECT format('(%s)', count(name)) AS names FROM t \gset
SET ROLE agg_reader;
SELECT is(answer('SELECT sum(a) FROM far.t'), answer('SELECT sum(a::int8) FROM far.t'), 'a column that may be read');
SELECT is(answer('SELECT sum(id) FROM far.t'), '42501 permission denied for foreign table t', 'one that may not');
SELECT is(answer('SELECT n FROM far.shown')::text, :'names', 'through a view');
RESET ROLE;
DROP OWNED BY agg_reader; DROP ROLE agg_reader;

SELECT * FROM finish();
