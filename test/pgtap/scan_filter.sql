-- Sequential scans leave out rows by column before they make them: the answers are heap's, for conditions that are
-- tested so and for those that are not, in every view.
SELECT plan(71);
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE d (id int, k smallint, big bigint, v float8, r float4, t text, n int, day date, at timestamptz, flag bool, amount numeric(8,2));
CREATE TABLE h (LIKE d) USING heap;
INSERT INTO d SELECT g, (g * 7919::bigint) % 1000, g::bigint * 10000000000, CASE g % 50 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' ELSE sin(g) END,
  cos(g), CASE g % 7 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'text ' || g % 500 END, CASE WHEN g % 3 = 0 THEN g END,
  date '2020-01-01' + g % 400, timestamptz '2020-01-01' + g * interval '1 minute', CASE g % 3 WHEN 0 THEN true WHEN 1 THEN false END, g / 7.0
FROM generate_series(1, 70000) g;
INSERT INTO h SELECT * FROM d;
SELECT datahike.commit_id() IS NOT NULL;
SET TIME ZONE 'UTC';

-- What a condition gives on both tables, the rows in the order of the scan.
CREATE FUNCTION rows_where(relation text, condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE format('SELECT count(*) || '' '' || md5(coalesce(string_agg(id::text, '',''), '''')) FROM %s WHERE %s', relation, condition) INTO result;
  RETURN result;
END $$;
CREATE TABLE conditions (number serial, condition text) USING heap;
INSERT INTO conditions (condition) VALUES ('k = 17'), ('k <> 17'), ('k < 3 OR k > 997'), ('k BETWEEN 5 AND 9 AND flag'), ('NOT flag'), ('flag IS NULL'),
  ('big > 699990000000000'), ('big = 5'), ('v > 0.999'), ('v = ''NaN'''), ('v <> ''NaN'''), ('v = 0'), ('r < -0.9999'), ('r = v'), ('v IS NULL'),
  ('t = ''text 3'''), ('t <> ''text 3'''), ('t IS NULL'), ('t IS NOT NULL AND n IS NULL'), ('t IN ('''', ''text 9'', NULL)'), ('t LIKE ''%xt 49%'''),
  ('t NOT LIKE ''%xt%'''), ('t > ''text 4'''), ('length(t) = 8'), ('n IN (3, 6, 69999, NULL)'), ('n NOT IN (3, 6)'), ('n = ANY (''{9,12}'')'),
  ('day = ''2020-02-29'''), ('day >= date ''2021-01-01'''), ('at < timestamptz ''2020-01-01 10:00'''), ('amount > 9999'), ('amount = 1'),
  ('id % 1000 = 7 AND k < 500'), ('id + 0 < 100 AND k >= 0'), ('coalesce(n, 0) = 0 AND k = 100'), ('false'), ('NULL::bool'), ('k = NULL'),
  ('k > 2000000000'), ('id = 69999'), ('id IN (SELECT 5)'), ('k = (SELECT 8)');
SELECT is(rows_where('d', condition), rows_where('h', condition), condition) FROM conditions ORDER BY number;

-- That conditions are tested by column is seen from what one of the others is called for.
CREATE SEQUENCE calls;
CREATE FUNCTION counted(int) RETURNS bool LANGUAGE plpgsql STABLE COST 100000 AS $$ BEGIN PERFORM nextval('calls'); RETURN true; END $$;
SELECT is((SELECT count(*) FROM d WHERE counted(id) AND k = 17), 70::bigint, 'rows that pass');
SELECT is(currval('calls'), 70::bigint, 'the dear condition is asked for those alone, as on heap');
CREATE FUNCTION shaky(int) RETURNS bool LANGUAGE plpgsql VOLATILE COST 1 AS $$ BEGIN PERFORM nextval('calls'); RETURN true; END $$;
SELECT setval('calls', 1);
SELECT is((SELECT count(*) FROM d WHERE shaky(id) AND k = 17), 70::bigint, 'rows that pass');
SELECT is(currval('calls'), 70001::bigint, 'a volatile condition that comes first is asked for every row');

-- Counted as filtered, where EXPLAIN and the statistics say so.
CREATE FUNCTION removed_by_filter(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
    IF line ~ 'Rows Removed by Filter' THEN RETURN substring(line FROM '\d+$')::int; END IF;
  END LOOP;
END $$;
SELECT is(removed_by_filter('SELECT id FROM d WHERE k = 17'), 69930, 'rows removed by the filter');
SELECT is(removed_by_filter('SELECT id FROM d WHERE id > 69000 AND v > 5'), removed_by_filter('SELECT id FROM h WHERE id > 69000 AND v > 5'), 'with zone maps too');
BEGIN;
DELETE FROM d WHERE id <= 200; DELETE FROM h WHERE id <= 200;
SELECT is(removed_by_filter('SELECT id FROM d WHERE k = 17'), removed_by_filter('SELECT id FROM h WHERE k = 17'), 'rows that this transaction has deleted are not counted');
ROLLBACK;
CREATE TABLE counted_d (id int, k int); CREATE TABLE counted_h (LIKE counted_d) USING heap;
INSERT INTO counted_d SELECT g, g % 100 FROM generate_series(1, 20000) g; INSERT INTO counted_h SELECT * FROM counted_d;
SELECT datahike.commit_id() IS NOT NULL;
DELETE FROM counted_d WHERE id <= 200; DELETE FROM counted_h WHERE id <= 200;
SELECT is(removed_by_filter('SELECT id FROM counted_d WHERE k = 17'), removed_by_filter('SELECT id FROM counted_h WHERE k = 17'), 'nor those whose deletion may not be folded');
SELECT results_eq('SELECT id FROM counted_d WHERE k = 17', 'SELECT id FROM counted_h WHERE k = 17', 'and are not there');

-- Parameters.
PREPARE by_k(smallint, text) AS SELECT count(*), min(id || 'x') FROM d WHERE k = $1 AND t = $2;
CREATE FUNCTION expected(smallint, text) RETURNS TABLE (count bigint, min text) LANGUAGE sql AS 'SELECT count(*), min(id || ''x'') FROM h WHERE k = $1 AND t = $2';
SELECT results_eq('EXECUTE by_k(17, ''text 3'')', 'SELECT * FROM expected(17::smallint, ''text 3'')', 'custom plan');
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE by_k(19, ''text 1'')', 'SELECT * FROM expected(19::smallint, ''text 1'')', 'generic plan');
SELECT results_eq('EXECUTE by_k(NULL, ''text 1'')', 'SELECT * FROM expected(NULL, ''text 1'')', 'NULL');
RESET plan_cache_mode;
SELECT is((SELECT string_agg(x.n::text, ',' ORDER BY g) FROM generate_series(1, 5) g, LATERAL (SELECT count(*) + min(length(t)) - min(length(t)) AS n FROM d WHERE k = g AND t || '' > '') x),
  (SELECT string_agg(x.n::text, ',' ORDER BY g) FROM generate_series(1, 5) g, LATERAL (SELECT count(*) + min(length(t)) - min(length(t)) AS n FROM h WHERE k = g AND t || '' > '') x), 'parameters of an outer row');

-- Both ways, and where a cursor stands.
BEGIN;
DECLARE ours SCROLL CURSOR FOR SELECT id FROM d WHERE k < 5 AND t = 'text 3';
DECLARE other SCROLL CURSOR FOR SELECT id FROM h WHERE k < 5 AND t = 'text 3';
CREATE FUNCTION fetched(name text, times int, direction text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c refcursor := name;
  result text := '';
  i int;
BEGIN
  FOR n IN 1..times LOOP
    IF direction = 'back' THEN FETCH PRIOR FROM c INTO i; ELSE FETCH NEXT FROM c INTO i; END IF;
    result := result || coalesce(i::text, '-') || ' ';
  END LOOP;
  RETURN result;
END $$;
SELECT is(fetched('ours', 3, 'on'), fetched('other', 3, 'on'), 'a cursor forward');
SELECT is(fetched('ours', 4, 'back'), fetched('other', 4, 'back'), 'and back');
DECLARE mine CURSOR FOR SELECT * FROM d WHERE k = 17 AND n > 100;
FETCH 3 FROM mine;
UPDATE d SET t = 'where the cursor is' WHERE CURRENT OF mine;
UPDATE h SET t = 'where the cursor is' WHERE id = (SELECT id FROM d WHERE t = 'where the cursor is');
SELECT is((SELECT k FROM h WHERE t = 'where the cursor is'), 17::smallint, 'WHERE CURRENT OF');
COMMIT;

-- Own changes, rows that are not folded yet, deleted ones, columns of later, other types.
BEGIN;
DELETE FROM d WHERE id % 10 = 3; DELETE FROM h WHERE id % 10 = 3;
INSERT INTO d SELECT * FROM h WHERE id % 100 = 7; INSERT INTO h SELECT * FROM h WHERE id % 100 = 7;
UPDATE d SET k = 1 WHERE k = 2; UPDATE h SET k = 1 WHERE k = 2;
SELECT is((SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM d WHERE k < 9 AND v > 0), (SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM h WHERE k < 9 AND v > 0), 'own changes');
COMMIT;
SELECT is((SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM d WHERE k < 9 AND v > 0), (SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM h WHERE k < 9 AND v > 0), 'committed');
SELECT datahike.commit_id() AS before_columns \gset
ALTER TABLE d ADD COLUMN later int DEFAULT 5; ALTER TABLE h ADD COLUMN later int DEFAULT 5;
ALTER TABLE d ADD COLUMN empty text; ALTER TABLE h ADD COLUMN empty text;
UPDATE d SET later = 6, empty = 'x' WHERE k = 9; UPDATE h SET later = 6, empty = 'x' WHERE k = 9;
SELECT datahike.commit_id() IS NOT NULL;
SELECT is((SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM d WHERE later = c AND t > ''), (SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM h WHERE later = c AND t > ''), 'a column added later: ' || c) FROM generate_series(5, 6) c;
SELECT is((SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM d WHERE empty IS NULL AND k < 10), (SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM h WHERE empty IS NULL AND k < 10), 'NULL where it was not there');
SET datahike.commit_id = :'before_columns';
SELECT is((SELECT count(*) || min(t) FROM d WHERE k = 9 AND later = 5), (SELECT count(*) || min(t) FROM h WHERE k = 9), 'an older commit');
RESET datahike.commit_id;
ALTER TABLE h ALTER COLUMN k TYPE text;
ALTER TABLE d ALTER COLUMN k TYPE text;
SET datahike.commit_id = :'before_columns';
SELECT is((SELECT count(*) || min(t) FROM d WHERE k = '9'), (SELECT count(*) || min(t) FROM h WHERE k = '9'), 'an older commit, with another type');
RESET datahike.commit_id;
SELECT is((SELECT count(*) || min(t) FROM d WHERE k = '17'), (SELECT count(*) || min(t) FROM h WHERE k = '17'), 'the column with its new type');
SELECT datahike.create_branch('side') AS side;
SET datahike.branch = 'side';
DELETE FROM d WHERE v > 0;
SELECT is((SELECT count(*) || coalesce(min(t), 'none') FROM d WHERE k = '17' AND v > 0), '0none', 'another branch');
SELECT is((SELECT count(*) || min(t) FROM d WHERE k = '17'), (SELECT count(*) || min(t) FROM h WHERE k = '17' AND (v > 0) IS NOT TRUE), 'its rows');
RESET datahike.branch;

-- Several processes, and under SERIALIZABLE.
SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT is((SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM d WHERE t = 'text 3'), (SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM h WHERE t = 'text 3'), 'several processes');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT is((SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM d WHERE t = 'text 3'), (SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM h WHERE t = 'text 3'), 'SERIALIZABLE');
COMMIT;
SET datahike.vectorized = off;
SELECT is((SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM d WHERE t = 'text 3'), (SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM h WHERE t = 'text 3'), 'without');
