-- Arguments that say nothing are refused alike; what the extension consists of says what it is for.
SELECT plan(9);
SELECT throws_ok($$SELECT datahike.gc(min_age => '-1 hour')$$, '22023', 'min_age must not be negative', 'a negative min_age');
SELECT lives_ok($$SELECT datahike.gc(min_age => '0')$$, 'none at all');
SELECT throws_ok($$SELECT datahike.backup(NULL)$$, '22004', NULL, 'backup(NULL)');
SELECT throws_ok($$SELECT datahike.verify_backup(NULL)$$, '22004', NULL, 'verify_backup(NULL)');
SELECT throws_ok($$SELECT datahike.relation_size(NULL)$$, '22004', NULL, 'relation_size(NULL)');
SELECT throws_ok($$SELECT datahike.keep_history(NULL)$$, '22004', NULL, 'keep_history(NULL)');
SELECT throws_ok($$SELECT datahike.set_keep_history(NULL, 'all')$$, '22004', NULL, 'set_keep_history(NULL)');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 'datahike'::regnamespace AND relkind IN ('r', 'v', 'S') AND obj_description(oid, 'pg_class') IS NULL$$, 'tables without a comment');
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace = 'datahike'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL$$, 'functions without a comment');
SELECT * FROM finish();
