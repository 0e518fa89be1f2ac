-- A snapshot that is taken while a transaction is being prepared has its xid twice. A fold that found it so names it twice as running; then the
-- transaction's rows were read twice from the log when it had been committed, and the worker failed.
SELECT plan(6);
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'before');
SELECT ok(datahike.commit_id() IS NOT NULL, 'a commit');
BEGIN;
INSERT INTO t VALUES (2, 'prepared');
PREPARE TRANSACTION 'while_folding';
INSERT INTO t VALUES (3, 'meanwhile');
SELECT ok(datahike.commit_id() IS NOT NULL, 'a fold beside the prepared transaction');
SELECT cmp_ok((SELECT cardinality(running) FROM datahike.heads ORDER BY tx DESC LIMIT 1), '>', 0, '... which it names as running');
UPDATE datahike.heads SET running = running || running WHERE tx = (SELECT max(tx) FROM datahike.heads);
COMMIT PREPARED 'while_folding';
SELECT results_eq('SELECT id FROM t ORDER BY id', ARRAY[1, 2, 3], 'its rows are there once before they are folded');
INSERT INTO t VALUES (4, 'after');
SELECT ok(datahike.commit_id() IS NOT NULL, 'the worker goes on');
SELECT results_eq('SELECT id FROM t ORDER BY id', ARRAY[1, 2, 3, 4], '... and they are there once');
SELECT * FROM finish();
