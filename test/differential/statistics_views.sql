-- the counters of pg_stat_user_tables and pg_stat_user_indexes; not in parallel, where each process counts its scan and
-- reads ahead of a LIMIT
SET force_parallel_mode = off;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE t (id int PRIMARY KEY, v text) WITH (autovacuum_enabled = off);
CREATE FUNCTION counters(OUT seq_scan bigint, OUT seq_tup_read bigint, OUT idx_scan bigint, OUT idx_tup_fetch bigint, OUT ins bigint,
  OUT upd bigint, OUT del bigint, OUT live bigint, OUT mods bigint, OUT ins_since bigint) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_stat_force_next_flush();
  PERFORM pg_stat_clear_snapshot();
  SELECT s.seq_scan, s.seq_tup_read, s.idx_scan, s.idx_tup_fetch, n_tup_ins, n_tup_upd, n_tup_del, n_live_tup, n_mod_since_analyze, n_ins_since_vacuum
    INTO seq_scan, seq_tup_read, idx_scan, idx_tup_fetch, ins, upd, del, live, mods, ins_since
    FROM pg_stat_user_tables s WHERE relname = 't';
END $$;
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 1000) g;
SELECT pg_stat_force_next_flush();
SELECT * FROM counters();
SELECT count(*) FROM t;
SELECT * FROM t LIMIT 5;
SELECT pg_stat_force_next_flush();
SELECT * FROM counters();
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT * FROM t WHERE id = 7;
SELECT count(v) FROM t WHERE id BETWEEN 10 AND 29;
SET enable_indexscan = off;
SET enable_bitmapscan = on;
SELECT count(v) FROM t WHERE id BETWEEN 10 AND 29;
RESET ALL;
SELECT pg_stat_force_next_flush();
SELECT * FROM counters();
UPDATE t SET v = 'x' WHERE id <= 100;
DELETE FROM t WHERE id > 950;
BEGIN;
INSERT INTO t VALUES (2000, 'rolled back');
DELETE FROM t WHERE id = 1;
ROLLBACK;
BEGIN;
SAVEPOINT s;
INSERT INTO t VALUES (2001, 'rolled back');
ROLLBACK TO s;
INSERT INTO t VALUES (2002, 'kept');
COMMIT;
SELECT pg_stat_force_next_flush();
SELECT ins, upd, del, live, mods, ins_since FROM counters();
COPY t FROM STDIN;
3000	a
3001	b
\.
INSERT INTO t VALUES (3000, 'c') ON CONFLICT (id) DO UPDATE SET v = 'c';
SELECT pg_stat_force_next_flush();
SELECT ins, upd, del, live, mods, ins_since FROM counters();
ANALYZE t;
SELECT live, mods FROM counters();
VACUUM t;
SELECT live, mods, ins_since FROM counters();
SELECT vacuum_count, analyze_count, last_vacuum IS NOT NULL AS vacuumed, last_analyze IS NOT NULL AS analyzed FROM pg_stat_user_tables WHERE relname = 't';
TRUNCATE t;
SELECT pg_stat_force_next_flush();
SELECT ins, upd, del, live FROM counters();
SELECT indexrelname, idx_scan > 0 AS scanned, idx_tup_read > 0 AS read FROM pg_stat_user_indexes WHERE relname = 't';
