-- Random changes and savepoints of one transaction on two branches: after each of them workers see what the session sees without them.
SELECT plan(5);
SET parallel_leader_participation = off;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SET datahike.vectorized = off;
SET client_min_messages = warning;

CREATE TABLE t (id int, g int, v text) WITH (parallel_workers = 2);
INSERT INTO t SELECT i, i % 50, 'v' || i FROM generate_series(1, 4000) i;
CREATE INDEX t_id ON t (id);
CREATE INDEX t_g ON t (g);
SELECT datahike.create_branch('b') \g /dev/null
VACUUM ANALYZE t;

CREATE FUNCTION of_id(x int) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS
  $$BEGIN RETURN (SELECT string_agg(v, ',' ORDER BY v) FROM t WHERE id = x); END$$;
CREATE TABLE queries (query text, setting text) USING heap;
INSERT INTO queries VALUES
  ('SELECT row(count(*), sum(id), sum(g), sum(hashtextextended(v, 0)::numeric))::text FROM t', 'enable_sort'),
  ('SELECT row(count(*), sum(hashtextextended(t.ctid::text || t.cmin::text || t.xmin::text || t.xmax::text, 0)::numeric))::text FROM t', 'enable_sort'),
  ('SELECT row(count(*), sum(g), sum(hashtextextended(v, 0)::numeric))::text FROM t WHERE id BETWEEN 100 AND 6000', 'enable_seqscan'),
  ('SELECT row(count(*), sum(g), sum(hashtextextended(v, 0)::numeric))::text FROM t WHERE g BETWEEN 3 AND 900', 'enable_indexscan'),
  ('SELECT row(count(*), sum(a.id), sum(b.g))::text FROM t a JOIN t b USING (id, g)', 'enable_mergejoin'),
  ('SELECT sum(hashtextextended(of_id(id % 100 + g), 0)::numeric)::text FROM t WHERE id % 7 = 0', 'enable_sort');
CREATE FUNCTION value(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE query INTO result;
  RETURN result;
END $$;
CREATE FUNCTION in_parallel(query text) RETURNS text LANGUAGE plpgsql SET max_parallel_workers_per_gather = 2 SET force_parallel_mode = on AS
  $$BEGIN RETURN value(query); END$$;
CREATE FUNCTION alone(query text) RETURNS text LANGUAGE plpgsql SET max_parallel_workers_per_gather = 0 SET force_parallel_mode = off AS
  $$BEGIN RETURN value(query); END$$;
CREATE FUNCTION workers(query text) RETURNS int LANGUAGE plpgsql SET max_parallel_workers_per_gather = 2 SET force_parallel_mode = on AS $$
DECLARE line text; launched int := 0;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
    launched := launched + coalesce(substring(line FROM 'Workers Launched: (\d)')::int, 0);
  END LOOP;
  RETURN launched;
END $$;

-- What is found out must not be undone with a savepoint: sequences are not.
CREATE SEQUENCE compared;
CREATE SEQUENCE different;
CREATE SEQUENCE launched;
CREATE PROCEDURE compare() LANGUAGE plpgsql AS $$
DECLARE q record;
BEGIN
  FOR q IN SELECT * FROM queries LOOP
    PERFORM set_config(q.setting, 'off', true);
    PERFORM nextval('compared');
    IF in_parallel(q.query) IS DISTINCT FROM alone(q.query) THEN
      RAISE WARNING 'different: % and % of %', in_parallel(q.query), alone(q.query), q.query;
      PERFORM nextval('different');
    END IF;
    IF random() < 0.1 AND workers(q.query) > 0 THEN PERFORM nextval('launched'); END IF;
    PERFORM set_config(q.setting, 'on', true);
  END LOOP;
END $$;

CREATE FUNCTION statements(count int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE open text[] := '{}'; kind int; n int; name text;
BEGIN
  FOR i IN 1..count LOOP
    kind := floor(random() * 14);
    n := floor(random() * 6000);
    CASE
      WHEN kind <= 1 THEN RETURN NEXT format('INSERT INTO t SELECT i, i %% 70, ''i%s-'' || i FROM generate_series(%s, %s) i', i, n, n + floor(random() * 900)::int);
      WHEN kind = 2 THEN RETURN NEXT format('INSERT INTO t VALUES (%s, %s, ''single'')', n, n % 9);
      WHEN kind = 3 THEN RETURN NEXT format('INSERT INTO t VALUES (%s, 5, repeat(''long'', %s)), (%s, 6, NULL)', n, n * 10, n + 1);
      WHEN kind <= 5 THEN RETURN NEXT format('UPDATE t SET g = g + 1, v = ''u%s-'' || id WHERE id %% 19 = %s', i, n % 19);
      WHEN kind = 6 THEN RETURN NEXT format('UPDATE t SET id = id + 1 WHERE id BETWEEN %s AND %s', n, n + 60);
      WHEN kind <= 8 THEN RETURN NEXT format('DELETE FROM t WHERE id %% 23 = %s', n % 23);
      WHEN kind = 9 AND n % 6 = 0 THEN RETURN NEXT 'TRUNCATE t';
      WHEN kind = 10 THEN RETURN NEXT format('SET LOCAL datahike.branch TO %s', CASE WHEN n % 2 = 0 THEN 'DEFAULT' ELSE 'b' END);
      WHEN kind = 11 OR (kind = 12 AND cardinality(open) = 0) THEN
        open := open || ('s' || i);
        RETURN NEXT 'SAVEPOINT s' || i;
      WHEN kind = 12 THEN
        name := open[1 + n % cardinality(open)];
        open := open[:array_position(open, name) - CASE WHEN n % 3 > 0 THEN 0 ELSE 1 END];
        RETURN NEXT CASE WHEN n % 3 > 0 THEN 'ROLLBACK TO ' ELSE 'RELEASE ' END || name;
      ELSE RETURN NEXT format('DELETE FROM t WHERE id BETWEEN %s AND %s', n, n + 100);
    END CASE;
    RETURN NEXT 'CALL compare()';
  END LOOP;
END $$;

SELECT setseed(0.25) \g /dev/null
CREATE TABLE script USING heap AS SELECT * FROM statements(60) WITH ORDINALITY AS s(statement, at);
BEGIN;
SELECT statement FROM script ORDER BY at \gexec
SELECT cmp_ok(nextval('compared'), '>', 300::bigint, 'queries were compared');
SELECT is(nextval('different'), 1::bigint, 'none of them differs');
SELECT cmp_ok(nextval('launched'), '>', 10::bigint, 'workers were there');
COMMIT;
CALL compare();
SET datahike.branch = 'b';
CALL compare();
SELECT is(nextval('different'), 2::bigint, 'nor after the commit');
SELECT is((SELECT count(*) FROM script WHERE statement LIKE 'ROLLBACK TO%') > 0, true, 'with savepoints rolled back');
SELECT * FROM finish();
