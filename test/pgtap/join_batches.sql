-- Joins whose build side needs more memory than it may have are computed in batches, and give what they give with enough memory and what PostgreSQL's
-- executor gives. The plans are made while there is much memory, and run with little: the planner was wrong.
SELECT * FROM no_plan();
SET datahike.vectorized_min_rows = 0;
SET plan_cache_mode = force_generic_plan;
SET hash_mem_multiplier = 1;
SET jit = off;
SET extra_float_digits = -5;
SET datahike.threads = 4;  -- so that groups are divided among threads, too

CREATE FUNCTION answer_of(query text, memory text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE format('SET LOCAL work_mem = %L', memory);
  EXECUTE 'EXECUTE ' || query INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION batches_of(query text, memory text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE line text; batches int := 1;
BEGIN
  EXECUTE format('SET LOCAL work_mem = %L', memory);
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) EXECUTE ' || query LOOP
    IF line ~ '^ *Batches: ' THEN batches := substring(line FROM '[0-9]+'); END IF;
  END LOOP;
  RETURN batches;
EXCEPTION WHEN OTHERS THEN RETURN 2;  -- what fails has its answer compared
END $$;
-- Groups by text need some hundred kB by themselves, else they are computed in 64 passes.
CREATE FUNCTION same(query text, little_memory text DEFAULT '128kB') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE rows text; much text; little text; one text; batches int;
  whole text := format('SELECT coalesce(string_agg(r, E''\n'' ORDER BY r COLLATE "C"), ''none'') FROM (SELECT q::text AS r FROM (%s) q) x', query);
BEGIN
  SET LOCAL work_mem = '256MB';
  SET LOCAL datahike.vectorized = off;
  EXECUTE 'PREPARE by_row AS ' || whole;
  rows := answer_of('by_row', '256MB');
  SET LOCAL datahike.vectorized = on;
  EXECUTE 'PREPARE by_column AS ' || whole;
  much := answer_of('by_column', '256MB');
  batches := batches_of('by_column', little_memory);
  little := answer_of('by_column', little_memory);
  SET LOCAL datahike.threads = 1;
  one := answer_of('by_column', little_memory);
  SET LOCAL datahike.threads = 4;
  DEALLOCATE by_row;
  DEALLOCATE by_column;
  IF batches < 2 THEN RETURN NEXT fail(query || ' takes one batch');
  ELSIF much IS DISTINCT FROM rows THEN RETURN NEXT is(much, rows, query || ' with much memory');
  ELSIF one IS DISTINCT FROM little THEN RETURN NEXT is(one, little, query || ' with one thread');
  ELSE RETURN NEXT is(little, rows, query); END IF;
END $$;

-- t is scanned by column, s has a row for each key, m several, and both have keys that t lacks.
CREATE TABLE t (id int8, k int4, k2 int2, f float8, name text, n numeric(10, 2)) USING datahike;
INSERT INTO t SELECT i, CASE WHEN i % 11 = 0 THEN NULL ELSE i % 7000 - 20 END, i % 7, CASE i % 900 WHEN 0 THEN float8 'NaN' WHEN 1 THEN '-0' WHEN 2 THEN 'Infinity' WHEN 3 THEN NULL ELSE i % 900 END,
    CASE WHEN i % 13 = 0 THEN NULL ELSE 'name ' || i % 4000 END, (i % 6000) / 4.0 FROM generate_series(1, 40000) i;
CREATE TABLE s (k int4, f float8, name text, w int4, label text, n numeric) USING datahike;
INSERT INTO s SELECT i, CASE i WHEN 0 THEN float8 'NaN' WHEN 1 THEN '0' WHEN 2 THEN 'Infinity' ELSE i END, 'name ' || i, i * 10, CASE WHEN i % 50 = 0 THEN NULL ELSE 'label ' || i % 300 END, i / 8.0 FROM generate_series(0, 34000) i;
INSERT INTO s VALUES (NULL, NULL, NULL, 1, 'no key', NULL);
CREATE TABLE m (k int8, k2 int4, name varchar(20), w int4, label text) USING heap;
INSERT INTO m SELECT CASE WHEN i % 10 = 0 THEN NULL ELSE i % 3500 END, i % 6, CASE WHEN i % 8 = 0 THEN NULL ELSE 'name ' || i % 2000 END, i, repeat('m', i % 40) FROM generate_series(1, 35000) i;
ANALYZE t; ANALYZE s; ANALYZE m;

SELECT same(query) FROM (VALUES
  ('SELECT count(*), sum(t.id), sum(s.w), count(s.label), avg(s.f) FROM t JOIN s ON t.k = s.k'),
  ('SELECT count(*), sum(t.id), sum(s.w), count(s.label), count(*) FILTER (WHERE s.label LIKE ''%1%'') FROM t LEFT JOIN s ON t.k = s.k'),
  ('SELECT count(*), sum(t.id), sum(m.w), avg(m.w), sum(t.id * m.w) FROM t JOIN m ON t.k = m.k'),
  ('SELECT count(*), sum(t.id), sum(m.w), count(m.name) FROM t LEFT JOIN m ON t.k = m.k AND t.k2 = m.k2'),
  ('SELECT count(*), sum(t.id), sum(m.w) FROM t JOIN m ON t.name = m.name'),
  ('SELECT count(*), sum(t.id), sum(m.w) FROM t LEFT JOIN m ON t.name = m.name AND m.k = t.k'),
  ('SELECT count(*), sum(t.id), sum(s.w) FROM t LEFT JOIN s ON t.f = s.f'),
  ('SELECT count(*), sum(t.id), sum(s.w) FROM t JOIN s ON t.n = s.n'),
  ('SELECT s.k, count(*) FROM t JOIN s ON t.k = s.k GROUP BY s.k HAVING count(*) > 1'),
  ('SELECT count(DISTINCT s.label), sum(length(s.label)), count(s.label) FROM t LEFT JOIN s ON t.k = s.k'),
  ('SELECT count(*), sum(t.id) FROM t WHERE EXISTS (SELECT FROM m WHERE m.k = t.k)'),
  ('SELECT t.k2, count(*), sum(t.id) FROM t WHERE NOT EXISTS (SELECT FROM m WHERE m.k = t.k) GROUP BY t.k2'),
  ('SELECT count(*), sum(t.id) FROM t WHERE NOT EXISTS (SELECT FROM m WHERE m.name = t.name AND m.k = t.k)'),
  ('SELECT count(*), sum(t.id) FROM t WHERE NOT EXISTS (SELECT FROM s WHERE s.f = t.f)'),
  ('SELECT count(*), sum(t.id), count(m.w) FROM t LEFT JOIN m ON t.k = m.k WHERE m.k IS NULL'),
  ('SELECT count(*), sum(t.id) FROM t JOIN s ON t.k = s.k WHERE t.id BETWEEN 5 AND 600 AND s.w > 10'),
  ('SELECT max(t.id / (s.k - 12)) FROM t JOIN s ON t.k = s.k'),
  ('SELECT count(*), sum(s.w), sum(m.w) FROM t JOIN s ON t.k = s.k JOIN m ON m.k = s.k')) q(query);
SELECT same(query, '600kB') FROM (VALUES
  ('SELECT s.label, count(*), sum(t.id), avg(t.f) FROM t JOIN s ON t.k = s.k GROUP BY s.label'),
  ('SELECT s.label, t.k2, count(*), sum(length(s.label)) FROM t LEFT JOIN s ON t.k = s.k GROUP BY 1, 2'),
  ('SELECT m.label, t.name, count(*), max(m.w) FROM t JOIN m ON t.k = m.k GROUP BY 1, 2'),
  ('SELECT s.w, count(*), sum(t.id), min(s.f) FROM t LEFT JOIN s ON t.k = s.k GROUP BY s.w'),
  ('SELECT t.k2, count(DISTINCT m.label), count(DISTINCT t.name), count(DISTINCT m.w) FROM t JOIN m ON t.k = m.k GROUP BY t.k2'),
  ('SELECT s.label, percentile_disc(0.5) WITHIN GROUP (ORDER BY t.id), mode() WITHIN GROUP (ORDER BY s.w) FROM t JOIN s ON t.k = s.k GROUP BY 1'),
  ('SELECT s.label, count(*) FROM t JOIN s ON t.k = s.k GROUP BY s.label ORDER BY count(*) DESC, s.label LIMIT 5'),
  ('SELECT t.name, count(*), sum(t.id) FROM t WHERE EXISTS (SELECT FROM m WHERE m.name = t.name AND m.k2 = t.k2) GROUP BY 1')) q(query);

-- Few wide rows are as many bytes as many narrow ones.
CREATE TABLE wide (k int4, text text) USING datahike;
INSERT INTO wide SELECT i, (SELECT string_agg(md5((i * 1000 + j)::text), '') FROM generate_series(1, 300) j) FROM generate_series(1, 600) i;
ANALYZE wide;
SELECT same('SELECT count(*), sum(length(w.text)) FROM t JOIN wide w ON t.k = w.k');
SET work_mem = '256MB';
PREPARE of_wide AS SELECT count(*), sum(length(w.text)) FROM t JOIN wide w ON t.k = w.k;
SELECT is(batches_of('of_wide', '256MB'), 1, 'wide rows that fit');
SELECT cmp_ok(batches_of('of_wide', '128kB'), '>', 20, 'wide rows are divided by their bytes');
DEALLOCATE of_wide;

-- Where the planner expects as much, it plans for it.
SET plan_cache_mode = auto;
SET work_mem = '768kB';
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; plan text := '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP plan := plan || line; END LOOP;
  RETURN plan;
END $$;
SELECT matches(plan_of('SELECT count(*), sum(s.w), count(s.label) FROM t JOIN s ON t.k = s.k'), 'Datahike Aggregate.*Batches: [0-9]+', 'a join in batches is planned');

-- A cursor keeps its file; an error, and the end of the transaction, leave none behind; a limit on files is one on them.
SET work_mem = '128kB';
CREATE FUNCTION many(int) RETURNS SETOF int LANGUAGE plpgsql STABLE ROWS 10 AS $$ BEGIN RETURN QUERY SELECT generate_series(1, $1); END $$;
SELECT is((SELECT count(*) FROM t JOIN many(60000) y ON t.k = y), (SELECT count(*) FROM t WHERE k > 0), 'rows that the planner does not expect');
BEGIN;
DECLARE c CURSOR FOR SELECT t.id, count(*) FROM t JOIN many(60000) y ON t.k = y GROUP BY t.id;
FETCH 3 FROM c \g /dev/null
SELECT isnt((SELECT count(*) FROM pg_ls_tmpdir()), 0::int8, 'an open cursor has a file');
SAVEPOINT s;
SELECT throws_ok('SELECT sum(t.id / (y - 30)) FROM t JOIN many(60000) y ON t.k = y', '22012', NULL, 'an error among its rows');
SELECT is((SELECT count(*) FROM (SELECT t.id, count(*) FROM t JOIN many(60000) y ON t.k = y GROUP BY t.id) x), (SELECT count(*) FROM t WHERE k > 0), 'and again');
FETCH 3 FROM c \g /dev/null
COMMIT;
SELECT is((SELECT count(*) FROM pg_ls_tmpdir()), 0::int8, 'no file is left');
SET temp_file_limit = '100kB';
SELECT throws_ok('SELECT count(*) FROM t JOIN many(60000) y ON t.k = y', '53400', NULL, 'temp_file_limit holds');
RESET temp_file_limit;
SELECT is((SELECT count(*) FROM pg_ls_tmpdir()), 0::int8, '... and leaves no file');
SELECT * FROM finish();
