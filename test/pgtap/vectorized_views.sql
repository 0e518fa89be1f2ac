-- Aggregates of tables of which some rows have been removed: zone maps are corrected by these rows, columns are copied around them.
SET datahike.vectorized_min_rows = 0;
SELECT * FROM no_plan();
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE t (id int4, few int2, n int4, b int8, d numeric(12,2), f float8, day date, s text, void int4);
CREATE TABLE h (LIKE t) USING heap;
-- id ascends, so that a segment's first and last rows have its extremes; few has them in many rows; n and d are NULL now and then; b is large.
INSERT INTO h SELECT i, i % 3, CASE WHEN i % 7 = 0 THEN NULL ELSE i::int8 * 7919 % 100003 - 50000 END, 9000000000000000000 - i, CASE WHEN i % 11 = 0 THEN NULL ELSE i::int8 * 31 % 99991 / 100.0 - 300 END,
    CASE WHEN i % 9973 = 0 THEN 'NaN' ELSE i % 100 / 8.0 END, DATE '2000-01-01' + i % 5000, 's' || i % 50, NULL FROM generate_series(1, 60000) i;
INSERT INTO t SELECT * FROM h ORDER BY id;
SELECT pg_sleep(0.5) \g /dev/null
ANALYZE t; ANALYZE h;
SET client_min_messages = warning;
CREATE FUNCTION answers(of_table text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE query text; answer text; BEGIN
  FOR query IN SELECT q FROM (VALUES
    ('SELECT count(*), count(n), count(d), count(f), count(s), count(void) FROM t'),
    ('SELECT sum(few), sum(n), sum(b), sum(d), sum(void) FROM t'),
    ('SELECT avg(few), avg(n), avg(b), avg(d), avg(void) FROM t'),
    ('SELECT min(id), max(id), min(few), max(few), min(n), max(n) FROM t'),
    ('SELECT min(b), max(b), min(d), max(d), min(day), max(day), min(void), max(void) FROM t'),
    ('SELECT max(id) FROM t'), ('SELECT min(id) FROM t'), ('SELECT max(d), count(*) FROM t'),
    ('SELECT count(*), sum(n), min(n) FROM t WHERE id > 0 AND b > 5'),
    ('SELECT count(*), sum(n), min(n), max(id) FROM t WHERE id BETWEEN 20000 AND 56000'),
    ('SELECT count(*), sum(n), max(d) FROM t WHERE n IS NOT NULL AND s LIKE ''%s1%'''),
    ('SELECT min(f), max(f), count(f) FROM t'),
    ('SELECT few, count(*), count(n), sum(n), sum(d), min(day), max(s), sum(length(s)) FROM t GROUP BY 1 ORDER BY 1'),
    ('SELECT s, n % 3, count(*), sum(f), count(DISTINCT n) FROM t WHERE f < 10 GROUP BY 1, 2 ORDER BY 1, 2'),
    ('SELECT s, count(*) FILTER (WHERE n > 0 OR s = ''s3''), sum(d) FILTER (WHERE few = 1) FROM t GROUP BY 1 ORDER BY 1'),
    ('SELECT v.k, count(*), sum(t.n), min(t.id) FROM t JOIN (VALUES (0, 1), (1, 1), (1, 2), (5, 5)) v(few, k) ON t.few = v.few GROUP BY 1 ORDER BY 1'),
    ('SELECT id, n FROM (SELECT id, n, row_number() OVER (PARTITION BY few ORDER BY n DESC NULLS LAST, id) r FROM t) x WHERE r <= 3 ORDER BY 1')) v(q)
  LOOP
    EXECUTE format('SELECT md5(string_agg(q::text, '','')) || count(*) FROM (%s) q', regexp_replace(query, '\mt\M', of_table, 'g')) INTO answer;
    RETURN NEXT query || ' ' || answer;
  END LOOP; END $$;
-- Twice: what has been found out of a segment is remembered. And with several threads.
CREATE FUNCTION same(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
  CREATE TEMP TABLE expected USING heap AS SELECT a FROM answers('h') a;
  FOR i IN 1..2 LOOP
    PERFORM set_config('datahike.threads', CASE i WHEN 1 THEN '1' ELSE '0' END, true);
    RETURN NEXT results_eq('SELECT answers(''t'')', 'SELECT a FROM expected', what || ' ' || i);
  END LOOP;
  DROP TABLE expected; END $$;
CREATE PROCEDURE on_both(change text) LANGUAGE plpgsql AS $$ BEGIN EXECUTE replace(change, '@', 't'); EXECUTE replace(change, '@', 'h'); END $$;
SELECT same('all rows');
BEGIN;
CALL on_both('DELETE FROM @ WHERE id % 100 = 5');
SELECT same('own removals');
ROLLBACK;
SELECT same('rolled back');
CALL on_both('DELETE FROM @ WHERE id % 100 = 5');
SELECT same('removed here and there');
SELECT pg_sleep(0.3) \g /dev/null
SELECT same('and folded');
CALL on_both('DELETE FROM @ WHERE id IN (1, 2, 60000) OR n = (SELECT max(n) FROM h) OR d = (SELECT min(d) FROM h)');
SELECT same('extremes');
CALL on_both('UPDATE @ SET n = n - 1, d = d + 1, few = 3 WHERE id % 97 = 1');
SELECT same('changed');
CALL on_both('DELETE FROM @ WHERE id BETWEEN 40000 AND 40999 OR id % 9973 = 0');
SELECT same('ranges');
SELECT datahike.commit_id() AS before \gset
CALL on_both('DELETE FROM @ WHERE id % 2 = 0');
SELECT same('half of all');
SELECT is((SELECT count(*) || ' ' || sum(b) FROM t), (SELECT count(*) || ' ' || sum(b) FROM h), 'half of all: sum of int8');
SET datahike.commit_id = :'before';
SELECT isnt((SELECT count(*) FROM t), (SELECT count(*) FROM h), 'before');
SELECT is((SELECT count(*) || ' ' || sum(b) || ' ' || max(id) FROM t), (SELECT count(id) || ' ' || sum(b + 0) || ' ' || max(id + 0) FROM t WHERE random() >= 0), 'before: by column and row by row');
RESET datahike.commit_id;
CALL on_both('DELETE FROM @');
SELECT same('none');
-- Rowids that no row has are holes of the segments that VACUUM joins.
TRUNCATE t, h;
DO $$ BEGIN FOR i IN 1..60 LOOP
  INSERT INTO h SELECT i * 100 + j, j % 3, -j, i, j / 4.0, 1, DATE '2000-01-01' + j, 'x' || j, NULL FROM generate_series(1, 40) j;
  INSERT INTO t SELECT * FROM h WHERE id / 100 = i;
  BEGIN INSERT INTO t SELECT -999999, 9, 9999, 9, 9, 9, DATE '1900-01-01', 'hole', 1 FROM generate_series(1, 3); RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END;
  COMMIT; END LOOP; END $$;
SELECT pg_sleep(0.5) \g /dev/null
VACUUM t;
SELECT same('holes');
CALL on_both('DELETE FROM @ WHERE id % 50 = 7');
SELECT same('holes and removed rows');
SELECT * FROM finish();
