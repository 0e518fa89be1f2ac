-- Arguments that say nothing are refused alike; what the extension consists of says what it is for.
SELECT plan(11);
SELECT throws_ok($$SELECT datahike.gc(min_age => '-1 hour')$$, '22023', 'min_age must not be negative', 'a negative min_age');
SELECT lives_ok($$SELECT datahike.gc(min_age => '0')$$, 'none at all');
SELECT throws_ok($$SELECT datahike.backup(NULL)$$, '22004', NULL, 'backup(NULL)');
SELECT throws_ok($$SELECT datahike.verify_backup(NULL)$$, '22004', NULL, 'verify_backup(NULL)');
SELECT throws_ok($$SELECT datahike.relation_size(NULL)$$, '22004', NULL, 'relation_size(NULL)');
SELECT throws_ok($$SELECT datahike.keep_history(NULL)$$, '22004', NULL, 'keep_history(NULL)');
SELECT throws_ok($$SELECT datahike.set_keep_history(NULL, 'all')$$, '22004', NULL, 'set_keep_history(NULL)');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 'datahike'::regnamespace AND relkind IN ('r', 'v', 'S') AND obj_description(oid, 'pg_class') IS NULL$$, 'tables without a comment');
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace = 'datahike'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL$$, 'functions without a comment');

-- The type of what the log holds is bytea but for its storage, so that PostgreSQL does not compress it again.
SELECT set_eq($$SELECT attrelid::regclass || ' ' || attname || ' ' || attstorage::text FROM pg_attribute WHERE atttypid = 'datahike.encoded'::regtype AND attrelid <> 0$$,
  $$VALUES ('datahike.tx_log delta e'), ('datahike.tx_log rows e'), ('datahike.prepared locks e')$$, 'what is compressed already');
CREATE TABLE encoded (e datahike.encoded);
INSERT INTO encoded VALUES ('\x0102'), ('\x'::bytea), (NULL);
SELECT results_eq('SELECT e::text, length(e), md5(e) FROM encoded', $$SELECT b::text, length(b), md5(b) FROM (VALUES ('\x0102'::bytea), ('\x'), (NULL)) v(b)$$, 'is bytea to functions and casts');
SELECT * FROM finish();
