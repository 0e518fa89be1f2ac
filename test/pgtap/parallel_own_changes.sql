-- Workers read what their transaction has changed and not committed as the leader does, whatever kind of scan it is.
SELECT plan(62);
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;  -- every row comes from a worker
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SET datahike.vectorized = off;  -- its plans have no workers
SET client_min_messages = warning;

-- Whether the query has nodes of that kind, and workers that were launched for all of its Gather nodes.
CREATE FUNCTION runs_in_workers(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE line text; found boolean := false; launched boolean := false;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
    found := found OR line LIKE '%' || node || '%';
    launched := launched OR line ~ 'Workers Launched: [1-9]';
    IF line ~ 'Workers Launched: 0' THEN RETURN false; END IF;
  END LOOP;
  RETURN found AND launched;
END $$;
CREATE FUNCTION value(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE query INTO result;
  RETURN result;
END $$;
CREATE FUNCTION serial_value(query text) RETURNS text LANGUAGE plpgsql SET max_parallel_workers_per_gather = 0 AS $$
BEGIN
  RETURN value(query);
END $$;
-- A query of tables named t..., in parallel; the same without workers; and of tables named h... which are heap's.
CREATE FUNCTION same(query text, node text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE query_of_heap text := regexp_replace(query, '\mt(?=\M|_)', 'h', 'g'); mine text; expected text;
BEGIN
  IF NOT runs_in_workers(query, node) THEN RETURN fail(what || ': not run by workers with ' || node); END IF;
  mine := value(query);
  expected := serial_value(query);
  IF mine IS DISTINCT FROM expected THEN RETURN is(mine, expected, what || ': without workers'); END IF;
  RETURN is(mine, serial_value(query_of_heap), what);
END $$;
CREATE PROCEDURE on_both(command text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command;
  EXECUTE regexp_replace(command, '\mt(?=\M|_)', 'h', 'g');
END $$;

CREATE TABLE t (id int, g int, v text);
CREATE TABLE h (id int, g int, v text) USING heap;
CALL on_both('INSERT INTO t SELECT i, i % 100, ''v'' || i FROM generate_series(1, 20000) i');
CALL on_both('CREATE INDEX t_id ON t (id)');
CALL on_both('CREATE INDEX t_g ON t (g)');
CREATE TABLE untouched USING heap AS SELECT i AS id FROM generate_series(1, 200) i;
CREATE FUNCTION digest(text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended($1, 0) $$;
\set whole 'SELECT row(count(*), sum(id), sum(g), sum(length(v)), sum(hashtextextended(v, 0)::numeric))::text FROM t'
VACUUM ANALYZE t;
VACUUM ANALYZE h;

BEGIN;
-- One statement's rows, most of which are in the log already; then single rows, changes and deletions of what was
-- committed and of what was not.
CALL on_both('INSERT INTO t SELECT i, i % 100, repeat(md5(i::text), 5) FROM generate_series(20001, 80000) i');
SELECT same(:'whole', 'Parallel Seq Scan', 'rows of one statement');
DO $$ BEGIN FOR i IN 80001..80200 LOOP CALL on_both(format('INSERT INTO t VALUES (%s, %s, ''one by one'')', i, i % 100)); END LOOP; END $$;
SELECT same(:'whole', 'Parallel Seq Scan', 'rows of many statements');
CALL on_both('UPDATE t SET g = g + 1000, v = ''changed'' WHERE id % 7 = 0');
CALL on_both('DELETE FROM t WHERE id % 11 = 0');
CALL on_both('UPDATE t SET v = ''again'' WHERE id % 77 = 7 OR g % 1000 = 3');
SELECT same(:'whole', 'Parallel Seq Scan', 'a sequential scan');
SELECT same('SELECT count(DISTINCT xmin::text) FROM t', 'Parallel Seq Scan', 'with their writer');
SELECT is(value('SELECT sum(hashtextextended(t.ctid::text || t.cmin || t.xmax, 0)::numeric) FROM t'),
  serial_value('SELECT sum(hashtextextended(t.ctid::text || t.cmin || t.xmax, 0)::numeric) FROM t'), 'place, command and remover');
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_indexonlyscan = off;
SELECT same('SELECT row(count(*), sum(g), sum(length(v)))::text FROM t WHERE id > 10000 AND id < 70000', 'Parallel Index Scan', 'an index scan');
RESET enable_indexonlyscan;
SELECT same('SELECT count(id) FROM t WHERE id > 10000', 'Parallel Index Only Scan', 'an index-only scan');
SET enable_indexonlyscan = off;
RESET enable_bitmapscan;
SET enable_indexscan = off;
SELECT same('SELECT row(count(*), sum(g), sum(length(v)))::text FROM t WHERE g > 10 AND g < 1050', 'Parallel Bitmap Heap Scan', 'a bitmap scan');
SET work_mem = '64kB';
SELECT same('SELECT row(count(*), sum(g), sum(length(v)))::text FROM t WHERE g > 10 AND g < 1050', 'Parallel Bitmap Heap Scan', 'with lossy pages');
RESET work_mem;
RESET enable_indexscan;
RESET enable_indexonlyscan;
RESET enable_seqscan;
SELECT same('SELECT row(count(*), sum(a.g), sum(length(b.v)))::text FROM t a JOIN t b USING (id)', 'Parallel Hash Join', 'a join');
SET enable_parallel_hash = off;
SET enable_mergejoin = off;
SELECT same('SELECT row(count(*), sum(a.g), sum(length(b.v)))::text FROM t a JOIN t b USING (id)', 'Hash Join', 'a table that each worker reads whole');
RESET enable_parallel_hash;
RESET enable_mergejoin;
SELECT same('SELECT digest(string_agg(id || v, '','')) FROM (SELECT id, v FROM t WHERE g < 50 ORDER BY id, v OFFSET 0) s', 'Gather Merge', 'sorted');
SELECT same('SELECT row(count(*), sum(id))::text FROM (SELECT id FROM t UNION ALL SELECT g FROM t) s', 'Parallel Append', 'appended');
SELECT same('SELECT sum(n * g) FROM (SELECT g, count(*) AS n FROM t GROUP BY g) s', 'Partial', 'grouped');
SET enable_material = off;
SET enable_memoize = off;
SELECT same('SELECT row(count(*), sum(x.n))::text FROM generate_series(1, 3) s LEFT JOIN (SELECT count(*) AS n FROM t) x ON s <> x.n', 'Parallel Seq Scan', 'workers that are launched again');
RESET enable_material;
RESET enable_memoize;

-- What is read by functions in workers.
CREATE FUNCTION t_in(x int) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS
  $$BEGIN RETURN (SELECT string_agg(v, ',' ORDER BY v) FROM t WHERE id = x); END$$;
CREATE FUNCTION h_in(x int) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS
  $$BEGIN RETURN (SELECT string_agg(v, ',' ORDER BY v) FROM h WHERE id = x); END$$;
CREATE FUNCTION t_stable(x int) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS
  $$BEGIN RETURN (SELECT string_agg(v, ',' ORDER BY v) FROM t WHERE id = x); END$$;
CREATE FUNCTION h_stable(x int) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS
  $$BEGIN RETURN (SELECT string_agg(v, ',' ORDER BY v) FROM h WHERE id = x); END$$;
ALTER TABLE untouched SET (parallel_workers = 2);
SELECT same('SELECT digest(string_agg(t_in(id * 401), '','' ORDER BY id)) FROM untouched', 'Parallel Seq Scan', 'a function in a query of heap tables');
SELECT same('SELECT digest(string_agg(t_stable(id), '','' ORDER BY id)) FROM t WHERE id % 401 = 0', 'Parallel Seq Scan', 'a stable one in a query of the table');

-- Savepoints.
SAVEPOINT a;
CALL on_both('INSERT INTO t SELECT i, i, ''in a'' FROM generate_series(90001, 93000) i');
CALL on_both('DELETE FROM t WHERE id % 13 = 0');
CALL on_both('UPDATE t SET v = ''in a'' WHERE id % 17 = 0');
SELECT same(:'whole', 'Parallel Seq Scan', 'in a savepoint');
SAVEPOINT b;
CALL on_both('DELETE FROM t WHERE id > 100');
SET LOCAL force_parallel_mode = on;
SELECT same(:'whole', 'Seq Scan', 'in one inside it');
SET LOCAL force_parallel_mode = off;
ROLLBACK TO b;
SELECT same(:'whole', 'Parallel Seq Scan', 'rolled back');
RELEASE a;
SELECT same(:'whole', 'Parallel Seq Scan', 'released');
SAVEPOINT a;
CALL on_both('TRUNCATE t');
SELECT same(:'whole', 'Parallel Seq Scan', 'TRUNCATE');
CALL on_both('INSERT INTO t SELECT i, i % 100, ''fresh'' FROM generate_series(1, 3000) i');
CALL on_both('DELETE FROM t WHERE id % 3 = 0');
SELECT same(:'whole', 'Parallel Seq Scan', 'rows after TRUNCATE');
SET enable_seqscan = off;
SELECT same('SELECT row(count(*), sum(g), sum(length(v)))::text FROM t WHERE id > 10 AND id < 70000', 'Parallel', 'by an index');
RESET enable_seqscan;
ROLLBACK TO a;
SELECT same(:'whole', 'Parallel Seq Scan', 'TRUNCATE rolled back');

-- Definitions that change with rows pending.
CALL on_both('ALTER TABLE t ADD COLUMN n int DEFAULT 7');
CALL on_both('INSERT INTO t SELECT i, i, ''with n'', i FROM generate_series(100001, 100300) i');
SELECT same('SELECT row(count(*), sum(n), sum(length(v)))::text FROM t', 'Parallel Seq Scan', 'a column added');
CALL on_both('ALTER TABLE t DROP COLUMN g');
CALL on_both('INSERT INTO t SELECT i, ''without g'', i FROM generate_series(100301, 100600) i');
SELECT same('SELECT row(count(*), sum(n), sum(hashtextextended(t::text, 0)::numeric))::text FROM t', 'Parallel Seq Scan', 'a column dropped');
CALL on_both('ALTER TABLE t ALTER COLUMN n TYPE text USING n || ''!''');
SELECT same('SELECT row(count(*), sum(length(n)), sum(hashtextextended(t::text, 0)::numeric))::text FROM t', 'Parallel Seq Scan', 'a column of another type');
CALL on_both('INSERT INTO t SELECT i, ''retyped'', i FROM generate_series(100601, 100900) i');
CALL on_both('DELETE FROM t WHERE id % 5 = 0');
SELECT same('SELECT row(count(*), sum(length(n)), sum(hashtextextended(t::text, 0)::numeric))::text FROM t', 'Parallel Seq Scan', 'and rows of it');
CALL on_both('CREATE INDEX t_n ON t (n)');
SET enable_seqscan = off;
SET LOCAL force_parallel_mode = on;
SELECT same('SELECT row(count(*), sum(length(v)))::text FROM t WHERE n > ''1'' AND n < ''9''', 'Bitmap Heap Scan', 'an index made of own rows');
SET LOCAL force_parallel_mode = off;
RESET enable_seqscan;
ROLLBACK;
SELECT same(:'whole', 'Parallel Seq Scan', 'nothing is left of it');

-- Tables that the transaction makes.
BEGIN;
CALL on_both('CREATE TABLE t_new (id int, v text)');
CALL on_both('ALTER TABLE t_new ALTER COLUMN v SET STORAGE EXTERNAL');
CALL on_both('INSERT INTO t_new SELECT i, repeat(i::text, 20000) FROM generate_series(1, 60) i');
CALL on_both('INSERT INTO t_new VALUES (61, NULL), (62, ''''), (63, repeat(''xy'', 1000000))');
SELECT same('SELECT row(count(*), sum(length(v)), sum(hashtextextended(v, 0)::numeric))::text FROM t_new', 'Parallel Seq Scan', 'a new table with large values');
CALL on_both('UPDATE t_new SET id = -id WHERE id > 30');
SELECT same('SELECT row(count(*), sum(id), sum(length(v)), sum(hashtextextended(v, 0)::numeric))::text FROM t_new', 'Parallel Seq Scan', 'changed');
CALL on_both('CREATE TABLE t_copy AS SELECT id, id + 1 AS more FROM t_new');
SELECT same('SELECT sum(more) FROM t_copy', 'Parallel Seq Scan', 'CREATE TABLE AS');
CALL on_both('CREATE MATERIALIZED VIEW t_view AS SELECT id FROM t_copy');
CALL on_both('INSERT INTO t_copy SELECT i, i FROM generate_series(1, 500) i');
CALL on_both('REFRESH MATERIALIZED VIEW t_view');
SELECT same('SELECT row(count(*), sum(id))::text FROM t_view', 'Parallel Seq Scan', 'a materialized view');
CALL on_both('CREATE TABLE t_parts (id int, k int, v text) PARTITION BY LIST (k)');
CALL on_both('CREATE TABLE t_parts1 PARTITION OF t_parts FOR VALUES IN (1)');
CALL on_both('CREATE TABLE t_parts2 PARTITION OF t_parts FOR VALUES IN (2)');
CALL on_both('INSERT INTO t_parts SELECT i, 1 + i % 2, ''p'' || i FROM generate_series(1, 5000) i');
CALL on_both('UPDATE t_parts SET k = 3 - k WHERE id % 5 = 0');
SELECT same('SELECT row(count(*), sum(id * k), sum(length(v)))::text FROM t_parts', 'Parallel Append', 'partitions, with rows moved between them');
ROLLBACK;

-- Branches.
SELECT datahike.create_branch('b') \g /dev/null
BEGIN;
SET LOCAL datahike.branch = 'b';
CALL on_both('DELETE FROM t WHERE id <= 1000');
CALL on_both('INSERT INTO t SELECT i, 1, ''on b'' FROM generate_series(1, 700) i');
SELECT same(:'whole', 'Parallel Seq Scan', 'on a branch');
SET LOCAL datahike.branch TO DEFAULT;
SELECT ok(runs_in_workers(:'whole', 'Parallel Seq Scan'), 'another branch in the same transaction');
SELECT is(value('SELECT count(*) FROM t'), '20000', 'has none of it');
SELECT set_config('datahike.commit_id', datahike.commit_id()::text, true) \g /dev/null
SELECT ok(runs_in_workers(:'whole', 'Parallel Seq Scan'), 'nor does a commit, read by workers');
SELECT is(value('SELECT count(*) FROM t'), '20000', 'which are told both');
SELECT set_config('datahike.commit_id', '', true) \g /dev/null
CREATE FUNCTION count_on_b(x int) RETURNS bigint LANGUAGE sql PARALLEL SAFE SET datahike.branch = 'b' AS 'SELECT count(*) + 0 * x FROM t';
SELECT ok(runs_in_workers('SELECT sum(count_on_b(id)) FROM untouched WHERE id <= 4', 'Parallel Seq Scan'), 'a function on the branch');
SELECT is(value('SELECT sum(count_on_b(id)) FROM untouched WHERE id <= 4'), (4 * 19700)::text, 'sees it');
ROLLBACK;

-- Merges come with more than rows.
BEGIN;
SET LOCAL datahike.branch = 'b';
UPDATE t SET v = 'merged' WHERE id = 1;
COMMIT;
BEGIN;
UPDATE t SET v = 'before the merge' WHERE id = 2;
SELECT datahike.merge('b') \g /dev/null
SELECT is(value('SELECT string_agg(v, '','' ORDER BY id) FROM t WHERE id <= 3'), 'merged,before the merge,v3', 'merged, without workers or with them');
SELECT ok(NOT runs_in_workers('SELECT count(*) FROM t', 'Seq Scan'), 'without');
ROLLBACK;

-- A branch that the transaction has made, and one that it has reset.
BEGIN;
SELECT datahike.create_branch('made') \g /dev/null
SET LOCAL datahike.branch = 'made';
CALL on_both('UPDATE t SET g = 7 WHERE id % 9 = 0');
SELECT same(:'whole', 'Parallel Seq Scan', 'on a branch that is not committed');
ROLLBACK;
SELECT datahike.commit_id() AS before \gset
CALL on_both('DELETE FROM t WHERE id <= 10');
BEGIN;
SELECT datahike.create_branch('reset') \g /dev/null
SELECT datahike.force_branch('reset', :'before') \g /dev/null
SET LOCAL datahike.branch = 'reset';
DELETE FROM t WHERE id BETWEEN 11 AND 20;
SELECT ok(runs_in_workers(:'whole', 'Parallel Seq Scan'), 'on a branch that was reset');
SELECT is(value('SELECT row(count(*), min(id))::text FROM t'), '(19990,1)', 'and is read as it is now');
ROLLBACK;
CALL on_both('INSERT INTO t SELECT i, i % 100, ''v'' || i FROM generate_series(1, 10) i');

-- Statements that are prepared, in SQL and by PL/pgSQL. (What is SELECTed INTO a variable asks for one row, and has no workers.)
PREPARE total AS SELECT count(*) AS n, sum(g) AS s FROM t;
EXECUTE total \g /dev/null
CREATE FUNCTION rows_of_t() RETURNS TABLE (id int, g int) LANGUAGE plpgsql AS $$BEGIN RETURN QUERY SELECT t.id, t.g FROM t; END$$;
CREATE FUNCTION counts() RETURNS text LANGUAGE plpgsql AS $$
DECLARE n bigint; result text := '';
BEGIN
  FOR i IN 1..4 LOOP
    DELETE FROM t WHERE id = i;
    INSERT INTO t SELECT j, 0, 'counted' FROM generate_series(1, 10) j;
    BEGIN
      INSERT INTO t SELECT j, 0, 'undone' FROM generate_series(1, 1000) j;
      EXECUTE 'SELECT count(*) FROM t' INTO n;
      result := result || n || '/';
      RAISE EXCEPTION 'undo';
    EXCEPTION WHEN raise_exception THEN
      EXECUTE 'SELECT count(*) FROM t' INTO n;
      result := result || n || ' ';
    END;
  END LOOP;
  RETURN result;
END $$;
BEGIN;
DELETE FROM t WHERE id <= 50;
EXECUTE total \gset
SELECT is(:n, 19950, 'a prepared statement');
INSERT INTO t SELECT i, 1, 'new' FROM generate_series(1, 20) i;
EXECUTE total \gset
SELECT is(:n, 19970, 'again, with more');
SELECT is((SELECT count(*) FROM rows_of_t()), 19970::bigint, 'RETURN QUERY');
SELECT is(counts(), '20979/19979 20987/19987 20994/19994 21000/20000 ', 'between changes of a function');
ROLLBACK;

-- Queries that began before later changes: what a snapshot does not see, workers do not.
BEGIN;
DELETE FROM t WHERE id <= 10;
DECLARE c CURSOR FOR SELECT count(*) AS n, sum(g) AS s FROM t;
DELETE FROM t WHERE id <= 1000;
INSERT INTO t SELECT i, 0, 'later' FROM generate_series(1, 5) i;
FETCH ALL FROM c \gset
SELECT is(:n, 19990, 'a cursor from before');
CREATE FUNCTION later_count() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE n bigint;
BEGIN
  EXECUTE 'SELECT count(*) FROM t' INTO n;
  RETURN n;
END $$;
CREATE FUNCTION counts_around(OUT before bigint, OUT after bigint) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'SELECT count(*) FROM t' INTO before;
  DELETE FROM t WHERE id <= 2000;
  INSERT INTO t VALUES (1, 1, 'one'), (2, 2, 'two');
  EXECUTE 'SELECT count(*) FROM t' INTO after;
END $$;
SELECT is((SELECT row(before, after, later_count())::text FROM counts_around()), '(19005,18002,19005)', 'a function that sees what its caller does');
ROLLBACK;

-- A trigger's queries, in the midst of a statement.
CREATE TABLE log (event text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE n bigint; m bigint;
BEGIN
  EXECUTE 'SELECT count(*) FROM t' INTO n;
  IF TG_LEVEL = 'STATEMENT' THEN
    SELECT count(*) INTO m FROM changed;
  END IF;
  INSERT INTO log VALUES (TG_WHEN || ' ' || n || ' ' || coalesce(m::text, '-'));
  RETURN NEW;
END $$;
CREATE TRIGGER each BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER after_all AFTER INSERT ON t REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note();
BEGIN;
INSERT INTO t VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z');
SELECT is((SELECT string_agg(event, ',' ORDER BY event) FROM log), 'AFTER 20003 3,BEFORE 20000 -,BEFORE 20001 -,BEFORE 20002 -', 'triggers');
ROLLBACK;
DROP TRIGGER each ON t;
DROP TRIGGER after_all ON t;

-- Isolation levels.
BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL on_both('DELETE FROM t WHERE id % 3 = 0');
SELECT same(:'whole', 'Parallel Seq Scan', 'REPEATABLE READ');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
CALL on_both('DELETE FROM t WHERE id % 3 = 0');
CALL on_both('INSERT INTO t SELECT i, i, ''s'' FROM generate_series(1, 300) i');
SELECT same(:'whole', 'Parallel Seq Scan', 'SERIALIZABLE');
ROLLBACK;

-- Workers still change and lock nothing.
CREATE FUNCTION locks(x int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS
  $$BEGIN PERFORM FROM t WHERE id = x FOR UPDATE; RETURN x; END$$;
BEGIN;
DELETE FROM t WHERE id = 9;
SELECT throws_ok('SELECT sum(locks(id % 10)) FROM t', '25000', NULL, 'a worker locks no rows');
ROLLBACK;

-- More than is copied for workers.
CREATE TABLE many AS SELECT i AS id FROM generate_series(1, 530000) i;
BEGIN;
DELETE FROM many WHERE id > 1000;
SELECT ok(NOT runs_in_workers('SELECT count(*) FROM many', 'Seq Scan'), 'no workers for very many changes');
SELECT is(value('SELECT count(*) FROM many'), '1000', 'which are seen');
SELECT ok(runs_in_workers('SELECT count(*) FROM t', 'Parallel Seq Scan'), 'but for what is not concerned');
ROLLBACK;
BEGIN;
CALL on_both('DELETE FROM t WHERE id % 2 = 0');
COMMIT;
SELECT same(:'whole', 'Parallel Seq Scan', 'committed at last');
SELECT * FROM finish();
