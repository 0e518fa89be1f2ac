-- every way to reach a row, each forced in turn, must find the same rows
CREATE TABLE t (id int PRIMARY KEY, g int, s text, arr int[]);
INSERT INTO t SELECT i, i % 100, 'name ' || (i % 37), ARRAY[i % 10, i % 7] FROM generate_series(1, 3000) i;
CREATE INDEX t_g ON t (g);
CREATE INDEX t_s ON t USING hash (s);
CREATE INDEX t_arr ON t USING gin (arr);
DELETE FROM t WHERE id % 11 = 0;
UPDATE t SET g = g + 1000 WHERE id % 13 = 0;
ANALYZE t;
CREATE FUNCTION look(scan text) RETURNS TABLE (what text, n bigint, ids bigint) LANGUAGE plpgsql AS $$
DECLARE kind text;
BEGIN
  FOREACH kind IN ARRAY ARRAY['seqscan', 'indexscan', 'indexonlyscan', 'bitmapscan', 'tidscan'] LOOP
    PERFORM set_config('enable_' || kind, CASE WHEN kind = scan THEN 'on' ELSE 'off' END, true);
  END LOOP;
  RETURN QUERY EXECUTE 'SELECT ''pk'', count(*), sum(id)::bigint FROM t WHERE id BETWEEN 100 AND 200';
  RETURN QUERY EXECUTE 'SELECT ''equal'', count(*), sum(id)::bigint FROM t WHERE g = 42';
  RETURN QUERY EXECUTE 'SELECT ''moved'', count(*), sum(id)::bigint FROM t WHERE g >= 1000';
  RETURN QUERY EXECUTE 'SELECT ''hash'', count(*), sum(id)::bigint FROM t WHERE s = ''name 5''';
  RETURN QUERY EXECUTE 'SELECT ''gin'', count(*), sum(id)::bigint FROM t WHERE arr @> ARRAY[9, 3]';
  RETURN QUERY EXECUTE 'SELECT ''or'', count(*), sum(id)::bigint FROM t WHERE g = 7 OR g = 8 OR id = 2999';
  RETURN QUERY EXECUTE 'SELECT ''and'', count(*), sum(id)::bigint FROM t WHERE g < 50 AND arr && ARRAY[3]';
  RETURN QUERY EXECUTE 'SELECT ''key only'', count(g), sum(g)::bigint FROM t WHERE g BETWEEN 10 AND 20';
  RETURN QUERY EXECUTE 'SELECT ''in'', count(*), sum(id)::bigint FROM t WHERE id IN (1, 11, 13, 26, 5000)';
  RETURN QUERY EXECUTE 'SELECT ''ordered'', count(*), sum(id)::bigint FROM (SELECT id FROM t ORDER BY id DESC LIMIT 10) d';
END $$;
SELECT * FROM look('seqscan') ORDER BY what;
SELECT * FROM look('indexscan') ORDER BY what;
SELECT * FROM look('indexonlyscan') ORDER BY what;
SELECT * FROM look('bitmapscan') ORDER BY what;
-- lossy bitmaps
SET work_mem = '64kB';
SET enable_seqscan = off;
SET enable_indexscan = off;
CREATE TABLE wide_range (id int, pad text);
INSERT INTO wide_range SELECT i, repeat('x', 20) FROM generate_series(1, 60000) i;
CREATE INDEX ON wide_range (id);
SELECT count(*), sum(id) FROM wide_range WHERE id > 10 AND id % 2 = 0;
RESET ALL;
-- by TID: the address is the access method's own, so it is only handed on
SELECT count(*) FROM t a JOIN t b ON a.ctid = b.ctid WHERE a.id = b.id;
SELECT id FROM t WHERE ctid = (SELECT ctid FROM t WHERE id = 50);
SELECT id FROM t WHERE ctid = ANY (ARRAY(SELECT ctid FROM t WHERE id IN (1, 2, 3))) ORDER BY id;
SELECT count(*) FROM t WHERE ctid >= '(0,0)';
SELECT count(*) FROM t WHERE ctid < '(0,0)';
SELECT id FROM t WHERE ctid = '(4000000,1)';
UPDATE t SET s = 'by tid' WHERE ctid = (SELECT ctid FROM t WHERE id = 60);
DELETE FROM t WHERE ctid = (SELECT ctid FROM t WHERE id = 61) RETURNING id;
SELECT id, s FROM t WHERE id IN (60, 61);
-- joins and aggregates of each kind
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT count(*), sum(a.id) FROM t a JOIN t b ON a.g = b.id;
RESET enable_nestloop;
SET enable_mergejoin = off;
SELECT count(*), sum(a.id) FROM t a JOIN t b ON a.g = b.id;
RESET ALL;
SELECT count(*), sum(a.id) FROM t a JOIN t b ON a.g = b.id;
SELECT g % 5 AS k, count(*), min(s), max(id) FROM t GROUP BY 1 ORDER BY 1;
-- system columns
SELECT count(DISTINCT ctid) = count(*), count(DISTINCT tableoid), min(tableoid::regclass::text) FROM t;
BEGIN;
INSERT INTO t VALUES (9999, 1, 'mine', NULL);
SELECT xmin::text = txid_current()::text AS mine FROM t WHERE id = 9999;
ROLLBACK;
