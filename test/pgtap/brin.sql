-- BRIN indexes: what a scan by summaries finds is what a sequential scan finds, on every branch and in every commit
SELECT plan(25);
SET max_parallel_workers_per_gather = 0;
SET jit = off;
CREATE TABLE t (id int, v int, note text);
CREATE INDEX t_v ON t USING brin (v) WITH (pages_per_range = 1);
CREATE INDEX t_id ON t USING brin (id int4_bloom_ops) WITH (pages_per_range = 2);
CREATE INDEX t_note ON t USING brin (note, v int4_minmax_multi_ops) WITH (pages_per_range = 3);

-- Finds with a bitmap what it finds without, for some values; the number of those for which it does not.
CREATE FUNCTION wrong() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint := 0;
  x int;
  c text;
  plain text;
  by_summaries text;
  plan text := '';
  line text;
BEGIN
  FOREACH x IN ARRAY ARRAY[-1, 5, 77, 500, 1999, 4000, 100000] LOOP
    FOREACH c IN ARRAY ARRAY[format('v = %s', x), format('id = %s', x), format('v BETWEEN %s AND %s', x, x + 20),
                             format('note = %L', 'n' || x), format('note = %L AND v > %s', 'n' || x, x - 30), 'v IS NULL'] LOOP
      PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'off', true);
      EXECUTE 'SELECT string_agg(t::text, '';'' ORDER BY id, v, note) FROM t WHERE ' || c INTO plain;
      PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'on', true);
      EXECUTE 'SELECT string_agg(t::text, '';'' ORDER BY id, v, note) FROM t WHERE ' || c INTO by_summaries;
      n := n + (plain IS DISTINCT FROM by_summaries)::int;
      FOR line IN EXECUTE 'EXPLAIN SELECT * FROM t WHERE ' || c LOOP plan := plan || line; END LOOP;
      IF plan !~ 'Bitmap Index Scan on t_' THEN RAISE 'no bitmap scan: %', plan; END IF;
    END LOOP;
  END LOOP;
  PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
  RETURN n;
END $$;

INSERT INTO t SELECT g, g / 2, 'n' || g / 2 FROM generate_series(1, 4000) g;
SELECT is(wrong(), 0::bigint, 'ranges without a summary');
SELECT cmp_ok(brin_summarize_new_values('t_v'), '>=', 13, 'they get one');
SELECT is(brin_summarize_new_values('t_v'), 0, 'once');
SELECT is(wrong(), 0::bigint, 'ranges with one');
VACUUM t;
SELECT is(wrong(), 0::bigint, 'after VACUUM');
SELECT datahike.commit_id() AS first \gset
UPDATE t SET v = -1 WHERE id % 700 = 0;
DELETE FROM t WHERE id BETWEEN 990 AND 1010;
INSERT INTO t VALUES (100000, NULL, NULL), (77, 100000, 'n5');
SELECT is(wrong(), 0::bigint, 'after changes');
SELECT datahike.create_branch('other') AS created \gset
SET datahike.branch = 'other';
UPDATE t SET v = 500, note = 'n500' WHERE id < 300;
SELECT is(wrong(), 0::bigint, 'on a branch');
BEGIN;
INSERT INTO t SELECT 5, 77, 'n77' FROM generate_series(1, 700);
DELETE FROM t WHERE id = 78;
SELECT is(wrong(), 0::bigint, 'own changes');
SELECT cmp_ok(brin_summarize_new_values('t_v'), '>', 0, 'and their ranges');
SAVEPOINT s;
UPDATE t SET v = 4000 WHERE v = 77;
ROLLBACK TO s;
SELECT is(wrong(), 0::bigint, 'as a savepoint had them');
COMMIT;
SELECT is(wrong(), 0::bigint, 'committed');
RESET datahike.branch;
SELECT is(wrong(), 0::bigint, 'not on the first branch');
SET datahike.commit_id = :'first';
SELECT is(wrong(), 0::bigint, 'in an old commit');
RESET datahike.commit_id;
SET datahike.history = on;
SELECT is(wrong(), 0::bigint, 'in the history');
RESET datahike.history;
SELECT is((SELECT count(*) FROM datahike.at(NULL::t, 'other') WHERE v = 77), (SELECT count(*) FROM datahike.at(NULL::t, 'other') WHERE v + 0 = 77), 'at another branch');

-- rewritten, reindexed
REINDEX INDEX t_v;
SELECT is(wrong(), 0::bigint, 'after REINDEX');
SET datahike.branch = 'other';
SELECT is(wrong(), 0::bigint, 'on the other branch as well');
RESET datahike.branch;
DROP INDEX t_note;
ALTER TABLE t ALTER v TYPE bigint;
VACUUM FULL t;
CREATE INDEX CONCURRENTLY t_note ON t USING brin (note, v int8_minmax_multi_ops) WITH (pages_per_range = 3);
SELECT is(wrong(), 0::bigint, 'after ALTER TYPE and CREATE INDEX CONCURRENTLY');

-- history that is not kept
SELECT datahike.set_keep_history('t', 'none') AS set \gset
UPDATE t SET note = 'n4000' WHERE v = 5;
VACUUM t;
SELECT is(wrong(), 0::bigint, 'without its history');

-- what is purged is in no summary
CREATE EXTENSION pageinspect;
CREATE FUNCTION summaries(value text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint := 0;
BEGIN
  FOR page IN 2 .. pg_relation_size('t_v') / 8192 - 1 LOOP
    n := n + (SELECT count(*) FROM brin_page_items(get_raw_page('t_v', page::int), 't_v') i WHERE i.value LIKE '%' || summaries.value || '%');
  END LOOP;
  RETURN n;
END $$;
INSERT INTO t VALUES (8, 123454321, 'secret');
SELECT brin_summarize_new_values('t_v') AS summarised \gset
SELECT is(summaries('123454321'), 1::bigint, 'a summary tells of a value');
SELECT versions AS purged FROM datahike.purge('t', 'v = 123454321') \gset
SELECT is(summaries('123454321'), 0::bigint, 'that is purged');
SELECT is(wrong(), 0::bigint, 'the range is read whole');
VACUUM t;
SELECT is(wrong(), 0::bigint, 'summarised again');

-- the planner knows of blocks that a scan walks over
CREATE TABLE far (id int, v int);
CREATE INDEX far_v ON far USING brin (v) WITH (pages_per_range = 1);
INSERT INTO far VALUES (1, 1);
INSERT INTO t SELECT g, g, 'x' FROM generate_series(1, 150000) g;
INSERT INTO far SELECT g, g FROM generate_series(2, 70000) g;
ANALYZE far;
SELECT is((SELECT count(*) FROM far WHERE v BETWEEN 60000 AND 60010), 11::bigint, 'rows far apart');
-- of a table with wide rows a scan walks over no more blocks than TIDs name
CREATE TABLE wide (id int, pad text);
CREATE INDEX wide_id ON wide USING brin (id) WITH (pages_per_range = 1);
INSERT INTO wide SELECT g, repeat('x', 2000) FROM generate_series(1, 3000) g;
SELECT brin_summarize_new_values('wide_id') AS summarised \gset
CREATE FUNCTION walked() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  plan jsonb;
BEGIN
  SET LOCAL enable_seqscan = off;
  EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM wide WHERE id = 7' INTO plan;
  RETURN jsonb_path_query_first(plan, '$.**."Lossy Heap Blocks"');
END $$;
SELECT cmp_ok(walked(), '<', 40, 'blocks that heap would have are not walked over');
SELECT * FROM finish();
